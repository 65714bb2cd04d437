// L rows of a call at a time, a row a lane: what their losses are made of, and the formulas, once for all engines. Compiled
// once per instruction set.

// Where N rows stand: their steps into the outer and the inner dimension. Beyond the last row, the first is repeated.
template <int N> struct Places {
    int64_t outer[N], inner[N];
    bool are_one_run;  // N rows, within one step of the outer dimension

    FL_TARGET Places(const fl_xent_args& a, int64_t row, int rows) {
        int64_t o = a.inner == 1 ? row : row / a.inner, i = a.inner == 1 ? 0 : row % a.inner;
        are_one_run = rows == N && (a.inner == 1 || i + N <= a.inner);
        for (int k = 0; k < N; ++k) {
            outer[k] = k < rows ? o : outer[0];
            inner[k] = k < rows ? i : inner[0];
            if (++i >= a.inner) i = 0, ++o;
        }
    }
    FL_TARGET int64_t offset(const fl_strides& s, int k) const { return outer[k] * s.outer_stride + inner[k] * s.inner_stride; }
};

// Of each row; "anchor" is the class that is kept out of the sums.
struct alignas(64) RowLanes {
    int64_t target[L];       // 0 where ignored
    double counts[L];        // 1, or 0 where ignored
    double weight[L];        // row_weight
    double push[L];          // gradient of the row's loss
    double lse_push[L];      // gradient of its lse
    double anchor_mass[L], rest_mass[L];  // the target's mass of the anchor and of the other classes

    // What an engine finds out:
    double anchor_x[L];
    double anchor_low[L];    // what anchor_x has lost by rounding
    double reference[L];     // not far from the largest x of the others; the anchor's x if others have mass
    double reference_low[L];
    double others[L];        // sum over the others of exp(x - reference)
    double gap[L];           // sum over the others of mass * (reference - x)
    double is_nan[L];        // 1 where a NaN or +inf is in the row, or every class is masked
    double is_argmax[L];     // 1 where the target has the largest x, and is the first that has

    // What follows:
    double loss[L], lse[L];  // before the row's weight
    double pull[L];          // what the exponentials are multiplied by in the gradient
    double at_anchor[L];     // the anchor's gradient
    double nan_gradient[L];  // what the gradient is where is_nan: NaN, or 0 where the row is ignored
};

// `rows` lanes from an array with an element a row, or `missing` if it is null.
FL_FN void fill_lanes(const void* from, int64_t dtype, int64_t row, int rows, double missing, double* to) {
    store(to, splat(missing));
    if (from)
        for (int k = 0; k < rows; ++k) to[k] = number_at(from, dtype, row + k);
}

// Rows [row, row + rows), which stand at lanes [first, first + L) of `places`.
template <class T, int N>
FL_FN void read_rows(const Call& call, const Places<N>& places, int first, int64_t row, int rows, RowLanes& t) {
    const fl_xent_args& a = *call.args;
    fill_lanes(a.row_weight, a.row_weight_dtype, row, rows, 1, t.weight);
    fill_lanes(a.row_upstream, a.row_upstream_dtype, row, rows, 1, t.push);
    fill_lanes(a.lse_upstream, std::is_same<T, double>::value ? FL_FLOAT64 : FL_FLOAT32, row, rows, 0, t.lse_push);
    store(t.counts, splat(1.0));
    store(t.anchor_mass, splat(1.0));
    store(t.rest_mass, D{});
    store(t.gap, D{});
    store(t.anchor_low, D{});
    store(t.reference_low, D{});
    if (a.target_kind != FL_DISTRIBUTION) {
        for (int k = 0; k < L; ++k) {
            const int64_t c = index_target(a, places.offset(a.target_strides, first + k));
            t.counts[k] = c != a.ignore_index;
            t.target[k] = c != a.ignore_index ? c : 0;
        }
        if (a.class_weight)
            for (int k = 0; k < L; ++k) t.anchor_mass[k] = number_at(a.class_weight, a.class_weight_dtype, t.target[k]);
    }
    store(t.push, where(load(t.counts) == 0.0, D{}, call.upstream * load(t.weight) * load(t.push)));  // 0 for any upstream
    store(t.anchor_mass, load(t.anchor_mass) * load(t.counts));
}

// Loss, lse and the coefficients of the gradient.
template <bool Deep> FL_FN void finish_rows(const fl_xent_args& a, RowLanes& t) {
    const D anchor_x = load(t.anchor_x), reference = load(t.reference), others = load(t.others), nan = splat(std::nan(""));
    D q_low{}, q = anchor_x - reference;  // +inf when every other class is masked
    if (Deep) q = full_difference(anchor_x, load(t.anchor_low) - load(t.reference_low), reference, q_low);
    const DI ahead = q >= 0.0;
    const D falling = exp_wide<Deep>(-absolute(q), where(ahead, -q_low, q_low));
    const D anchor_exp = where(ahead, splat(1.0), falling), scale = where(ahead, falling, splat(1.0));
    // Where nothing wider than the results is at hand, what the sum and its parts have lost is kept.
    const Pair scaled = Deep ? times({others, D{}}, scale) : Pair{others * scale, D{}};
    const Pair total = Deep ? plus(scaled, anchor_exp, D{}) : Pair{others * scale + anchor_exp, D{}};
    const D sum = total.high;
    const auto share_of = [&](Pair a) FL_TARGET { return Deep ? rounded(over(a, total)) : a.high / sum; };
    const D log = log_wide(where(ahead, others * falling, sum), ahead);
    const D anchor_loss = where(ahead, log, log - q - q_low);
    const D lse = log + where(ahead, anchor_x + load(t.anchor_low), reference + load(t.reference_low));
    const D mass = load(t.anchor_mass) + load(t.rest_mass);
    const D without_gap = where(mass == 0.0, D{}, mass * anchor_loss);
    const D loss = where(anchor_loss == kInfinity, without_gap, without_gap + load(t.gap)) + a.z_loss * lse * lse;
    const DI is_nan = load(t.is_nan) != 0.0;
    store(t.lse, where(is_nan, nan, lse));
    store(t.loss, where(is_nan, nan, loss));
    store(t.nan_gradient, a.lse_upstream ? nan : where(load(t.counts) == 0.0, D{}, nan));

    const D push = load(t.push) / a.temperature;
    const D z_pull = a.z_loss != 0 ? load(t.push) * (2 * a.z_loss) * lse : D{};  // an infinite upstream is no NaN
    const D lse_pull = (z_pull + load(t.lse_push)) / a.temperature;
    store(t.push, push);
    const D weight = push * mass + lse_pull;
    store(t.pull, share_of(Deep ? times({weight, D{}}, scale) : Pair{weight * scale, D{}}));
    // The anchor's softmax less its mass, or the other way round: whichever has the smaller terms.
    const D share = share_of(scaled), softmax = share_of({anchor_exp, D{}}), rest = load(t.rest_mass);
    const DI is_small = (share > 0.5) & (rest != 0.0);
    const D from_loss = where(is_small, mass * softmax - load(t.anchor_mass), rest - mass * share);
    store(t.at_anchor, push * from_loss + lse_pull * softmax);
}

template <class T> FL_FN void put_rows(const Call& call, const RowLanes& t, int64_t row, int rows) {
    const fl_xent_args& a = *call.args;
    const D weight = load(t.weight);
    double loss[L];
    store(loss, where((load(t.counts) == 0.0) | (weight == 0.0), D{}, weight * load(t.loss)));
    if (call.row_loss) {
        if (rows == L) store(call.row_loss + row, load(loss));
        else std::copy(loss, loss + rows, call.row_loss + row);
    }
    for (int k = 0; a.loss && k < rows; ++k) put_real(a.loss, row + k, a.loss_dtype, loss[k]);
    for (int k = 0; a.lse && k < rows; ++k) static_cast<Real<T>*>(a.lse)[row + k] = static_cast<Real<T>>(t.lse[k]);
    for (int k = 0; a.correct && k < rows; ++k) a.correct[row + k] = t.is_argmax[k] != 0 && t.counts[k] != 0;
}

// How many rows of so many classes are taken between two calls of finish_rows: many small ones share its cost.
FL_FN int batch_of(int64_t classes) {
    return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(L, kBatchElements / std::max<int64_t>(1, classes))));
}

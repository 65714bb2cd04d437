// Cross-entropy in double, a row at a time: every option, dtype and layout. Compiled once per instruction set.
//
// A row's x, then its exponentials, then its gradient stand in one buffer of doubles. The anchor class (the target; for
// a target with mass on several classes, the largest x) is kept apart: -inf takes its place, so that no sum contains it.

constexpr int kStride = 4 * L;  // doubles taken at a time; the buffers are padded to it
static_assert(kStride <= kWidePad, "the buffers' padding");

// The buffers of a row.
struct Lanes64 {
    double* x;
    double* slope;  // of x in the logit, times temperature; null: 1
    double* mass;   // the target's mass of each class but the anchor, 0 in the padding; null: none
    int64_t n;
};

template <class T> FL_FN void gather(const T* from, int64_t stride, int64_t n, double* to, double padding) {
    int64_t j = 0;
    if (stride == 1)
        for (; j + L <= n; j += L) store(to + j, wide(from + j));
    for (; j < n; ++j) to[j] = to_double(element(from + j * stride));
    std::fill(to + n, to + round_up(n, kStride), padding);
}

template <class T> FL_FN void scatter(const double* from, int64_t n, T* to, int64_t stride) {
    int64_t j = 0;
    if (stride == 1)
        for (; j + L <= n; j += L) unwide(to + j, load(from + j));
    for (; j < n; ++j) from_double(from[j], to + j * stride);
}

// Softcap and temperature, in place.
FL_FN void transform(const fl_xent_args& a, const Lanes64& row) {
    const D cap = splat(a.softcap), temperature = splat(a.temperature);
    for (int64_t j = 0; j < row.n; j += L) {
        D x = load(row.x + j);
        if (a.softcap != 0) {
            const Tanh t = tanh_wide(x / cap);
            x = cap * t.value;
            store(row.slope + j, t.slope);
        }
        store(row.x + j, x / temperature);
    }
    std::fill(row.x + row.n, row.x + round_up(row.n, kStride), -kInfinity);
}

struct WidePeak {
    double value;
    bool nan;  // or +inf
};
FL_FN WidePeak peak(const Lanes64& row) {
    D top[4];
    DI nan{};
    for (D& t : top) t = splat(-kInfinity);
    for (int64_t j = 0; j < row.n; j += kStride) {
        for (int k = 0; k < 4; ++k) {
            const D x = load(row.x + j + k * L);
            top[k] = maximum(x, top[k]);
            nan |= x != x;
        }
    }
    const double value = largest(maximum(maximum(top[0], top[1]), maximum(top[2], top[3])));
    return {value, any(nan) || value == kInfinity};
}

// Where the largest x stands first.
FL_FN int64_t first_at(const Lanes64& row, double value) {
    int64_t j = 0;
    while (!any(load(row.x + j) == value)) j += L;
    while (row.x[j] != value) ++j;
    return j;
}

// What the sums over the other classes come to, each x taken relative to a reference.
struct Others {
    double sum;  // of exp(x - reference)
    double gap;  // of mass * (reference - x)
};
// Puts the exponentials in the place of x.
template <bool Deep> FL_FN Others exponentials(const Lanes64& row, double reference) {
    const D r = splat(reference);
    WideSum<Deep> sum, gap;
    for (int64_t j = 0; j < row.n; j += kStride) {
        D e[4];
        for (int k = 0; k < 4; ++k) {
            const D x = load(row.x + j + k * L);
            D low{}, d = x - r;
            if (Deep) d = difference(x, r, low);
            e[k] = exp_wide<Deep>(d, low);
            store(row.x + j + k * L, e[k]);
            if (row.mass) {
                const D m = load(row.mass + j + k * L);
                gap.add(where(m == 0.0, D{}, m * -d));
            }
        }
        sum.add((e[0] + e[1]) + (e[2] + e[3]));
    }
    return {total(sum), total(gap)};
}

template <class R> FL_FN void multiply(double* by, const R* factors, int64_t n) {
    int64_t j = 0;
    for (; j + L <= n; j += L) store(by + j, load(by + j) * wide(factors + j));
    for (; j < n; ++j) by[j] *= factors[j];
}

// The mass that the target puts on each class.
template <class T> FL_FN void masses(const Call& call, int64_t i, const Lanes64& row) {
    const fl_xent_args& a = *call.args;
    const auto* class_weight = static_cast<const Real<T>*>(a.class_weight);
    const double keep = 1 - a.label_smoothing;
    if (a.target_kind == FL_DISTRIBUTION) {
        const auto* p = static_cast<const Real<T>*>(a.targets) + offset(a, a.target_strides, i);
        gather(p, a.target_strides.class_stride, row.n, row.mass, 0);
        if (a.label_smoothing != 0)
            for (int64_t j = 0; j < row.n; j += L) store(row.mass + j, keep * load(row.mass + j) + call.smoothing_mass);
    } else {
        std::fill(row.mass, row.mass + row.n, call.smoothing_mass);
        row.mass[index_target(a, i)] += keep;
    }
    if (class_weight) multiply(row.mass, class_weight, row.n);
    std::fill(row.mass + row.n, row.mass + round_up(row.n, kStride), 0.0);
}

template <bool Deep> FL_FN double sum_over(const double* p, int64_t n) {
    WideSum<Deep> sum;
    for (int64_t j = 0; j < n; j += kStride)
        sum.add((load(p + j) + load(p + j + L)) + (load(p + j + 2 * L) + load(p + j + 3 * L)));
    return total(sum);
}

// What a row's loss is made of, besides the classes' x.
struct WideRow {
    int64_t anchor;
    double anchor_x;
    double anchor_mass, rest_mass;  // of the anchor and of the other classes
    double push, lse_push;          // gradient of the row's loss, and of its lse
};

// loss = mass * (lse - x_anchor) + gap + z_loss * lse^2, and its gradient in the place of the exponentials.
template <bool Deep>
FL_FN Outcome finish_row(const fl_xent_args& a, const WideRow& row, const Lanes64& lanes, double reference, const Others& others) {
    const double q = row.anchor_x - reference, back = q - row.anchor_x;  // +inf when every other class is masked
    const double q_low = std::isfinite(q) ? (row.anchor_x - (q - back)) - (reference + back) : 0;
    const bool ahead = q >= 0;
    const double falling = std::exp(-std::fabs(q)) * (1 + (ahead ? -q_low : q_low));
    const double anchor_exp = ahead ? 1 : falling, scale = ahead ? falling : 1;
    const double sum = others.sum * scale + anchor_exp;
    const double anchor_loss = ahead ? std::log1p(others.sum * scale) : std::log(sum) - q - q_low;
    const double mass = row.anchor_mass + row.rest_mass;
    Outcome result{};
    result.lse = ahead ? row.anchor_x + anchor_loss : reference + std::log(sum);
    result.loss = (mass != 0 ? mass * anchor_loss : 0) + others.gap;
    if (anchor_loss == kInfinity && mass != 0) result.loss = mass * anchor_loss;
    if (a.z_loss != 0) result.loss += a.z_loss * result.lse * result.lse;
    if (!a.grad) return result;

    const double push = row.push / a.temperature;
    const double lse_pull = (row.push * 2 * a.z_loss * result.lse + row.lse_push) / a.temperature;
    const double pull = (push * mass + lse_pull) * scale / sum;
    for (int64_t j = 0; j < lanes.n; j += L) {
        D g = load(lanes.x + j) * pull;
        if (lanes.mass) g -= load(lanes.mass + j) * push;
        if (lanes.slope) g *= load(lanes.slope + j);
        store(lanes.x + j, g);
    }
    const double at_anchor = push * (row.rest_mass - mass * (others.sum * scale / sum)) + lse_pull * anchor_exp / sum;
    lanes.x[row.anchor] = lanes.slope ? at_anchor * lanes.slope[row.anchor] : at_anchor;
    return result;
}

// The row whose x stands in `lanes`; its target has mass on one class (lanes.mass is null) or on several.
template <bool Deep> FL_FN Outcome walk_wide(const fl_xent_args& a, WideRow& row, const Lanes64& lanes, int64_t target) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (!lanes.mass) {
        row.anchor = target;
        row.anchor_x = lanes.x[target];
        lanes.x[target] = -kInfinity;
    }
    const WidePeak top = peak(lanes);
    if (lanes.mass && !top.nan && top.value != -kInfinity) {
        row.anchor = first_at(lanes, top.value);
        row.anchor_x = top.value;
        lanes.x[row.anchor] = -kInfinity;
        row.anchor_mass = lanes.mass[row.anchor];
        lanes.mass[row.anchor] = 0;
        row.rest_mass = sum_over<Deep>(lanes.mass, lanes.n);
    }
    const bool undefined = top.nan || std::isnan(row.anchor_x) || row.anchor_x == kInfinity;
    if (undefined || (top.value == -kInfinity && (lanes.mass || row.anchor_x == -kInfinity))) {  // or every class masked
        std::fill(lanes.x, lanes.x + lanes.n, nan);
        return {nan, nan, false};
    }
    // Before the exponentials take the place of x.
    const bool is_argmax = lanes.mass ? row.anchor == target
                                      : row.anchor_x > top.value || (row.anchor_x == top.value && target < first_at(lanes, top.value));
    Others others{0, 0};
    if (top.value == -kInfinity) std::fill(lanes.x, lanes.x + lanes.n, 0.0);
    else others = exponentials<Deep>(lanes, top.value);
    Outcome result = finish_row<Deep>(a, row, lanes, top.value, others);
    result.anchor_is_argmax = is_argmax;
    return result;
}

template <class T> FL_TARGET void wide_rows(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    constexpr bool deep = std::is_same<T, double>::value;
    const fl_xent_args& a = *call.args;
    const bool hard = a.target_kind != FL_DISTRIBUTION;
    const auto reals = [](const void* p, int64_t i, double missing) {
        return p ? static_cast<double>(static_cast<const Real<T>*>(p)[i]) : missing;
    };
    Lanes64 lanes{};
    lanes.n = a.classes;
    const int64_t room = round_up(a.classes, kStride);
    lanes.x = scratch.doubles.reserve(3 * room);
    lanes.slope = lanes.x + room;
    lanes.mass = lanes.slope + room;
    if (a.softcap == 0) lanes.slope = nullptr;
    double* const mass = call.massive ? lanes.mass : nullptr;
    for (int64_t i = begin; i < end; ++i) {
        const int64_t target = hard ? index_target(a, i) : -1;
        const bool ignored = hard && target == a.ignore_index;
        const double weight = reals(a.row_weight, i, 1);
        Outcome outcome{0, 0, false};
        WideRow row{};
        row.push = ignored ? 0 : call.upstream * weight * reals(a.row_upstream, i, 1);
        row.lse_push = reals(a.lse_upstream, i, 0);
        if (a.classes > 0 && (!ignored || a.lse || a.lse_upstream)) {
            gather(static_cast<const T*>(a.logits) + offset(a, a.logits_strides, i), a.logits_strides.class_stride, a.classes,
                   lanes.x, -kInfinity);
            if (a.softcap != 0 || a.temperature != 1) transform(a, lanes);
            lanes.mass = ignored ? nullptr : mass;
            if (lanes.mass) masses<T>(call, i, lanes);
            else row.anchor_mass = ignored ? 0 : reals(a.class_weight, target, 1);
            outcome = walk_wide<deep>(a, row, lanes, ignored ? 0 : target);
            if (ignored && !a.lse_upstream) std::fill(lanes.x, lanes.x + a.classes, 0.0);
        } else {
            std::fill(lanes.x, lanes.x + a.classes, 0.0);
        }
        if (a.grad)
            scatter(lanes.x, a.classes, static_cast<T*>(a.grad) + offset(a, a.grad_strides, i), a.grad_strides.class_stride);
        put_outcome<T>(call, i, weight, ignored, outcome);
    }
}

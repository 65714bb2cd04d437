// Cross-entropy in float for rows of a few vectors, L at a time: what float_rows.h does, where a row's fixed costs would
// outweigh its elements. The largest logits, the frames and the sums of L rows are found side by side. A row that does not
// fit a frame without a shift (or has a NaN, an infinity) is left to float_rows.h. Compiled once per instruction set.

// Lane k of the result: all lanes of rows[k], added up.
template <int S = L / 2> FL_FN D added(D* rows) {
    for (int k = 0; k < S; ++k) {
        exchange<S>(rows[k], rows[k + S]);
        rows[k] += rows[k + S];
    }
    if constexpr (S > 1) return added<S / 2>(rows);
    return rows[0];
}
// Or the largest of them.
template <int S = L / 2> FL_FN D largest_of(D* rows) {
    for (int k = 0; k < S; ++k) {
        exchange<S>(rows[k], rows[k + S]);
        rows[k] = maximum(rows[k], rows[k + S]);
    }
    if constexpr (S > 1) return largest_of<S / 2>(rows);
    return rows[0];
}

// A row as whole vectors of floats, masked classes in the place of the anchor and behind the end.
template <class T> FL_FN void copy_row(const T* z, int64_t n, int64_t anchor, float* to) {
    if (n < W) {
        store(to, widen_first(z, static_cast<int>(n)));
    } else {
        store(to + round_up(n, W) - W, splat(-kInf));
        for (int64_t i = 0; i + W <= n; i += W) store(to + i, widen(z + i));
        store(to + n - W, widen(z + n - W));
    }
    to[anchor] = -kInf;
}

FL_FN D largest_lanes(const float* x, int64_t room) {
    F top = load(x);
    for (int64_t i = W; i < room; i += W) top = maximum(load(x + i), top);
    return maximum(low(top), high(top));
}

// Puts the exponentials in the place of a row's logits, and adds them in double: a few float additions would not average out.
FL_FN D exponential_lanes(float* x, int64_t room, const Frame& f) {
    D even{}, odd{};
    for (int64_t i = 0; i < room; i += W) {
        const F e = exp_framed(load(x + i), f);
        store(x + i, e);
        even += low(e);
        odd += high(e);
    }
    return even + odd;
}

// Whether the largest of L rows fit frames without a shift; of those that do, the exponent: any integer that is near will do.
FL_FN DI are_near(D top) { return absolute(top) <= static_cast<double>(kUnshifted); }
FL_FN D exponent_near(D top) { return (where(are_near(top), top, D{}) * kLog2e + kRound) - kRound; }

// What L rows are made of, whose anchors stand apart; and which of them are good. The others are as good as empty.
FL_FN DI put_sums(const fl_xent_args& a, D top, D others, RowLanes& t) {
    const D anchor_x = load(t.anchor_x);
    const DI is_tie = a.correct ? anchor_x == top : DI{};
    const DI is_good = are_near(top) & (others < kInfinity) & (absolute(anchor_x) < kInfinity) & ~is_tie;
    store(t.anchor_x, where(is_good, anchor_x, D{}));
    store(t.others, where(is_good, others, splat(1.0)));
    store(t.is_nan, D{});
    store(t.is_argmax, where(anchor_x > top, splat(1.0), D{}));
    return is_good;
}

// L rows, a lane each. Behind the last row of a call, the first of the group is taken again.
template <class T> struct ShortRows {
    FloatRow<T> rows[L];
    int count;
    int64_t is_good[L];
    RowLanes t;
};

template <class T> FL_FN void read_group(const Call& call, int64_t row, int count, float* x, Block* blocks, ShortRows<T>& group) {
    const fl_xent_args& a = *call.args;
    const int64_t room = round_up(a.classes, W);
    const Places<L> places(a, row, count);
    group.count = count;
    read_rows<T>(call, places, 0, row, count, group.t);
    for (int k = 0; k < L; ++k) {
        const auto* const z = static_cast<const T*>(a.logits) + places.offset(a.logits_strides, k);
        T* const g = a.grad ? static_cast<T*>(a.grad) + places.offset(a.grad_strides, k) : nullptr;
        const int64_t target = group.t.target[k];
        group.rows[k] = {z, g, x + k * room, blocks + k, {a.classes, a.classes}, target, group.t.counts[k] == 0};
        group.t.anchor_x[k] = to_float(element(z + target));
        copy_row(z, a.classes, target, x + k * room);
    }
}

// Sums the rows of a group, each in the frame of its maximum, and says which of them are good.
template <class T> FL_FN void sum_group(const fl_xent_args& a, ShortRows<T>& group) {
    const int64_t room = round_up(a.classes, W);
    RowLanes& t = group.t;
    D lanes[L];
    for (int k = 0; k < L; ++k) lanes[k] = largest_lanes(group.rows[k].kept, room);
    const D top = largest_of(lanes);
    const D exponent = exponent_near(top);
    float cut[L], magic[L];
    unwide(cut, (exponent - static_cast<double>(kFloor)) * kLn2);
    unwide(magic, static_cast<double>(kMagic) - static_cast<double>(kSteps) * (exponent - static_cast<double>(kBias)));
    for (int k = 0; k < L; ++k) lanes[k] = exponential_lanes(group.rows[k].kept, room, {0, cut[k], magic[k]});
    store(t.reference, exponent * kLn2);
    store(group.is_good, put_sums(a, top, 0x1p-64 * added(lanes), t));
    for (int k = 0; k < group.count; ++k)
        if (!group.is_good[k] && !group.rows[k].skipped) sum_row(group.rows[k], k, a.correct != nullptr, t);
}

// Writes a row's gradient; its lines are its neighbours', too.
template <class T> FL_FN void write_short(T* g, const Slope& s, int64_t n) {
    int64_t i = 0;
    for (; i + W <= n; i += W) narrow(g + i, gradient(s, i));
    if (n < W) narrow_first(g, gradient(s, 0), static_cast<int>(n));
    else if (i < n) narrow(g + n - W, gradient(s, n - W));  // some once more: cheaper than a masked store
    from_float(s.at_anchor, g + s.anchor);
}

template <class T> FL_FN void write_group(const ShortRows<T>& group, bool streaming) {
    double scale[L];
    float at_anchor[L];
    store(scale, load(group.t.pull) * 0x1p-64);
    unwide(at_anchor, load(group.t.at_anchor));
    for (int k = 0; k < group.count; ++k) {
        const FloatRow<T>& row = group.rows[k];
        if (!group.is_good[k] || row.skipped) {
            write_gradient(row, k, streaming, group.t);
            continue;
        }
        const int64_t n = row.cut.classes;
        const Slope slope{row.kept, float_scale(scale[k], row.kept, n), row.target, at_anchor[k]};
        if (streaming) write(row.g, slope, n, true);
        else write_short(row.g, slope, n);
    }
}

template <class T> FL_TARGET void short_rows(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    constexpr int most = 4;  // groups in flight, to hide the latency of what is done once a group
    const fl_xent_args& a = *call.args;
    const int64_t room = L * round_up(a.classes, W), step = L * std::max<int64_t>(1, std::min<int64_t>(most, kBatchElements / room));
    float* const x = scratch.floats.reserve(step / L * room + kPad);
    Block* const blocks = scratch.blocks.reserve((a.classes / kBlock + 1) * step);
    ShortRows<T> groups[most];
    for (int64_t first = begin; first < end; first += step) {
        const int count = static_cast<int>((std::min(step, end - first) + L - 1) / L);
        for (int i = 0; i < count; ++i) {
            const int64_t row = first + i * L;
            read_group(call, row, static_cast<int>(std::min<int64_t>(L, end - row)), x + i * room, blocks + i * L, groups[i]);
        }
        for (int i = 0; i < count; ++i) sum_group(a, groups[i]);
        for (int i = 0; i < count; ++i) finish_rows<false>(a, groups[i].t);
        for (int i = 0; i < count; ++i) put_rows<T>(call, groups[i].t, first + i * L, groups[i].count);
        for (int i = 0; a.grad && i < count; ++i) write_group(groups[i], call.stream);
    }
    if (a.grad && call.stream) finish_streams();
}

// Cross-entropy in double, a row at a time: every option and dtype. Compiled once per instruction set.
//
// A row's x, then its exponentials stand in a buffer of doubles. The anchor class (the target; for a target with mass on
// several classes, the largest x) is kept apart: -inf takes its place, so that no sum contains it.

constexpr int kStride = 4 * L;  // doubles taken at a time; the buffers are padded to it

// The buffers of a row.
struct WideRow {
    double* x;
    double* low;     // what x has lost by rounding; null: nothing
    double* slope;   // of x in the logit, times temperature; null: 1
    double* mass;    // the target's mass of each class but the anchor, 0 in the padding; null: none
    int64_t n;
    int64_t anchor;
    bool skipped;    // ignored, and nobody asks for its lse
};

struct WidePeak {
    double value;
    bool nan;  // or +inf
};
// Finds the largest of what it is given, vector by vector.
struct WidePeaks {
    D top[2] = {splat(-kInfinity), splat(-kInfinity)};
    DI nan{};
    FL_TARGET void see(D a, D b) {
        top[0] = maximum(a, top[0]);
        top[1] = maximum(b, top[1]);
        nan |= (a != a) | (b != b);
    }
    FL_TARGET WidePeak peak() const {
        const double value = largest(maximum(top[0], top[1]));
        return {value, any(nan) || value == kInfinity};
    }
};
FL_FN WidePeak peak(const WideRow& row) {
    WidePeaks peaks;
    for (int64_t j = 0; j < row.n; j += 2 * L) peaks.see(load(row.x + j), load(row.x + j + L));
    return peaks.peak();
}

FL_FN void pad(double* row, int64_t n, double padding) { std::fill(row + n, row + round_up(n, kStride), padding); }

template <class T> FL_FN void read_row(const T* from, int64_t n, double* to) {
    int64_t j = 0;
    for (; j + L <= n; j += L) store(to + j, wide(from + j));
    for (; j < n; ++j) to[j] = to_double(element(from + j));
}

// Where the largest x stands first.
FL_FN int64_t first_at(const WideRow& row, double value) {
    int64_t j = 0;
    while (!any(load(row.x + j) == value)) j += L;
    while (row.x[j] != value) ++j;
    return j;
}

struct Sums {
    double others;  // of exp(x - reference)
    double gap;     // of mass * (reference - x)
    double rest;    // of mass
};
// Puts the exponentials in the place of x.
template <bool Deep, bool Massive> FL_FN Sums take_exponentials(const WideRow& row, double reference, double reference_low) {
    const D r = splat(reference);
    WideSum<Deep> sum, gap, rest;
    for (int64_t j = 0; j < row.n; j += kStride) {
        D e[4], gaps[4], m[4];
        for (int k = 0; k < 4; ++k) {
            const D x = load(row.x + j + k * L);
            D low{}, d = x - r;
            if (Deep) d = row.low ? full_difference(x, load(row.low + j + k * L) - reference_low, r, low) : difference(x, r, low);
            e[k] = exp_wide<Deep>(d, low);
            store(row.x + j + k * L, e[k]);
            if (Massive) {
                m[k] = load(row.mass + j + k * L);
                gaps[k] = where(m[k] == 0.0, D{}, m[k] * -d);
            }
        }
        add_four(sum, e);
        if (Massive) {
            add_four(gap, gaps);
            add_four(rest, m);
        }
    }
    return {total(sum), total(gap), total(rest)};
}

FL_FN void multiply(double* by, const double* factors, int64_t n) {
    for (int64_t j = 0; j < n; j += L) store(by + j, load(by + j) * load(factors + j));
}

// The mass that a target puts on each class; `at` is where its probabilities begin.
FL_FN void read_masses(const Call& call, int64_t at, int64_t target, const WideRow& row) {
    const fl_xent_args& a = *call.args;
    const double keep = 1 - a.label_smoothing;
    if (a.target_kind == FL_DISTRIBUTION) {
        const int64_t stride = a.target_strides.class_stride;
        typed(a.targets, a.target_dtype, [&](auto* p) FL_TARGET {
            if (stride == 1) return read_row(p + at, row.n, row.mass);
            for (int64_t j = 0; j < row.n; ++j) row.mass[j] = to_double(element(p + at + j * stride));
        });
        if (a.label_smoothing != 0)
            for (int64_t j = 0; j < row.n; j += L) store(row.mass + j, keep * load(row.mass + j) + call.smoothing_mass);
    } else {
        std::fill(row.mass, row.mass + row.n, call.smoothing_mass);
        row.mass[target] += keep;
    }
    if (call.class_weight) multiply(row.mass, call.class_weight, row.n);
    pad(row.mass, row.n, 0);
}

// Finds the anchor of the row at lane k, and its sums.
template <bool Deep> FL_FN void sum_row(WideRow& row, int k, RowLanes& t) {
    const int64_t target = row.anchor;
    if (!row.mass) {
        t.anchor_x[k] = row.x[target];
        row.x[target] = -kInfinity;
    }
    const WidePeak top = peak(row);
    t.reference[k] = top.value;
    if (row.mass) {
        t.anchor_x[k] = top.value;
        row.anchor = top.nan || top.value == -kInfinity ? 0 : first_at(row, top.value);
        row.x[row.anchor] = -kInfinity;
        t.anchor_mass[k] = row.mass[row.anchor];
        row.mass[row.anchor] = 0;
    }
    const double x = t.anchor_x[k];
    t.anchor_low[k] = row.low ? row.low[row.anchor] : 0;
    t.reference_low[k] = row.mass ? t.anchor_low[k] : 0;
    t.is_nan[k] = top.nan || std::isnan(x) || x == kInfinity || (x == -kInfinity && top.value == -kInfinity);
    t.is_argmax[k] = row.mass ? row.anchor == target : x > top.value || (x == top.value && x > -kInfinity && target < first_at(row, x));
    t.others[k] = 0;
    if (t.is_nan[k] != 0) return;
    if (top.value == -kInfinity) return std::fill(row.x, row.x + row.n, 0.0);
    const Sums sums = row.mass ? take_exponentials<Deep, true>(row, top.value, t.reference_low[k]) : take_exponentials<Deep, false>(row, top.value, 0);
    t.others[k] = sums.others;
    t.gap[k] = sums.gap;
    t.rest_mass[k] = sums.rest;
}

template <class T> FL_FN void write_gradient(const WideRow& row, int k, const RowLanes& t, T* to) {
    if (row.skipped || t.is_nan[k] != 0) {
        for (int64_t j = 0; j < row.n; ++j) from_double(row.skipped ? 0 : t.nan_gradient[k], to + j);
        return;
    }
    const auto gradient = [&](int64_t j) FL_TARGET {
        D g = load(row.x + j) * t.pull[k];
        if (row.mass) g -= load(row.mass + j) * t.push[k];
        return row.slope ? g * load(row.slope + j) : g;
    };
    int64_t j = 0;
    for (; j + L <= row.n; j += L) unwide(to + j, gradient(j));
    if (j < row.n) {
        const D g = gradient(j);
        for (int i = 0; j + i < row.n; ++i) from_double(g[i], to + j + i);
    }
    from_double(row.slope ? t.at_anchor[k] * row.slope[row.anchor] : t.at_anchor[k], to + row.anchor);
}

template <class T> FL_TARGET void wide_rows(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    constexpr bool deep = std::is_same<T, double>::value;
    const fl_xent_args& a = *call.args;
    const bool capped = a.softcap != 0, transformed = capped || a.temperature != 1;
    constexpr int kBuffers = deep ? 4 : 3;
    const bool may_skip = !a.lse && !a.lse_upstream;
    const int64_t room = round_up(a.classes, kStride);
    const int batch = batch_of(4 * a.classes);
    double* const buffers = scratch.doubles.reserve(kBuffers * room * batch);
    RowLanes t{};
    WideRow rows[L];
    for (int64_t i = begin; i < end; i += batch) {
        const int count = static_cast<int>(std::min<int64_t>(batch, end - i));
        const Places<L> places(a, i, count);
        read_rows<T>(call, places, 0, i, count, t);
        for (int k = 0; k < count; ++k) {
            double* const x = buffers + kBuffers * room * k;
            const bool ignored = t.counts[k] == 0;
            rows[k] = {x, deep && transformed ? x + 3 * room : nullptr, capped ? x + room : nullptr, call.massive && !ignored ? x + 2 * room : nullptr,
                       a.classes, t.target[k], ignored && may_skip};
            if (rows[k].skipped) continue;
            read_row(static_cast<const T*>(a.logits) + places.offset(a.logits_strides, k), a.classes, x);
            if (transformed) transform<deep>(a, x, rows[k].low, rows[k].slope, a.classes);
            if (rows[k].low) pad(rows[k].low, a.classes, 0);
            pad(x, a.classes, -kInfinity);
            if (rows[k].mass)
                read_masses(call, places.offset(a.target_strides, k), t.target[k], rows[k]);
            sum_row<deep>(rows[k], k, t);
        }
        finish_rows<deep>(a, t);
        put_rows<T>(call, t, i, count);
        for (int k = 0; a.grad && k < count; ++k)
            write_gradient(rows[k], k, t, static_cast<T*>(a.grad) + places.offset(a.grad_strides, k));
    }
}

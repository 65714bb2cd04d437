// Cross-entropy in double, vectorised across rows: for few classes, and for classes that lie apart (pixels). Every option
// and dtype. Compiled once per instruction set.
//
// A tile is kTile rows by all classes, in doubles, a class after the other; so a vector holds one class of L rows. As in
// wide_rows.h, -inf takes the anchor's place, and x, its exponentials and the gradient stand in the same buffer.

constexpr int kVectors = 4;  // independent, to hide the latency of exp
constexpr int kTile = kVectors * L;

// What stands in a tile's rows, class after class; the strides of the tile are {1, kTile}.
struct Tile {
    double* x;
    double* slope;  // null: 1
    double* mass;   // null: all mass is the target's
    int rows;       // kTile, or fewer at the end; the lanes beyond repeat the first row
};

// Where a tile's rows stand: their steps into the outer and the inner dimension.
struct Places {
    int64_t outer[kTile], inner[kTile];
    bool one_run;  // whole, and within one step of the outer dimension
};
FL_FN Places places(const fl_xent_args& a, int64_t row, int rows) {
    Places p;
    int64_t outer = row / a.inner, inner = row % a.inner;
    p.one_run = rows == kTile && (a.inner == 1 || inner + kTile <= a.inner);
    for (int k = 0; k < kTile; ++k) {
        p.outer[k] = k < rows ? outer : p.outer[0];
        p.inner[k] = k < rows ? inner : p.inner[0];
        if (++inner == a.inner) inner = 0, ++outer;
    }
    return p;
}

// Whether the tile's rows are neighbours in memory.
FL_FN bool are_neighbours(const fl_xent_args& a, const Places& p, const fl_strides& s) {
    return p.one_run && (a.inner == 1 ? s.outer_stride : s.inner_stride) == 1;
}

template <class T> FL_FN void load_tile(const fl_xent_args& a, const Places& p, const fl_strides& s, const void* from, double* to) {
    const auto* array = static_cast<const T*>(from);
    if (are_neighbours(a, p, s)) {
        const T* at = array + p.outer[0] * s.outer_stride + p.inner[0] * s.inner_stride;
        for (int64_t j = 0; j < a.classes; ++j)
            for (int v = 0; v < kVectors; ++v) store(to + j * kTile + v * L, wide(at + j * s.class_stride + v * L));
        return;
    }
    for (int k = 0; k < kTile; ++k) {
        const T* at = array + p.outer[k] * s.outer_stride + p.inner[k] * s.inner_stride;
        for (int64_t j = 0; j < a.classes; ++j) to[j * kTile + k] = to_double(element(at + j * s.class_stride));
    }
}

template <class T> FL_FN void store_tile(const fl_xent_args& a, const Places& p, const double* from, int rows) {
    const fl_strides& s = a.grad_strides;
    auto* array = static_cast<T*>(a.grad);
    if (are_neighbours(a, p, s)) {
        T* at = array + p.outer[0] * s.outer_stride + p.inner[0] * s.inner_stride;
        for (int64_t j = 0; j < a.classes; ++j)
            for (int v = 0; v < kVectors; ++v) unwide(at + j * s.class_stride + v * L, load(from + j * kTile + v * L));
        return;
    }
    for (int k = 0; k < rows; ++k) {
        T* at = array + p.outer[k] * s.outer_stride + p.inner[k] * s.inner_stride;
        for (int64_t j = 0; j < a.classes; ++j) from_double(from[j * kTile + k], at + j * s.class_stride);
    }
}

// A number for each row of a tile.
struct alignas(64) PerRow {
    double lane[kTile];
    FL_TARGET D operator[](int v) const { return load(lane + v * L); }
    FL_TARGET void set(int v, D value) { store(lane + v * L, value); }
};
FL_FN PerRow per_row(double value) {
    PerRow all;
    std::fill(all.lane, all.lane + kTile, value);
    return all;
}
// From an array with an element a row, or null.
template <class R> FL_FN PerRow per_row(const void* from, int64_t row, int rows, double missing) {
    PerRow all = per_row(missing);
    if (from)
        for (int k = 0; k < rows; ++k) all.lane[k] = static_cast<const R*>(from)[row + k];
    return all;
}

// The classes that a tile's rows are told apart by, in lanes of integers.
struct alignas(64) Classes {
    int64_t lane[kTile];
    FL_TARGET DI operator[](int v) const { DI c; std::memcpy(&c, lane + v * L, sizeof c); return c; }
    FL_TARGET void set(int v, DI c) { std::memcpy(lane + v * L, &c, sizeof c); }
};

// All that is known of a tile's rows.
struct TileRows {
    Classes target;         // 0 where ignored
    PerRow weight, counts;  // row_weight; 1, or 0 where ignored
    PerRow push, lse_push;  // gradient of the row's loss, and of its lse
    PerRow anchor_mass, rest_mass;
    PerRow others, gap;     // sums over the classes but the anchor: of exp(x - top), and of mass * (top - x)
    PerRow anchor_x;
    PerRow top;             // the largest x but the target's; of all if mass is on several classes
    Classes first;          // where `top` stands first
    PerRow nan;             // 1 where a NaN or +inf is in the row
    PerRow nan_gradient;    // what the gradient is there: NaN, or 0 where the row is ignored
    PerRow loss, lse;
    PerRow pull, at_anchor;  // of the gradient: what the exponentials are multiplied by; the anchor's own
};

template <class T> FL_FN void read_rows(const Call& call, const Places& p, int64_t row, int rows, TileRows& t) {
    using R = Real<T>;
    const fl_xent_args& a = *call.args;
    t.weight = per_row<R>(a.row_weight, row, rows, 1);
    t.push = per_row<R>(a.row_upstream, row, rows, 1);
    t.lse_push = per_row<R>(a.lse_upstream, row, rows, 0);
    t.counts = per_row(1.0);
    t.anchor_mass = per_row(1.0);
    const auto* weight = static_cast<const R*>(a.class_weight);
    if (a.target_kind != FL_DISTRIBUTION) {
        for (int k = 0; k < kTile; ++k) {
            const int64_t at = p.outer[k] * a.target_strides.outer_stride + p.inner[k] * a.target_strides.inner_stride;
            const int64_t c = a.target_kind == FL_INDEX32 ? static_cast<const int32_t*>(a.targets)[at]
                                                          : static_cast<const int64_t*>(a.targets)[at];
            t.counts.lane[k] = c != a.ignore_index;
            t.target.lane[k] = c != a.ignore_index ? c : 0;
        }
        if (weight)
            for (int k = 0; k < kTile; ++k) t.anchor_mass.lane[k] = weight[t.target.lane[k]];
    }
    for (int v = 0; v < kVectors; ++v) {
        t.push.set(v, call.upstream * t.weight[v] * t.push[v] * t.counts[v]);
        t.anchor_mass.set(v, t.anchor_mass[v] * t.counts[v]);
    }
}

FL_FN void transform_tile(const fl_xent_args& a, const Tile& tile) {
    const D cap = splat(a.softcap), temperature = splat(a.temperature);
    for (int64_t i = 0; i < a.classes * kTile; i += L) {
        D x = load(tile.x + i);
        if (a.softcap != 0) {
            const Tanh tanh = tanh_wide(x / cap);
            x = cap * tanh.value;
            store(tile.slope + i, tanh.slope);
        }
        store(tile.x + i, x / temperature);
    }
}

// Finds each row's anchor and top. Where only the target has mass, it is the anchor, and its x becomes -inf.
template <bool Massive> FL_FN void find_anchors(const fl_xent_args& a, const Tile& tile, TileRows& t) {
    const D lowest = splat(-kInfinity);
    D top[kVectors], anchor_x[kVectors];
    DI first[kVectors], nan[kVectors];
    for (int v = 0; v < kVectors; ++v) top[v] = anchor_x[v] = lowest, first[v] = nan[v] = DI{};
    for (int64_t j = 0; j < a.classes; ++j) {
        for (int v = 0; v < kVectors; ++v) {
            double* const at = tile.x + j * kTile + v * L;
            D x = load(at);
            nan[v] |= x != x;
            if (!Massive) {
                const DI is_target = t.target[v] == j;
                anchor_x[v] = where(is_target, x, anchor_x[v]);
                x = where(is_target, lowest, x);
                store(at, x);
            }
            const DI higher = x > top[v];
            top[v] = where(higher, x, top[v]);
            first[v] = (higher & j) | (~higher & first[v]);
        }
    }
    for (int v = 0; v < kVectors; ++v) {
        if (Massive) anchor_x[v] = top[v];
        nan[v] |= (top[v] == kInfinity) | (anchor_x[v] == kInfinity) | ((top[v] == -kInfinity) & (anchor_x[v] == -kInfinity));
        t.nan.set(v, where(nan[v], splat(1.0), D{}));
        t.top.set(v, top[v]);
        t.anchor_x.set(v, anchor_x[v]);
        t.first.set(v, first[v]);
    }
}

// The mass that the targets of the v-th vector of rows put on class j.
template <class T> FL_FN D mass_of(const Call& call, const Tile& tile, const TileRows& t, int64_t j, int v) {
    const fl_xent_args& a = *call.args;
    const double keep = 1 - a.label_smoothing;
    const D p = tile.mass ? load(tile.mass + j * kTile + v * L) : where(t.target[v] == j, splat(1.0), D{});
    const double weight = a.class_weight ? static_cast<const Real<T>*>(a.class_weight)[j] : 1.0;
    return (p * keep + call.smoothing_mass) * weight;
}

// Puts the exponentials in the place of x, 0 at the anchor, and sums.
template <class T, bool Massive> FL_FN void take_exponentials(const Call& call, const Tile& tile, TileRows& t) {
    constexpr bool deep = std::is_same<T, double>::value;
    WideSum<deep> others[kVectors], gap[kVectors], rest[kVectors];
    D anchor_mass[kVectors], reference[kVectors];
    for (int v = 0; v < kVectors; ++v) {
        reference[v] = where(t.top[v] == -kInfinity, D{}, t.top[v]);
        anchor_mass[v] = D{};
    }
    for (int64_t j = 0; j < call.args->classes; ++j) {
        for (int v = 0; v < kVectors; ++v) {
            double* const at = tile.x + j * kTile + v * L;
            const D x = load(at);
            D low{}, d = x - reference[v];
            if (deep) d = difference(x, reference[v], low);
            D e = exp_wide<deep>(d, low);
            if (Massive) {
                const DI is_anchor = t.first[v] == j;
                const D mass = mass_of<T>(call, tile, t, j, v);
                e = where(is_anchor, D{}, e);
                anchor_mass[v] = where(is_anchor, mass, anchor_mass[v]);
                rest[v].add(where(is_anchor, D{}, mass));
                gap[v].add(where(is_anchor | (mass == 0.0), D{}, mass * -d));
            }
            others[v].add(e);
            store(at, e);
        }
    }
    for (int v = 0; v < kVectors; ++v) {
        t.others.set(v, others[v].lanes());
        t.gap.set(v, gap[v].lanes());
        t.rest_mass.set(v, rest[v].lanes());
        if (Massive) t.anchor_mass.set(v, anchor_mass[v]);
    }
}

// Loss, lse and the coefficients of the gradient, of the v-th vector of rows; the formulas are those of finish_row.
template <bool Deep> FL_FN void finish_rows(const fl_xent_args& a, TileRows& t, int v) {
    const D anchor_x = t.anchor_x[v], others = t.others[v];
    D q_low, q = difference(anchor_x, t.top[v], q_low);  // +inf when every other class is masked
    q_low = Deep ? where(q_low == q_low, q_low, D{}) : D{};
    const DI ahead = q >= 0.0;
    const D falling = exp_wide<Deep>(-absolute(q), where(ahead, -q_low, q_low));
    const D anchor_exp = where(ahead, splat(1.0), falling), scale = where(ahead, falling, splat(1.0));
    const D sum = others * scale + anchor_exp;
    const D log = log1p_wide(where(ahead, others * falling, (others - 1.0) + falling));
    const D anchor_loss = where(ahead, log, log - q - q_low);
    const D lse = log + where(ahead, anchor_x, t.top[v]);
    const D mass = t.anchor_mass[v] + t.rest_mass[v];
    D loss = where(mass == 0.0, D{}, mass * anchor_loss);
    loss = where(anchor_loss == kInfinity, loss, loss + t.gap[v]) + a.z_loss * lse * lse;
    const DI is_nan = t.nan[v] != 0.0;
    const D nan = splat(std::numeric_limits<double>::quiet_NaN());
    t.lse.set(v, where(is_nan, nan, lse));
    t.loss.set(v, where(is_nan, nan, loss));
    t.nan_gradient.set(v, a.lse_upstream ? nan : where(t.counts[v] == 0.0, D{}, nan));

    const D push = t.push[v] / a.temperature;
    const D lse_pull = (t.push[v] * (2 * a.z_loss) * lse + t.lse_push[v]) / a.temperature;
    t.push.set(v, push);
    t.pull.set(v, (push * mass + lse_pull) * scale / sum);
    t.at_anchor.set(v, push * (t.rest_mass[v] - mass * (others * scale / sum)) + lse_pull * anchor_exp / sum);
}

// The gradient, in the place of the exponentials.
template <class T, bool Massive> FL_FN void take_gradient(const Call& call, const Tile& tile, const TileRows& t) {
    for (int64_t j = 0; j < call.args->classes; ++j) {
        for (int v = 0; v < kVectors; ++v) {
            double* const at = tile.x + j * kTile + v * L;
            D g = load(at) * t.pull[v];
            if (Massive) g -= mass_of<T>(call, tile, t, j, v) * t.push[v];
            g = where((Massive ? t.first[v] : t.target[v]) == j, t.at_anchor[v], g);
            if (tile.slope) g *= load(tile.slope + j * kTile + v * L);
            store(at, where(t.nan[v] != 0.0, t.nan_gradient[v], g));
        }
    }
}

template <class T> FL_FN void put_rows(const Call& call, const TileRows& t, int64_t row, int rows) {
    const fl_xent_args& a = *call.args;
    for (int k = 0; k < rows; ++k) {
        const bool hard = a.target_kind != FL_DISTRIBUTION, ignored = t.counts.lane[k] == 0;
        const bool is_first = call.massive ? t.first.lane[k] == t.target.lane[k]
                                           : t.anchor_x.lane[k] > t.top.lane[k] ||
                                                 (t.anchor_x.lane[k] == t.top.lane[k] && t.target.lane[k] < t.first.lane[k]);
        put_outcome<T>(call, row + k, t.weight.lane[k], ignored, {t.loss.lane[k], t.lse.lane[k], hard && is_first});
    }
}

template <class T, bool Massive> FL_FN void walk_columns(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    constexpr bool deep = std::is_same<T, double>::value;
    const fl_xent_args& a = *call.args;
    const int64_t room = a.classes * kTile;
    Tile tile{};
    tile.x = scratch.doubles.reserve(3 * room);
    tile.slope = a.softcap != 0 ? tile.x + room : nullptr;
    tile.mass = a.target_kind == FL_DISTRIBUTION ? tile.x + 2 * room : nullptr;
    TileRows t;
    for (int64_t row = begin; row < end; row += kTile) {
        const int rows = static_cast<int>(std::min<int64_t>(kTile, end - row));
        const Places p = places(a, row, rows);
        read_rows<T>(call, p, row, rows, t);
        load_tile<T>(a, p, a.logits_strides, a.logits, tile.x);
        if (tile.mass) load_tile<Real<T>>(a, p, a.target_strides, a.targets, tile.mass);
        if (a.softcap != 0 || a.temperature != 1) transform_tile(a, tile);
        find_anchors<Massive>(a, tile, t);
        take_exponentials<T, Massive>(call, tile, t);
        for (int v = 0; v < kVectors; ++v) finish_rows<deep>(a, t, v);
        put_rows<T>(call, t, row, rows);
        if (!a.grad) continue;
        take_gradient<T, Massive>(call, tile, t);
        store_tile<T>(a, p, tile.x, rows);
    }
}

template <class T> FL_TARGET void columns(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    if (call.massive) walk_columns<T, true>(call, begin, end, scratch);
    else walk_columns<T, false>(call, begin, end, scratch);
}

// Cross-entropy in double, vectorised across rows: for few classes, and for classes that lie apart (pixels). Every option
// and dtype. Compiled once per instruction set.
//
// A tile is kTile rows by all classes, in doubles, a class after the other; so a vector holds one class of L rows. As in
// wide_rows.h, -inf takes the anchor's place, and x, its exponentials and the gradient stand in the same buffer.

constexpr int kVectors = 4;  // independent, to hide the latency of exp
constexpr int kTile = kVectors * L;

// What stands in a tile's rows, class after class.
struct Tile {
    double* x;
    double* low;    // what x has lost by rounding; null: nothing
    double* slope;  // of x in the logit, times temperature; null: 1
    double* mass;   // probabilities; null: class indices
};

using TilePlaces = Places<kTile>;

// Whether the tile's rows are neighbours in memory.
template <int N> FL_FN bool are_neighbours(const fl_xent_args& a, const Places<N>& p, const fl_strides& s) {
    return p.are_one_run && (a.inner == 1 ? s.outer_stride : s.inner_stride) == 1;
}

template <int S> FL_FN void exchange_all(D* rows) {
    for (int k = 0; k < L; ++k)
        if (!(k & S)) exchange<S>(rows[k], rows[k + S]);
    if constexpr (S > 1) exchange_all<S / 2>(rows);
}
// L vectors of L lanes.
FL_FN void transpose(D* rows) { exchange_all<L / 2>(rows); }

template <class T> FL_FN void load_tile(const fl_xent_args& a, const TilePlaces& p, const fl_strides& s, const T* array, double* to) {
    if (are_neighbours(a, p, s)) {
        const T* at = array + p.offset(s, 0);
        for (int64_t j = 0; j < a.classes; ++j)
            for (int v = 0; v < kVectors; ++v) store(to + j * kTile + v * L, wide(at + j * s.class_stride + v * L));
        return;
    }
    const int64_t squares = s.class_stride == 1 ? a.classes / L * L : 0;
    for (int k = 0; k < kTile; k += L) {
        for (int64_t j = 0; j < squares; j += L) {
            D rows[L];
            for (int i = 0; i < L; ++i) rows[i] = wide(array + p.offset(s, k + i) + j);
            transpose(rows);
            for (int i = 0; i < L; ++i) store(to + (j + i) * kTile + k, rows[i]);
        }
    }
    for (int k = 0; k < kTile; ++k) {
        const T* at = array + p.offset(s, k);
        for (int64_t j = squares; j < a.classes; ++j) to[j * kTile + k] = to_double(element(at + j * s.class_stride));
    }
}

template <class T> FL_FN void store_tile(const fl_xent_args& a, const TilePlaces& p, const double* from, int rows) {
    const fl_strides& s = a.grad_strides;
    auto* array = static_cast<T*>(a.grad);
    if (are_neighbours(a, p, s)) {
        T* at = array + p.offset(s, 0);
        for (int64_t j = 0; j < a.classes; ++j)
            for (int v = 0; v < kVectors; ++v) unwide(at + j * s.class_stride + v * L, load(from + j * kTile + v * L));
        return;
    }
    const int64_t squares = s.class_stride == 1 && rows == kTile ? a.classes / L * L : 0;
    for (int k = 0; k < rows; k += L) {
        for (int64_t j = 0; j < squares; j += L) {
            D lanes[L];
            for (int i = 0; i < L; ++i) lanes[i] = load(from + (j + i) * kTile + k);
            transpose(lanes);
            for (int i = 0; i < L; ++i) unwide(array + p.offset(s, k + i) + j, lanes[i]);
        }
    }
    for (int k = 0; k < rows; ++k) {
        T* at = array + p.offset(s, k);
        for (int64_t j = squares; j < a.classes; ++j) from_double(from[j * kTile + k], at + j * s.class_stride);
    }
}

// Finds each row's anchor and reference, the largest x of the others. Where only the target has mass, it is the anchor, and
// its x becomes -inf; else the first of the largest is, and the reference, too. `anchors` says where it stands.
template <bool Massive> FL_FN void find_anchors(const fl_xent_args& a, const Tile& tile, RowLanes* t, DI* anchors) {
    const D lowest = splat(-kInfinity);
    D top[kVectors], anchor_x[kVectors];
    DI first[kVectors], nan[kVectors];
    for (int v = 0; v < kVectors; ++v) {
        top[v] = anchor_x[v] = lowest;
        first[v] = nan[v] = DI{};
        anchors[v] = load(t[v].target);
    }
    for (int64_t j = 0; j < a.classes; ++j) {
        for (int v = 0; v < kVectors; ++v) {
            double* const at = tile.x + j * kTile + v * L;
            D x = load(at);
            nan[v] |= x != x;
            if (!Massive) {
                const DI is_target = anchors[v] == j;
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
        const DI is_argmax = Massive ? first[v] == anchors[v]
                                     : (anchor_x[v] > top[v]) | ((anchor_x[v] == top[v]) & (anchors[v] < first[v]));
        if (Massive) anchors[v] = first[v];
        nan[v] |= (top[v] == kInfinity) | (anchor_x[v] == kInfinity) | ((top[v] == -kInfinity) & (anchor_x[v] == -kInfinity));
        store(t[v].is_argmax, where(is_argmax, splat(1.0), D{}));
        store(t[v].is_nan, where(nan[v], splat(1.0), D{}));
        store(t[v].reference, top[v]);
        store(t[v].anchor_x, anchor_x[v]);
        for (int k = 0; tile.low && k < L; ++k) t[v].anchor_low[k] = tile.low[anchors[v][k] * kTile + v * L + k];
        if (Massive) store(t[v].reference_low, load(t[v].anchor_low));
    }
}

// The mass that the targets of a vector of rows put on class j.
FL_FN D mass_of(const Call& call, const Tile& tile, const RowLanes& t, int64_t j, int v) {
    const D p = tile.mass ? load(tile.mass + j * kTile + v * L) : where(load(t.target) == j, splat(1.0), D{});
    return (p * (1 - call.args->label_smoothing) + call.smoothing_mass) * (call.class_weight ? call.class_weight[j] : 1.0);
}

// Puts the exponentials in the place of x, 0 at the anchor, and sums.
template <class T, bool Massive> FL_FN void take_exponentials(const Call& call, const Tile& tile, RowLanes* t, const DI* anchors) {
    constexpr bool deep = std::is_same<T, double>::value;
    WideSum<deep> others[kVectors], gap[kVectors], rest[kVectors];
    D anchor_mass[kVectors], reference[kVectors];
    for (int v = 0; v < kVectors; ++v) {
        const D top = load(t[v].reference);
        reference[v] = where(top == -kInfinity, D{}, top);  // of nothing
        anchor_mass[v] = D{};
    }
    for (int64_t j = 0; j < call.args->classes; ++j) {
        for (int v = 0; v < kVectors; ++v) {
            double* const at = tile.x + j * kTile + v * L;
            const D x = load(at);
            D low{}, d = x - reference[v];
            if (deep) d = tile.low ? full_difference(x, load(tile.low + j * kTile + v * L) - load(t[v].reference_low), reference[v], low)
                                   : difference(x, reference[v], low);
            D e = exp_wide<deep>(d, low);
            if (Massive) {
                const DI is_anchor = anchors[v] == j;
                const D mass = mass_of(call, tile, t[v], j, v);
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
        store(t[v].others, others[v].lanes());
        if (!Massive) continue;
        store(t[v].gap, gap[v].lanes());
        store(t[v].rest_mass, rest[v].lanes() * load(t[v].counts));
        store(t[v].anchor_mass, anchor_mass[v] * load(t[v].counts));
    }
}

// The gradient, in the place of the exponentials.
template <class T, bool Massive> FL_FN void take_gradient(const Call& call, const Tile& tile, const RowLanes* t, const DI* anchors) {
    for (int64_t j = 0; j < call.args->classes; ++j) {
        for (int v = 0; v < kVectors; ++v) {
            double* const at = tile.x + j * kTile + v * L;
            D g = load(at) * load(t[v].pull);
            if (Massive) g -= mass_of(call, tile, t[v], j, v) * load(t[v].push);
            g = where(anchors[v] == j, load(t[v].at_anchor), g);
            if (tile.slope) g *= load(tile.slope + j * kTile + v * L);
            store(at, where(load(t[v].is_nan) != 0.0, load(t[v].nan_gradient), g));
        }
    }
}

template <class T, bool Massive> FL_FN void walk_columns(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    const fl_xent_args& a = *call.args;
    const int64_t room = a.classes * kTile;
    constexpr bool deep = std::is_same<T, double>::value;
    const bool capped = a.softcap != 0, transformed = capped || a.temperature != 1, soft = a.target_kind == FL_DISTRIBUTION;
    Tile tile{};
    tile.x = scratch.doubles.reserve((1 + capped + soft + (deep && transformed)) * room);
    tile.slope = capped ? tile.x + room : nullptr;
    tile.mass = soft ? tile.x + (1 + capped) * room : nullptr;
    tile.low = deep && transformed ? tile.x + (1 + capped + soft) * room : nullptr;
    RowLanes t[kVectors];
    DI anchors[kVectors];
    for (int64_t row = begin; row < end; row += kTile) {
        const int rows = static_cast<int>(std::min<int64_t>(kTile, end - row));
        const TilePlaces places(a, row, rows);
        const auto within = [&](int v) { return std::max(0, std::min(L, rows - v * L)); };
        for (int v = 0; v < kVectors; ++v) read_rows<T>(call, places, v * L, row + v * L, within(v), t[v]);
        load_tile(a, places, a.logits_strides, static_cast<const T*>(a.logits), tile.x);
        if (tile.mass)
            typed(a.targets, a.target_dtype, [&](auto* from) FL_TARGET { load_tile(a, places, a.target_strides, from, tile.mass); });
        if (transformed) transform<deep>(a, tile.x, tile.low, tile.slope, room);
        find_anchors<Massive>(a, tile, t, anchors);
        take_exponentials<T, Massive>(call, tile, t, anchors);
        for (int v = 0; v < kVectors; ++v) {
            finish_rows<deep>(a, t[v]);
            put_rows<T>(call, t[v], row + v * L, within(v));
        }
        if (!a.grad) continue;
        take_gradient<T, Massive>(call, tile, t, anchors);
        store_tile<T>(a, places, tile.x, rows);
    }
}

template <class T> FL_TARGET void columns(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    if (call.massive) walk_columns<T, true>(call, begin, end, scratch);
    else walk_columns<T, false>(call, begin, end, scratch);
}

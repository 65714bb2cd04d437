// Cross-entropy in float, vectorised across rows: columns.h, where float_rows.h's arithmetic suffices. Rows that do not fit
// a frame without a shift (or have a NaN, an infinity) are left to columns.h. Compiled once per instruction set.

constexpr int kFloatVectors = 8;
constexpr int kFloatTile = kFloatVectors * W;
constexpr int kFloatGroups = kFloatTile / L;  // of lanes of doubles

using FloatPlaces = Places<kFloatTile>;

// A frame a lane.
struct Frames {
    F cut, magic;
};

// Rows side by side; a class's logits, then its exponentials, then its gradients follow each other in `x`.
struct FloatColumns {
    float* x;
    int count;  // rows; behind the last, the first is taken again
    int32_t target[kFloatTile];
    bool is_good[kFloatTile];
    RowLanes t[kFloatGroups];

    FL_TARGET float* at(int64_t j, int v) const { return x + j * kFloatTile + v * W; }
    FL_TARGET I targets(int v) const { I lanes; std::memcpy(&lanes, target + v * W, sizeof lanes); return lanes; }
    FL_TARGET bool are_all_good() const { return std::all_of(is_good, is_good + count, [](bool b) { return b; }); }
};

template <class T> FL_FN void read_columns(const Call& call, const FloatPlaces& places, int64_t row, FloatColumns& tile) {
    const fl_xent_args& a = *call.args;
    for (int g = 0; g < kFloatGroups; ++g) {
        read_rows<T>(call, places, g * L, row + g * L, std::max(0, std::min(L, tile.count - g * L)), tile.t[g]);
        for (int k = 0; k < L; ++k) tile.target[g * L + k] = static_cast<int32_t>(tile.t[g].target[k]);
    }
    const auto* const z = static_cast<const T*>(a.logits);
    const fl_strides& s = a.logits_strides;
    if (are_neighbours(a, places, s)) {
        const T* const first = z + places.offset(s, 0);
        for (int64_t j = 0; j < a.classes; ++j) {
            __builtin_prefetch(first + j * s.class_stride + kFloatTile);
            for (int v = 0; v < kFloatVectors; ++v) store(tile.at(j, v), widen(first + j * s.class_stride + v * W));
        }
        return;
    }
    for (int k = 0; k < kFloatTile; ++k) {
        const T* const first = z + places.offset(s, k);
        for (int64_t j = 0; j < a.classes; ++j) tile.x[j * kFloatTile + k] = to_float(element(first + j * s.class_stride));
    }
}

// Takes the anchors out, and finds the frame of each row's maximum: a vector of rows.
FL_FN Frames find_frames(const fl_xent_args& a, FloatColumns& tile, int v, D* tops) {
    const I targets = tile.targets(v);
    F top = splat(-kInf), anchor = top;
    for (int32_t j = 0; j < a.classes; ++j) {
        F x = load(tile.at(j, v));
        const I is_anchor = targets == j;
        anchor = where(is_anchor, x, anchor);
        x = where(is_anchor, splat(-kInf), x);
        store(tile.at(j, v), x);
        top = maximum(x, top);
    }
    float cut[W], magic[W];
    tops[0] = low(top), tops[1] = high(top);
    const D anchors[2] = {low(anchor), high(anchor)};
    for (int half = 0; half < 2; ++half) {
        RowLanes& t = tile.t[2 * v + half];
        const D exponent = exponent_near(tops[half]);
        unwide(cut + half * L, (exponent - static_cast<double>(kFloor)) * kLn2);
        unwide(magic + half * L, static_cast<double>(kMagic) - static_cast<double>(kSteps) * (exponent - static_cast<double>(kBias)));
        store(t.anchor_x, anchors[half]);
        store(t.reference, exponent * kLn2);
    }
    return {load(cut), load(magic)};
}

// Puts the exponentials in the place of the logits, adds them in double, and says which rows are good.
FL_FN void sum_columns(const fl_xent_args& a, FloatColumns& tile) {
    for (int v = 0; v < kFloatVectors; ++v) {
        D tops[2], sums[2] = {D{}, D{}};
        const Frames frames = find_frames(a, tile, v, tops);
        for (int64_t j = 0; j < a.classes; ++j) {
            const F e = exp_framed(load(tile.at(j, v)), frames);
            store(tile.at(j, v), e);
            sums[0] += low(e);
            sums[1] += high(e);
        }
        for (int half = 0; half < 2; ++half) {
            RowLanes& t = tile.t[2 * v + half];
            const DI good = put_sums(a, tops[half], 0x1p-64 * sums[half], t);
            for (int k = 0; k < L; ++k) tile.is_good[v * W + half * L + k] = good[k] != 0;
        }
    }
}

// A scale too small for a float, in two factors of which none is subnormal (as float_rows.h has it).
FL_FN void take_float_gradient(const fl_xent_args& a, const FloatColumns& tile) {
    for (int v = 0; v < kFloatVectors; ++v) {
        float first[W], second[W], anchor[W];
        for (int half = 0; half < 2; ++half) {
            const RowLanes& t = tile.t[2 * v + half];
            const D scale = load(t.pull) * 0x1p-64;
            const DI is_small = absolute(scale) < 0x1p-126;
            unwide(first + half * L, where(is_small, scale * 0x1p120, scale));
            unwide(second + half * L, where(is_small, splat(0x1p-120), splat(1.0)));
            unwide(anchor + half * L, load(t.at_anchor));
        }
        const F one = load(first), other = load(second), at_anchor = load(anchor);
        const I targets = tile.targets(v);
        for (int32_t j = 0; j < a.classes; ++j)
            store(tile.at(j, v), where(targets == j, at_anchor, load(tile.at(j, v)) * one * other));
    }
}

// The gradient of the good rows.
template <class T> FL_FN void write_columns(const fl_xent_args& a, const FloatPlaces& places, const FloatColumns& tile) {
    const fl_strides& s = a.grad_strides;
    auto* const array = static_cast<T*>(a.grad);
    if (are_neighbours(a, places, s) && tile.are_all_good()) {
        T* const first = array + places.offset(s, 0);
        for (int64_t j = 0; j < a.classes; ++j)
            for (int v = 0; v < kFloatVectors; ++v) narrow(first + j * s.class_stride + v * W, load(tile.at(j, v)));
        return;
    }
    for (int k = 0; k < tile.count; ++k) {
        T* const first = array + places.offset(s, k);
        for (int64_t j = 0; tile.is_good[k] && j < a.classes; ++j) {
            T g;
            from_float(tile.x[j * kFloatTile + k], &g);
            std::memcpy(static_cast<void*>(first + j * s.class_stride), &g, sizeof g);
        }
    }
}

// The other rows, run by run, alone: what a row gives does not depend on its neighbours.
template <class T> FL_FN void leave_to_columns(const Call& call, const FloatColumns& tile, int64_t row, Scratch& scratch) {
    const bool* const good = tile.is_good;
    for (int begin = 0, end; begin < tile.count; begin = end) {
        end = begin + 1;
        while (end < tile.count && good[end] == good[begin]) ++end;
        if (!good[begin]) walk_columns<T, false>(call, row + begin, row + end, scratch);
    }
}

template <class T> FL_TARGET void float_columns(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    const fl_xent_args& a = *call.args;
    FloatColumns tile;
    tile.x = scratch.floats.reserve(a.classes * kFloatTile);
    for (int64_t row = begin; row < end; row += kFloatTile) {
        tile.count = static_cast<int>(std::min<int64_t>(kFloatTile, end - row));
        const FloatPlaces places(a, row, tile.count);
        read_columns<T>(call, places, row, tile);
        sum_columns(a, tile);
        for (int g = 0; g < kFloatGroups; ++g) {
            finish_rows<false>(a, tile.t[g]);
            put_rows<T>(call, tile.t[g], row + g * L, std::max(0, std::min(L, tile.count - g * L)));
        }
        if (!tile.are_all_good()) leave_to_columns<T>(call, tile, row, scratch);  // first: the gradient may take the logits' place
        if (!a.grad) continue;
        take_float_gradient(a, tile);
        write_columns<T>(a, places, tile);
    }
}

// Cross-entropy in float, a row at a time: class-index targets, unit stride, no option that moves mass between classes or
// looks at the lse. The path of large vocabularies, bound by memory. Compiled once per instruction set.
//
// A row is read from memory once. Its exponentials are taken relative to a reference R that is guessed from the row's
// first logits; any R within 40 of the maximum does, since exponents are stored with room to spare. Where the guess
// fails (or an offset is large), the row is cut into blocks that fit the first-level cache, each with the reference that
// suits it. The exponentials stay in a row buffer (second-level cache) until the row's sum is known; then the gradient is
// written, once, past the caches. Sums run in double above eight float terms.

constexpr float kUnshifted = 512;  // logits up to here are reduced as they are
constexpr float kRoom = 40;        // by how much a row may exceed its guessed maximum
constexpr int kAhead = 1024;       // elements between what is read and what is fetched
constexpr int kFloor = 188;        // below 2^-188 of the block's largest, an exponential is 0
constexpr double kLn2 = 0.69314718055994530942;

// The frame around a logit that is neither NaN nor infinite, and what it makes of a block.
FL_FN Frame frame(float reference, Block& b) {
    // Up to here the reduction by multiples of ln 2 is exact as it stands; beyond, x - reference is exact for every x
    // that is not negligible (Sterbenz), and the reduction starts from that difference.
    b.shift = std::fabs(reference) <= kUnshifted ? 0.0f : reference;
    b.exponent = static_cast<int>((reference - b.shift) * 1.44269504f);  // any integer that is near will do
    b.log_scale = b.shift + b.exponent * kLn2;
    const int exponent = kSteps * (b.exponent - kBias);
    return {b.shift, static_cast<float>((b.exponent - kFloor) * kLn2), kMagic - static_cast<float>(exponent)};
}

// Rows are taken in groups of vectors. A group is plain if it is whole and the anchor is not in it.
constexpr int kFan = 8;
constexpr int kGroup = kFan * W;
FL_FN bool is_plain(int64_t begin, int64_t n, int64_t anchor) {
    return begin + kGroup <= n && (anchor < begin || anchor >= begin + kGroup);
}

// The vector at i of any other group: masked classes where the anchor or nothing is.
template <class T> FL_FN F widen_careful(const T* x, int64_t i, int64_t n, int64_t anchor) {
    if (i >= n) return splat(-kInf);
    F v = i + W <= n ? widen(x + i) : widen_first(x + i, static_cast<int>(n - i));
    if (anchor >= i && anchor < i + W) v = replaced(v, static_cast<int>(anchor - i), -kInf);
    return v;
}

struct Peak {
    float value;
    bool nan;
};

template <class T> FL_FN Peak peak(const T* x, int64_t n, int64_t anchor) {
    F top[2] = {splat(-kInf), splat(-kInf)};
    Lanes nan{};
    for (int64_t i = 0; i < n; i += kGroup) {
        const bool plain = is_plain(i, n, anchor);
        for (int k = 0; k < kFan; k += 2) {
            const int64_t j = i + k * W;
            if (j >= n) break;
            const F a = plain ? widen(x + j) : widen_careful(x, j, n, anchor);
            const F b = plain ? widen(x + j + W) : widen_careful(x, j + W, n, anchor);
            top[0] = maximum(a, top[0]);
            top[1] = maximum(b, top[1]);
            nan |= either_nan(a, b);
        }
    }
    return {largest(maximum(top[0], top[1])), any(nan)};
}

// Takes the exponentials of all but the anchor, keeps them if Keep, and returns their sum; `top` is the largest logit,
// NaN apart. Meanwhile the memory ahead is on its way into the cache.
template <bool Keep, bool Shifted, class T>
FL_FN double exponentials(const T* x, int64_t n, int64_t anchor, const Frame& f, float* out, float& top) {
    constexpr int kPerLine = 64 / sizeof(T);
    D even{}, odd{};
    F highest = splat(-kInf);
    for (int64_t i = 0; i < n; i += kGroup) {
        F e[kFan];
        if (is_plain(i, n, anchor)) {
#pragma GCC unroll 8
            for (int k = 0; k < kFan; ++k) {
                if (W >= kPerLine || k % (kPerLine / W) == 0) __builtin_prefetch(x + i + kAhead + k * W);
                const F v = widen(x + i + k * W);
                highest = maximum(v, highest);
                e[k] = exp_framed(Shifted ? v - f.shift : v, f);
                if (Keep) store(out + i + k * W, e[k]);
            }
        } else {
            for (int k = 0; k < kFan; ++k) {
                e[k] = F{};
                if (i + k * W >= n) continue;
                const F v = widen_careful(x, i + k * W, n, anchor);
                highest = maximum(v, highest);
                e[k] = exp_framed(Shifted ? v - f.shift : v, f);
                if (Keep) store(out + i + k * W, e[k]);
            }
        }
        const F sum = ((e[0] + e[1]) + (e[2] + e[3])) + ((e[4] + e[5]) + (e[6] + e[7]));
        even += low(sum);
        odd += high(sum);
    }
    top = largest(highest);
    return sum_of(even + odd);
}

template <bool Shifted, class T>
FL_FN double exponentials(const T* x, int64_t n, int64_t anchor, const Frame& f, float* out, float& top) {
    return out ? exponentials<true, Shifted>(x, n, anchor, f, out, top)
               : exponentials<false, Shifted>(x, n, anchor, f, out, top);
}

// A row in one frame, guessed from its first logits. False if the guess is not good enough: then nothing is known.
template <class T> FL_FN bool take_row(const T* x, int64_t n, int64_t anchor, Block& block, float* out, Peak& p) {
    const Peak first = peak(x, std::min<int64_t>(n, kGroup), anchor);
    if (first.nan || !(std::fabs(first.value) <= kUnshifted)) return false;
    const Frame f = frame(first.value, block);
    const double sum = exponentials<false>(x, n, anchor, f, out, p.value);
    p.nan = false;  // a NaN would be in the sum
    block.sum = 0x1p-64 * sum;
    return p.value <= first.value + kRoom && sum > 0 && sum < static_cast<double>(kInf);
}

// A block in the frame of its maximum; nothing is taken if that is NaN or infinite.
template <class T> FL_FN Peak take_block(const T* x, int64_t n, int64_t anchor, Block& block, float* out) {
    Peak p = peak(x, n, anchor);
    if (p.nan || p.value == kInf) return p;
    if (p.value == -kInf) {
        block = {0, 0, -static_cast<double>(kInf), 0};
        if (out) std::fill(out, out + n, 0.0f);
        return p;
    }
    const Frame f = frame(p.value, block);
    block.sum = 0x1p-64 * (f.shift == 0 ? exponentials<false>(x, n, anchor, f, out, p.value)
                                        : exponentials<true>(x, n, anchor, f, out, p.value));
    return p;
}

// The gradient of a block: g_j = stored_j * scale, and the anchor's own.
struct Slope {
    const float* e;
    float scale;
    int64_t anchor;
    float at_anchor;
};
FL_FN F gradient(const Slope& s, int64_t i) { return load(s.e + i) * s.scale; }
FL_FN F gradient_careful(const Slope& s, int64_t i) {
    const F g = gradient(s, i);
    return s.anchor >= i && s.anchor < i + W ? replaced(g, static_cast<int>(s.anchor - i), s.at_anchor) : g;
}

// A block's scale as a float. One too small for that (a confident row) is put into the exponentials, in two factors
// of which none is subnormal; then 1 is left.
FL_FN float float_scale(double scale, float* e, int64_t n) {
    if (std::fabs(scale) >= 0x1p-126) return static_cast<float>(scale);  // below, e * first <= 2^(122 - 6): no overflow
    const auto first = static_cast<float>(scale * 0x1p120);
    for (int64_t i = 0; i < n; i += W) store(e + i, load(e + i) * first * 0x1p-120f);
    return 1;
}

template <class T> FL_FN void put(T* g, F v, bool streaming) {
    if (streaming) stream(g, v);
    else narrow(g, v);
}
template <class T> FL_FN void put_pair(T* g, F a, F b, bool streaming) {
    put(g, a, streaming);
    put(g + W, b, streaming);
}
// Whole lines of the gradient, aligned if they are streamed: [begin, end) is a multiple of two vectors.
template <bool Streaming, class T>
FL_FN void write_lines(T* g, const Slope& s, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 2 * W) {
        if (s.anchor < i || s.anchor >= i + 2 * W)
            put_pair(g + i, gradient(s, i), gradient(s, i + W), Streaming);
        else  // here, because to write it afterwards would fetch a line that is on its way to memory
            put_pair(g + i, gradient_careful(s, i), gradient_careful(s, i + W), Streaming);
    }
}

// Writes the gradient of a block. Where the vectors begin changes no result: every element is computed alike.
template <class T> FL_FN void write(T* g, const Slope& s, int64_t n, bool streaming) {
    const auto misalignment = reinterpret_cast<uintptr_t>(g) % 64;
    const bool aligns = misalignment % sizeof(T) == 0;
    const int64_t head = aligns ? std::min<int64_t>(n, (64 - misalignment) % 64 / sizeof(T)) : 0;
    const int64_t lines_end = head + (n - head) / (2 * W) * (2 * W);
    for (int64_t i = 0; i < head; i += W)
        narrow_first(g + i, gradient_careful(s, i), static_cast<int>(std::min<int64_t>(W, head - i)));
    if (streaming && aligns) write_lines<true>(g, s, head, lines_end);
    else write_lines<false>(g, s, head, lines_end);
    for (int64_t i = lines_end; i < n; i += W)
        narrow_first(g + i, gradient_careful(s, i), static_cast<int>(std::min<int64_t>(W, n - i)));
}

template <class T> FL_FN void fill(T* g, int64_t n, float value) {
    T v;
    from_float(value, &v);
    for (int64_t j = 0; j < n; ++j) std::memcpy(static_cast<void*>(g + j), &v, sizeof v);
}

// The blocks of a row.
struct Cut {
    int64_t classes;
    int64_t step;
    int64_t count() const { return (classes + step - 1) / step; }
    int64_t begin(int64_t b) const { return b * step; }
    int64_t size(int64_t b) const { return std::min(step, classes - begin(b)); }
};

// One row: where it lies, and its buffers.
template <class T> struct FloatRow {
    const T* z;
    T* g;            // null: no gradient is wanted
    float* kept;     // the exponentials
    Block* blocks;
    Cut cut;
    int64_t target;
    bool skipped;    // ignored
};

// Takes the row block by block, each in its own frame.
template <class T> FL_FN Peak take_blocks(const FloatRow<T>& row) {
    Peak highest{-kInf, false};
    for (int64_t i = 0; i < row.cut.count() && !highest.nan; ++i) {
        const int64_t begin = row.cut.begin(i);
        const Peak p = take_block(row.z + begin, row.cut.size(i), row.target - begin, row.blocks[i], row.g ? row.kept + begin : nullptr);
        highest = {std::max(highest.value, p.value), p.nan || p.value == kInf};
    }
    return highest;
}

// The sums of the row at lane k. The reference is the largest log_scale; from here on, log_scale is a block's factor to it.
template <class T> FL_FN void sum_blocks(const FloatRow<T>& row, int k, RowLanes& t) {
    double reference = -kInfinity, others = 0;
    const int64_t blocks = row.cut.count();
    for (int64_t i = 0; i < blocks; ++i) reference = std::max(reference, row.blocks[i].log_scale);
    for (int64_t i = 0; i < blocks; ++i) {
        Block& b = row.blocks[i];
        b.log_scale = b.log_scale == reference ? 1 : std::exp(b.log_scale - reference);
        if (b.sum != 0) others += b.sum * b.log_scale;
    }
    t.reference[k] = reference;
    t.others[k] = others;
}

template <class T> FL_FN void sum_row(FloatRow<T>& row, int k, bool wants_correct, RowLanes& t) {
    const float x = to_float(element(row.z + row.target));
    const int64_t classes = row.cut.classes;
    if (row.g) {  // the lines that it shares with its neighbours
        __builtin_prefetch(row.g, 1);
        __builtin_prefetch(row.g + classes, 1);
    }
    Peak others{-kInf, std::isnan(x) || x == kInf};
    float* const kept = row.g ? row.kept : nullptr;
    const bool taken = others.nan || take_row(row.z, classes, row.target, row.blocks[0], kept, others);
    if (!taken) {
        row.cut.step = kBlock;
        others = take_blocks(row);
    }
    t.anchor_x[k] = x;
    t.is_nan[k] = others.nan || (others.value == -kInf && x == -kInf);  // or every class masked
    t.is_argmax[k] = x > others.value;
    if (t.is_nan[k] != 0) return;
    if (wants_correct && x == others.value) {
        int64_t j = 0;
        while (to_float(element(row.z + j)) != x) ++j;
        t.is_argmax[k] = j == row.target;
    }
    sum_blocks(row, k, t);
}

template <class T> FL_FN void write_gradient(const FloatRow<T>& row, int k, bool streaming, const RowLanes& t) {
    if (row.skipped || t.is_nan[k] != 0) return fill(row.g, row.cut.classes, row.skipped ? 0.0f : std::nanf(""));
    for (int64_t i = 0; i < row.cut.count(); ++i) {
        const int64_t begin = row.cut.begin(i), n = row.cut.size(i);
        float* const e = row.kept + begin;
        const float scale = float_scale(t.pull[k] * row.blocks[i].log_scale * 0x1p-64, e, n);
        const Slope slope{e, scale, row.target - begin, static_cast<float>(t.at_anchor[k])};
        write(row.g + begin, slope, n, streaming);
    }
}

template <class T> FL_TARGET void float_rows(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    const fl_xent_args& a = *call.args;
    const int batch = batch_of(a.classes);
    const int64_t room = round_up(a.classes, 16) + kPad, block_count = a.classes / kBlock + 1;
    float* const kept = scratch.floats.reserve(room * batch);
    Block* const blocks = scratch.blocks.reserve(block_count * batch);
    RowLanes t{};
    FloatRow<T> rows[L];
    for (int64_t i = begin; i < end; i += batch) {
        const int count = static_cast<int>(std::min<int64_t>(batch, end - i));
        const Places<L> places(a, i, count);
        read_rows<T>(call, places, 0, i, count, t);
        for (int k = 0; k < count; ++k) {
            T* const g = a.grad ? static_cast<T*>(a.grad) + places.offset(a.grad_strides, k) : nullptr;
            rows[k] = {static_cast<const T*>(a.logits) + places.offset(a.logits_strides, k), g, kept + room * k,
                       blocks + block_count * k, {a.classes, a.classes}, t.target[k], t.counts[k] == 0};
            if (!rows[k].skipped) sum_row(rows[k], k, a.correct != nullptr, t);
        }
        finish_rows<false>(a, t);
        put_rows<T>(call, t, i, count);
        for (int k = 0; a.grad && k < count; ++k) write_gradient(rows[k], k, call.stream, t);
    }
    if (a.grad && call.stream) finish_streams();
}

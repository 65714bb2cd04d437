// What an instruction set without masked loads and reductions does lane by lane; and its exponential.

template <class V> FL_FN auto fold(V v) {
    auto sum = v[0];
    for (size_t i = 1; i < sizeof v / sizeof v[0]; ++i) sum += v[i];
    return sum;
}
FL_FN double sum_of(D v) { return fold(v); }
template <class V> FL_FN auto largest(V v) {
    auto top = v[0];
    for (size_t i = 1; i < sizeof v / sizeof v[0]; ++i) top = std::max<decltype(top)>(top, v[i]);
    return top;
}
typedef I Lanes;  // 0 or -1
FL_FN Lanes either_nan(F a, F b) { return (a != a) | (b != b); }
FL_FN bool any(Lanes mask) { return fold(mask) != 0; }
FL_FN F replaced(F v, int lane, float by) {
    v[lane] = by;
    return v;
}
// The first n lanes from p; the others are masked classes.
template <class T> FL_FN F widen_first(const T* p, int n) {
    T lanes[W];
    T masked;
    from_float(-kInf, &masked);
    for (int i = 0; i < W; ++i) std::memcpy(static_cast<void*>(lanes + i), i < n ? p + i : &masked, sizeof(T));
    return widen(lanes);
}
template <class T> FL_FN void narrow_first(T* p, F v, int n) {
    T lanes[W];
    narrow(lanes, v);
    std::memcpy(static_cast<void*>(p), lanes, n * sizeof(T));
}

// e^r for |r| <= 0.35, relative error below 0.6 * 2^-24: minimax over the interval, the first two terms exact.
FL_FN F exp_reduced(F r) {
    F p = splat(0.0013814540579915047f);
    p = p * r + 0.00836874544620514f;
    p = p * r + 0.04166838899254799f;
    p = p * r + 0.1666652113199234f;
    p = p * r + 0.4999999403953552f;
    p = p * r + 1.0f;
    return p * r + 1.0f;
}

// e^d * 2^(kBias - exponent), d = x - shift; 0 below the cut (and for -inf), NaN for NaN.
constexpr int kSteps = 1;
template <class Framed> FL_FN F exp_framed(F d, const Framed& f) {
    const F t = d * 1.44269504088896341f + f.magic;  // low bits: round(d / ln 2) + kBias - exponent
    const F n = t - f.magic;
    const F r = (d - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts, the first product exact
    return (F)(((U)exp_reduced(r) + ((U)t << 23)) & ~(U)(d < f.cut));
}

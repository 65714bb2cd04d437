// Multiplies a gradient that is written already (fl_scale). Compiled once per instruction set.

// False if an element's digits are lost, before or by the scaling; then the data are, too.
template <class T> FL_TARGET bool scaled(void* data, int64_t begin, int64_t end, double factor) {
    constexpr bool narrow_format = sizeof(T) == 2;
    constexpr double smallest = std::is_same<T, double>::value ? 0x1p-1022 : std::is_same<T, float16>::value ? 0x1p-14 : 0x1p-126;
    constexpr double largest = std::is_same<T, double>::value    ? 1.7976931348623157e308
                               : std::is_same<T, float16>::value ? 65504.0
                                                                 : 3.3895313892515355e38;  // bfloat16's
    auto* p = static_cast<T*>(data);
    const bool all_normal = narrow_format || std::fabs(factor) > 1;
    DI lost{};
    int64_t i = begin;
    for (; i + L <= end; i += L) {
        const D v = wide(p + i), w = v * factor;
        lost |= absolute(v) < smallest;
        if (narrow_format) lost |= (absolute(w) < smallest) | ~(absolute(w) <= largest);
        unwide(p + i, w);
    }
    bool tail_lost = false;
    for (; i < end; ++i) {
        const double v = to_double(element(p + i)), w = v * factor;
        tail_lost |= std::fabs(v) < smallest || (narrow_format && !(std::fabs(w) >= smallest && std::fabs(w) <= largest));
        from_double(w, p + i);
    }
    for (int k = 0; k < L; ++k) tail_lost |= lost[k] != 0;
    return !(all_normal && tail_lost);
}

// Binary cross-entropy, elementwise, in double. Compiled once per instruction set.

struct Binary {
    D loss, grad;
};

FL_FN Binary binary(D z, D y, D pos_weight) {
    const D e = exp_wide<true>(-absolute(z), D{});
    const D tail = log1p_wide(e);
    const DI positive = z > 0.0;
    const D over = where(positive, z, D{}), under = where(positive, D{}, -z);
    const D large = 1.0 / (1.0 + e), small = e * large;
    const D up = 1.0 - y, down = pos_weight * y;
    // 0 * inf: a class that cannot be the target costs nothing, however far its logit.
    const D cost_up = where(up == 0.0, D{}, up * (over + tail));
    const D cost_down = where(down == 0.0, D{}, down * (under + tail));
    const DI nan = z != z;
    return {where(nan, z, cost_up + cost_down),
            where(nan, z, up * where(positive, large, small) - down * where(positive, small, large))};
}

// L reals from p, repeated with `period` (0: not at all) from element i on; `missing` where there are none.
template <class R> FL_FN D repeated(const void* p, int64_t period, int64_t i, int n, double missing) {
    if (!p) return splat(missing);
    const auto* reals = static_cast<const R*>(p);
    const int64_t first = period ? i % period : i;
    if (n == L && (!period || first + L <= period)) return wide(reals + first);
    D v{};
    for (int k = 0; k < n; ++k) v[k] = reals[period ? (i + k) % period : i + k];
    return v;
}

template <class T> FL_FN D first_wide(const T* p, int n) {
    D v{};
    for (int k = 0; k < n; ++k) v[k] = to_double(element(p + k));
    return v;
}

template <class T> FL_TARGET double binary_elements(const fl_bce_args& a, double upstream, int64_t begin, int64_t end) {
    const auto* logits = static_cast<const T*>(a.logits);
    const auto* targets = static_cast<const Real<T>*>(a.targets);
    auto* grad = static_cast<T*>(a.grad);
    constexpr int64_t real_dtype = std::is_same<T, double>::value ? FL_FLOAT64 : FL_FLOAT32;
    CarefulSum sum;
    for (int64_t i = begin; i < end; i += L) {
        const int n = static_cast<int>(std::min<int64_t>(L, end - i));
        const bool whole = n == L;
        const D z = whole ? wide(logits + i) : first_wide(logits + i, n);
        const D y = whole ? wide(targets + i) : first_wide(targets + i, n);
        const Binary b = binary(z, y, repeated<Real<T>>(a.pos_weight, a.pos_weight_period, i, n, 1));
        const D w = repeated<Real<T>>(a.weight, a.weight_period, i, n, 1);
        D loss = b.loss * w;
        for (int k = n; k < L; ++k) loss[k] = 0;
        sum.add(loss);
        if (a.loss && whole && a.loss_dtype == real_dtype) unwide(static_cast<Real<T>*>(a.loss) + i, loss);
        else if (a.loss)
            for (int k = 0; k < n; ++k) put_real(a.loss, i + k, a.loss_dtype, loss[k]);
        if (grad) {
            const D g = b.grad * (w * (upstream * repeated<Real<T>>(a.element_upstream, 0, i, n, 1)));
            if (whole) unwide(grad + i, g);
            else
                for (int k = 0; k < n; ++k) from_double(g[k], grad + i + k);
        }
    }
    return total(sum);
}

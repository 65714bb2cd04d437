// Binary cross-entropy, elementwise, in double. Compiled once per instruction set.

struct Binary {
    D loss, grad;
};

// What e^-|z| makes of a logit; `tail` is log(1 + e). Deep: for results that are rounded to doubles.
struct Sides {
    D large, small, tail;  // sigmoid(|z|), sigmoid(-|z|)
};
template <bool Deep, bool Loss, bool Grad> FL_FN Sides sides(D e) {
    const D one = 1.0 + e, two = 2.0 + e;
    if (Deep || !Loss) {
        const D large = 1.0 / one;
        return {large, e * large, Loss ? log1p_wide(e) : D{}};
    }
    // log(1 + e) = 2 artanh(s), s = e / (2 + e), as a polynomial that is good to 2^-33; one division for all.
    const D inverse = 1.0 / (Grad ? one * two : two);
    const D large = inverse * two, s = e * (Grad ? inverse * one : inverse), z = s * s, z2 = z * z;
    const D low_terms = (1.9999999998090061 + 0.6666667902643397 * z) + (0.39998711246862334 + 0.28620207408437237 * z) * z2;
    return {large, e * large, s * (low_terms + (0.21398560506678543 + 0.24393908084023025 * z) * (z2 * z2))};
}

template <bool Deep, bool Loss, bool Grad> FL_FN Binary binary(D z, D y, D pos_weight) {
    const Sides side = sides<Deep, Loss, Grad>(exp_wide<Deep>(-absolute(z), D{}));
    const DI positive = z > 0.0;
    const D over = where(positive, z, D{}), under = where(positive, D{}, -z);
    const D up = 1.0 - y, down = pos_weight * y;
    // 0 * inf: a class that cannot be the target costs nothing, however far its logit.
    const D cost_up = where(up == 0.0, D{}, up * (over + side.tail));
    const D cost_down = where(down == 0.0, D{}, down * (under + side.tail));
    const D slope = up * where(positive, side.large, side.small) - down * where(positive, side.small, side.large);
    const DI nan = z != z;
    return {where(nan, z, cost_up + cost_down), where(nan, z, slope)};
}

// The first n of L numbers.
template <class T> FL_FN D first_wide(const T* p, int n) {
    if (n == L) return wide(p);
    D v{};
    for (int k = 0; k < n; ++k) v[k] = to_double(element(p + k));
    return v;
}

// n numbers of a dtype from element i on, repeated with `period` (0: not at all); 1 where there are none.
FL_FN D numbers(const void* p, int64_t dtype, int64_t period, int64_t i, int n) {
    if (!p) return splat(1.0);
    const int64_t first = period ? i % period : i;
    if (!period || first + n <= period) return typed(p, dtype, [&](auto* from) FL_TARGET { return first_wide(from + first, n); });
    D v{};
    for (int k = 0; k < n; ++k) v[k] = number_at(p, dtype, (i + k) % period);
    return v;
}

// L losses from element i on, in the dtype that goes with the logits or in theirs.
template <class T> FL_FN void put_losses(const fl_bce_args& a, int64_t i, D loss) {
    if (a.loss_dtype == (std::is_same<T, double>::value ? FL_FLOAT64 : FL_FLOAT32)) unwide(static_cast<Real<T>*>(a.loss) + i, loss);
    else unwide(static_cast<T*>(a.loss) + i, loss);
}

template <class T, bool Loss, bool Grad> FL_FN double walk_binary(const fl_bce_args& a, double upstream, int64_t begin, int64_t end) {
    constexpr bool deep = std::is_same<T, double>::value;
    const auto* logits = static_cast<const T*>(a.logits);
    auto* grad = static_cast<T*>(a.grad);
    WideSum<deep> sum;
    for (int64_t i = begin; i < end; i += L) {
        const int n = static_cast<int>(std::min<int64_t>(L, end - i));
        const bool whole = n == L;
        const D z = first_wide(logits + i, n), y = numbers(a.targets, a.target_dtype, 0, i, n);
        const Binary b = binary<deep, Loss, Grad>(z, y, numbers(a.pos_weight, a.pos_weight_dtype, a.pos_weight_period, i, n));
        const D w = numbers(a.weight, a.weight_dtype, a.weight_period, i, n);
        if (Loss) {
            D loss = b.loss * w;
            if (!whole)
                for (int k = n; k < L; ++k) loss[k] = 0;
            sum.add(loss);
            if (a.loss && whole) put_losses<T>(a, i, loss);
            else if (a.loss)
                for (int k = 0; k < n; ++k) put_real(a.loss, i + k, a.loss_dtype, loss[k]);
        }
        if (Grad) {
            const D g = b.grad * (w * (upstream * numbers(a.element_upstream, a.element_upstream_dtype, 0, i, n)));
            if (whole) unwide(grad + i, g);
            else
                for (int k = 0; k < n; ++k) from_double(g[k], grad + i + k);
        }
    }
    return total(sum);
}

template <class T> FL_TARGET double binary_elements(const fl_bce_args& a, double upstream, int64_t begin, int64_t end) {
    const bool wants_loss = a.loss || a.reduced;
    if (!a.grad) return walk_binary<T, true, false>(a, upstream, begin, end);
    return wants_loss ? walk_binary<T, true, true>(a, upstream, begin, end) : walk_binary<T, false, true>(a, upstream, begin, end);
}

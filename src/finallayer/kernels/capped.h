// x = softcap * tanh(logit / softcap) / temperature. Compiled once per instruction set.
//
// A double can't hold x: its rounding would move every exponential by up to |x| half-ulps. Where the results are doubles,
// what the rounding loses stands beside it, and is added back when the differences of two x are taken.

// e^(r + low) - 1 for |r| <= ln 2 / 2, to 2^-63 of the largest term.
FL_FN Pair exp_minus_one(D r, D low) {
    const D square = product(r, r), square_low = product_error(r, r, square);
    const D third = product(square, r);
    const Pair cube = over({third, product_error(square, r, third) + square_low * r}, {splat(6.0), D{}});
    D rest = splat(1.0 / 20922789888000.0);  // 1 / 16!
    constexpr double kInverse[] = {1307674368000.0, 87178291200.0, 6227020800.0, 479001600.0, 39916800.0, 3628800.0,
                                   362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0};
    for (const double factorial : kInverse) rest = rest * r + 1.0 / factorial;
    const D low_terms = low * (1.0 + r + 0.5 * square);
    const Pair tail = plus(cube, rest * (square * square), D{});
    return plus(plus({r, low_terms}, 0.5 * square, 0.5 * square_low), tail.high, tail.low);
}

struct CarefulTanh {
    Pair value;
    D slope;
};
// tanh(y) and 1 / cosh(y)^2 of y.high + y.low; |y| is cut at 350, from where on nothing changes but a slope below 1e-303.
FL_FN CarefulTanh careful_tanh(Pair y) {
    const DI negative = y.high < 0.0, far = absolute(y.high) > 350.0;
    const D x = where(far, splat(-700.0), -2.0 * absolute(y.high)), x_low = where(far, D{}, where(negative, 2.0 * y.low, -2.0 * y.low));
    const D t = x * kLog2e + kRound, n = t - kRound;
    const Pair r = two_sum(x - n * kLn2High, -(n * kLn2Low));
    const Pair minus = exp_minus_one(r.high, r.low + x_low);
    const D power = power_of_two((DI)((DU)t - (DU)splat(kRound)));
    const Pair one_more = plus(minus, splat(1.0), D{});
    const D u = power * one_more.high;
    const DI near = n == 0.0;
    const Pair less = plus({u, power * one_more.low}, splat(-1.0), D{});
    const Pair m = {where(near, minus.high, less.high), where(near, minus.low, less.low)};
    const Pair q = over({-m.high, -m.low}, plus(m, splat(2.0), D{}));
    const DI nan = y.high != y.high;
    const D slope = where(absolute(y.high) > 372.0, D{}, 4.0 * u / ((1.0 + u) * (1.0 + u)));
    return {{where(nan, y.high, where(negative, -q.high, q.high)), where(negative, -q.low, q.low)}, where(nan, y.high, slope)};
}

// In place, of n logits (or the multiple of L above). `low`, if Deep: what x has lost.
template <bool Deep> FL_FN void transform(const fl_xent_args& a, double* x, double* low, double* slope, int64_t n) {
    const D cap = splat(a.softcap), temperature = splat(a.temperature);
    for (int64_t j = 0; j < n; j += L) {
        Pair v{load(x + j), D{}};
        if (a.softcap != 0 && Deep) {
            const CarefulTanh tanh = careful_tanh(over(v, {cap, D{}}));
            v = times(tanh.value, cap);
            store(slope + j, tanh.slope);
        } else if (a.softcap != 0) {
            const Tanh tanh = tanh_wide(v.high / cap);
            v.high = cap * tanh.value;
            store(slope + j, tanh.slope);
        }
        if (Deep) {
            v = over(v, {temperature, D{}});
            // Beyond, what is lost is no small part of an exponent any more, and has no sense.
            store(low + j, where(absolute(v.high) < 0x1p52, v.low, D{}));
        } else {
            v.high = v.high / temperature;
        }
        store(x + j, v.high);
    }
}

// Vectors of L doubles and the functions that the wide engines need of them. Compiled once per instruction set.
//
// Relative errors, in units of 2^-53, over the whole range: exp_wide 1.2, log_wide 1.5, tanh_wide 4.

constexpr double kLog2e = 1.4426950408889634074;
constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 1.9082149292705877e-10;  // n * kLn2High is exact for |n| < 2^20
constexpr double kRound = 0x1.8p52;  // adding it rounds to an integer, which stands in the low bits

// x = n ln 2 + r;  rest = e^r - 1.
struct Exponential {
    D rest;
    DI n;
};
FL_FN Exponential reduced_exp(D x, D low) {
    const D t = x * kLog2e + kRound;
    const D n = t - kRound;
    const D r = (x - n * kLn2High) - n * kLn2Low + low;
    const D r2 = r * r, r4 = r2 * r2;
    // (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2, interpolated at Chebyshev's points; absolute error of e^r: 2^-56
    const D low_terms = (0.5000000000000001 + 0.16666666666666669 * r) + (0.04166666666662399 + 0.008333333333330051 * r) * r2;
    const D middle = (0.0013888888917281794 + 0.00019841269863105968 * r) + (2.480152119021773e-05 + 2.7557268378684192e-06 * r) * r2;
    const D high = 2.7620138719733994e-07 + 2.5100424157005067e-08 * r;
    return {r + r2 * (low_terms + r4 * (middle + r4 * high)), (DI)((DU)t - (DU)splat(kRound))};
}

FL_FN D power_of_two(DI n) { return (D)((DU)(n + 1023) << 52); }

// e^(x + low) for x <= 0 and |low| far below 1. Deep: exact down to the subnormals; else 0 below e^-700.
template <bool Deep> FL_FN D exp_wide(D x, D low) {
    const Exponential e = reduced_exp(x, low);
    if (!Deep) return where(x < -700.0, D{}, (D)((DU)(1.0 + e.rest) + ((DU)e.n << 52)));
    const DI half = e.n >> 1;
    return where(x < -746.0, D{}, (1.0 + e.rest) * power_of_two(half) * power_of_two(e.n - half));
}

// log(a) for a > 0, or log(1 + a) for a >= 0 where plus_one; of what is beyond the largest double, that itself.
// The argument is 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); s = f / (2 + f); log(1 + f) = 2 artanh(s).
FL_FN D log_wide(D a, DI plus_one) {
    const DI small = plus_one & (a < 0.41421356237309503);  // k = 0, f = a
    const D u = where(plus_one, 1.0 + a, a);
    const DI k = (((DI)u - 0x3fe6a09e667f3bcd) >> 52) & ~small;
    const D f = where(small, a, (D)((DU)u - ((DU)k << 52)) - 1.0);
    const D rounded = where(a < 1.0, a - (u - 1.0), 1.0 - (u - a)) / u;  // what 1 + a has lost
    const D lost = where(plus_one & ~small & (a < 0x1p100), rounded, D{});
    const D s = f / (2.0 + f), z = s * s, z2 = z * z;
    const D series = z * ((0.6666666666666744 + 0.3999999999934182 * z) + (0.2857142876013395 + 0.22222196611222805 * z) * z2 +
                          (0.18183672928430303 + 0.1531111627460995 * z + 0.14826749745570808 * z2) * (z2 * z2));
    const D half_square = 0.5 * f * f;
    const D kd = __builtin_convertvector(k, D);
    const D result = kd * kLn2High - ((half_square - (s * (half_square + series) + (kd * kLn2Low + lost))) - f);
    return where(a > 1.7e308, a, result);
}
FL_FN D log1p_wide(D a) { return log_wide(a, ~DI{}); }

// tanh(y) and its derivative 1 / cosh(y)^2, which keeps its digits where tanh is 1.
struct Tanh {
    D value, slope;
};
FL_FN Tanh tanh_wide(D y) {
    const D x = -2.0 * absolute(y);
    const Exponential e = reduced_exp(where(x < -700.0, splat(-700.0), x), D{});
    const D power = power_of_two(e.n);
    const D u = where(x < -700.0, D{}, (1.0 + e.rest) * power);
    const D minus = where(e.n == 0, e.rest, u - 1.0);  // e^x - 1
    const D t = minus / (-2.0 - minus);
    const D value = where(y < 0.0, -t, t);
    const DI nan = y != y;
    return {where(nan, y, value), where(nan, y, 4.0 * u / ((1.0 + u) * (1.0 + u)))};
}

// a - b = hi + low, exactly.
FL_FN D difference(D a, D b, D& low) {
    const D hi = a - b, back = hi - a;
    low = (a - (hi - back)) - (b + back);
    return hi;
}

// a + a_low - b = hi + low, where a and b are finite; else low is 0.
FL_FN D full_difference(D a, D a_low, D b, D& low) {
    D d_low;
    const D d = difference(a, b, d_low), rest = d_low + a_low, hi = d + rest, part = hi - d;
    low = (d - (hi - part)) + (rest - part);
    low = where(low == low, low, D{});
    return where(rest == rest, hi, d);
}

// Calls `body` with a pointer of the type that a dtype stands for.
template <class Body> FL_FN auto typed(const void* p, int64_t dtype, const Body& body) {
    switch (dtype) {
        case FL_FLOAT64: return body(static_cast<const double*>(p));
        case FL_BFLOAT16: return body(static_cast<const bfloat16*>(p));
        case FL_FLOAT16: return body(static_cast<const float16*>(p));
        default: return body(static_cast<const float*>(p));
    }
}

// A sum in each lane that remembers what its additions lost: for results that are rounded to doubles.
struct CarefulSum {
    D high{}, low{};
    FL_TARGET void add(D v) {
        const D hi = high + v, part = hi - high;
        low += (high - (hi - part)) + (v - part);
        high = hi;
    }
    FL_TARGET D lanes() const { return where(high - high == 0.0, high + low, high); }  // an infinite sum has lost NaN
};
// And one that doesn't: for results that are rounded to floats.
struct PlainSum {
    D high{};
    FL_TARGET void add(D v) { high += v; }
    FL_TARGET D lanes() const { return high; }
};
FL_FN void add_four(PlainSum& sum, const D* v) { sum.add((v[0] + v[1]) + (v[2] + v[3])); }
FL_FN void add_four(CarefulSum& sum, const D* v) {
    for (int k = 0; k < 4; ++k) sum.add(v[k]);
}
template <bool Deep> using WideSum = std::conditional_t<Deep, CarefulSum, PlainSum>;

FL_FN double total(const PlainSum& sum) { return sum_of(sum.high); }
FL_FN double total(const CarefulSum& sum) {
    double high = 0, low = 0;
    for (int i = 0; i < L; ++i) {
        const double v = sum.high[i], hi = high + v, part = hi - high;
        low += ((high - (hi - part)) + (v - part)) + sum.low[i];
        high = hi;
    }
    return std::isfinite(high) ? high + low : high;
}

// Doubles in two parts, for what must not be rounded before it is used. Compiled once per instruction set.

// a * b, rounded: never fused with an addition that uses it, as compilers may otherwise.
FL_FN D product(D a, D b) {
    D p = a * b;
    asm("" : "+m"(p));
    return p;
}
// a * b - product(a, b), of numbers whose squares are finite.
FL_FN D product_error(D a, D b, D p) {
    const DI upper = ~DI{} << 27;  // half of the bits of each: their products are exact
    const D a1 = (D)((DI)a & upper), b1 = (D)((DI)b & upper), a2 = a - a1, b2 = b - b1;
    return ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2;
}

// An unevaluated sum; `low` is about half an ulp of `high` at most.
struct Pair {
    D high, low;
};
FL_FN Pair two_sum(D a, D b) {
    const D high = a + b, part = high - a;
    return {high, (a - (high - part)) + (b - part)};
}
FL_FN Pair plus(Pair a, D b, D b_low) {
    const Pair s = two_sum(a.high, b);
    return two_sum(s.high, s.low + (a.low + b_low));
}
FL_FN Pair over(Pair a, Pair b) {
    const D q = a.high / b.high, p = product(q, b.high);
    const D rest = ((a.high - p) - product_error(q, b.high, p)) + (a.low - q * b.low);
    return {q, rest / b.high};
}
FL_FN Pair times(Pair a, D b) {
    const D p = product(a.high, b);
    return {p, product_error(a.high, b, p) + a.low * b};
}
// The nearest double.
FL_FN D rounded(Pair a) { return where(a.low - a.low == 0.0, a.high + a.low, a.high); }  // an infinite number has lost NaN

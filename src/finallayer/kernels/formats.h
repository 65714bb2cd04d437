// The number formats of logits, one element at a time.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

struct bfloat16 { uint16_t bits; };
struct float16 { uint16_t bits; };
inline float to_float(float v) { return v; }
inline float to_float(bfloat16 v) {
    const uint32_t u = static_cast<uint32_t>(v.bits) << 16;
    float f;
    std::memcpy(&f, &u, 4);
    return f;
}
inline float to_float(float16 v) {
    const uint32_t sign = (v.bits & 0x8000u) << 16, body = v.bits & 0x7fffu;
    float f;
    if (body < 0x400u) {  // subnormal: body * 2^-24
        f = static_cast<float>(body) * 0x1p-24f;
    } else {
        const uint32_t u = (body << 13) + (body >= 0x7c00u ? 0x70000000u : 0x38000000u);
        std::memcpy(&f, &u, 4);
    }
    uint32_t u;
    std::memcpy(&u, &f, 4);
    u |= sign;
    std::memcpy(&f, &u, 4);
    return f;
}
inline void from_float(float f, float* out) { std::memcpy(out, &f, 4); }
inline void from_float(float f, bfloat16* out) {
    uint32_t u;
    std::memcpy(&u, &f, 4);
    const uint16_t h = f != f ? 0x7fc0 : static_cast<uint16_t>((u + 0x8000u) >> 16);
    std::memcpy(out, &h, 2);
}
inline void from_float(float f, float16* out) {
    uint32_t u;
    std::memcpy(&u, &f, 4);
    const uint32_t sign = u & 0x80000000u;
    u ^= sign;
    uint32_t h;
    if (u > 0x7f800000u) {
        h = 0x7e00u;
    } else if (u >= 0x47800000u) {  // 65536 and above
        h = 0x7c00u;
    } else if (u < 0x38800000u) {  // below the smallest normal: let the float adder round
        float g;
        std::memcpy(&g, &u, 4);
        g += 0.5f;
        std::memcpy(&u, &g, 4);
        h = u - 0x3f000000u;
    } else {
        h = (u + 0xc8000fffu + ((u >> 13) & 1)) >> 13;
    }
    h |= sign >> 16;
    const auto bits = static_cast<uint16_t>(h);
    std::memcpy(out, &bits, 2);
}

template <class T> inline T element(const T* p) {
    T v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline double to_double(double v) { return v; }
template <class T> inline double to_double(T v) { return to_float(v); }
inline void from_double(double v, double* out) { std::memcpy(out, &v, 8); }
template <class T> inline void from_double(double v, T* out) { from_float(static_cast<float>(v), out); }

// What stands beside logits of a format: weights, losses, upstream gradients, probabilities.
template <class T> using Real = std::conditional_t<std::is_same<T, double>::value, double, float>;

}  // namespace

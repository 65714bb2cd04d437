// Any CPU, by the compiler's own vector types: 4 floats, 2 doubles.
#define FL_WIDTH 4
#define FL_TARGET

namespace {
namespace generic {

#include "vectors.h"

inline bool supported() { return true; }

typedef uint16_t H __attribute__((vector_size(2 * W)));

FL_FN F maximum(F a, F b) { return where(a > b, a, b); }
FL_FN F widen(const bfloat16* p) {
    H h;
    std::memcpy(&h, p, sizeof h);
    return (F)(__builtin_convertvector(h, U) << 16);
}
FL_FN void narrow(bfloat16* p, F v) {
    const H h = __builtin_convertvector(bfloat_lanes(v), H);
    std::memcpy(static_cast<void*>(p), &h, sizeof h);
}
FL_FN F widen(const float16* p) {
    F v;
    for (int i = 0; i < W; ++i) v[i] = to_float(element(p + i));
    return v;
}
FL_FN void narrow(float16* p, F v) {
    for (int i = 0; i < W; ++i) from_float(v[i], p + i);
}
template <class T> FL_FN void stream(T* p, F v) { narrow(p, v); }
FL_FN D low(F v) { return D{v[0], v[1]}; }
FL_FN D high(F v) { return D{v[2], v[3]}; }
FL_FN D maximum(D a, D b) { return where(a > b, a, b); }
FL_FN bool any(DI mask) { return (mask[0] | mask[1]) != 0; }
FL_FN D wide(const float* p) { return D{p[0], p[1]}; }
FL_FN void unwide(float* p, D v) { p[0] = static_cast<float>(v[0]), p[1] = static_cast<float>(v[1]); }
template <class T> FL_FN D wide(const T* p) { return D{to_double(element(p)), to_double(element(p + 1))}; }
template <class T> FL_FN void unwide(T* p, D v) { from_double(v[0], p), from_double(v[1], p + 1); }
FL_FN void finish_streams() {}

#include "lanes_one_by_one.h"
#include "engines.h"

}  // namespace generic
}  // namespace
#undef FL_WIDTH

// 64-bit ARM: 4 floats, 2 doubles.
#define FL_WIDTH 4
#define FL_TARGET

namespace {
namespace neon {

#include "vectors.h"

inline bool supported() { return true; }

FL_FN F maximum(F a, F b) { return vmaxnmq_f32(a, b); }
FL_FN F widen(const bfloat16* p) { return (F)vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p)), 16); }
FL_FN void narrow(bfloat16* p, F v) { vst1_u16(reinterpret_cast<uint16_t*>(p), vshrn_n_u32((uint32x4_t)bfloat_rounded(v), 16)); }
FL_FN F widen(const float16* p) { return vcvt_f32_f16(vld1_f16(reinterpret_cast<const __fp16*>(p))); }
FL_FN void narrow(float16* p, F v) { vst1_f16(reinterpret_cast<__fp16*>(p), vcvt_f16_f32(v)); }
template <class T> FL_FN void stream(T* p, F v) { narrow(p, v); }
FL_FN D low(F v) { return vcvt_f64_f32(vget_low_f32(v)); }
FL_FN D high(F v) { return vcvt_high_f64_f32(v); }
FL_FN D maximum(D a, D b) { return vmaxnmq_f64(a, b); }
FL_FN bool any(DI mask) { return vmaxvq_u32((uint32x4_t)mask) != 0; }
FL_FN D wide(const float* p) { return vcvt_f64_f32(vld1_f32(p)); }
FL_FN void unwide(float* p, D v) { vst1_f32(p, vcvt_f32_f64(v)); }
template <class T> FL_FN D wide(const T* p) { return D{to_double(element(p)), to_double(element(p + 1))}; }
template <class T> FL_FN void unwide(T* p, D v) { from_double(v[0], p), from_double(v[1], p + 1); }
FL_FN void finish_streams() {}

#include "lanes_one_by_one.h"
#include "engines.h"

}  // namespace neon
}  // namespace
#undef FL_WIDTH

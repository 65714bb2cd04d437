// x86 with AVX2 and FMA: 8 floats, 4 doubles.
#define FL_WIDTH 8
#define FL_TARGET __attribute__((target("avx2,fma,f16c")))

namespace {
namespace avx2 {

#include "vectors.h"

inline bool supported() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

FL_FN F maximum(F a, F b) { return _mm256_max_ps(a, b); }
FL_FN F widen(const bfloat16* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return (F)_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16);
}
FL_FN __m128i bfloat_bits(F v) {
    const __m256i lanes = (__m256i)bfloat_lanes(v);
    return _mm_packus_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
}
FL_FN void narrow(bfloat16* p, F v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bfloat_bits(v)); }
FL_FN F widen(const float16* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
FL_FN __m128i half_bits(F v) { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FL_FN void narrow(float16* p, F v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), half_bits(v)); }
FL_FN void stream(float* p, F v) { _mm256_stream_ps(p, v); }
FL_FN void stream(bfloat16* p, F v) { _mm_stream_si128(reinterpret_cast<__m128i*>(p), bfloat_bits(v)); }
FL_FN void stream(float16* p, F v) { _mm_stream_si128(reinterpret_cast<__m128i*>(p), half_bits(v)); }
FL_FN D low(F v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
FL_FN D high(F v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }
FL_FN D maximum(D a, D b) { return _mm256_max_pd(a, b); }
FL_FN bool any(DI mask) { return _mm256_movemask_pd((__m256d)mask) != 0; }
FL_FN D wide(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
FL_FN D wide(const bfloat16* p) {
    const __m128i bits = _mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    return _mm256_cvtps_pd(_mm_castsi128_ps(_mm_slli_epi32(bits, 16)));
}
FL_FN void unwide(float* p, D v) { _mm_storeu_ps(p, _mm256_cvtpd_ps(v)); }
FL_FN void unwide(bfloat16* p, D v) {
    const __m128i bits = _mm_srli_epi32(_mm_add_epi32(_mm_castps_si128(_mm256_cvtpd_ps(v)), _mm_set1_epi32(0x8000)), 16);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(bits, bits));
}
FL_FN void unwide(float16* p, D v) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_cvtps_ph(_mm256_cvtpd_ps(v), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FL_FN D wide(const float16* p) { return _mm256_cvtps_pd(_mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))); }
FL_FN void finish_streams() { _mm_sfence(); }

#include "lanes_one_by_one.h"
#include "engines.h"

}  // namespace avx2
}  // namespace
#undef FL_WIDTH

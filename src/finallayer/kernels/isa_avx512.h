// x86 with AVX-512: 16 floats, 8 doubles.
#define FL_WIDTH 16
#define FL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))

namespace {
namespace avx512 {

#include "vectors.h"

inline bool supported() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}

typedef __mmask16 Lanes;
FL_FN F maximum(F a, F b) { return _mm512_max_ps(a, b); }
FL_FN Lanes either_nan(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
FL_FN bool any(Lanes mask) { return mask != 0; }
FL_FN F widen(const bfloat16* p) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return (F)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
}
FL_FN __m256i bfloat_bits(F v) { return _mm512_cvtepi32_epi16((__m512i)bfloat_lanes(v)); }
FL_FN void narrow(bfloat16* p, F v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bfloat_bits(v)); }
FL_FN F widen(const float16* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
FL_FN __m256i half_bits(F v) { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FL_FN void narrow(float16* p, F v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half_bits(v)); }
FL_FN void stream(float* p, F v) { _mm512_stream_ps(p, v); }
FL_FN void stream(bfloat16* p, F v) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), bfloat_bits(v)); }
FL_FN void stream(float16* p, F v) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), half_bits(v)); }
FL_FN D low(F v) { return _mm512_cvtps_pd(_mm512_castps512_ps256(v)); }
FL_FN D high(F v) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)); }
FL_FN float largest(F v) { return _mm512_reduce_max_ps(v); }
FL_FN double sum_of(D v) { return _mm512_reduce_add_pd(v); }
FL_FN uint16_t first_lanes(int n) { return static_cast<uint16_t>((1u << n) - 1); }
FL_FN __m256i masked_bits(const void* p, int n, short missing) {
    return _mm256_mask_loadu_epi16(_mm256_set1_epi16(missing), first_lanes(n), p);
}
FL_FN F widen_first(const float* p, int n) { return _mm512_mask_loadu_ps(splat(-kInf), first_lanes(n), p); }
FL_FN F widen_first(const bfloat16* p, int n) {
    const __m256i bits = masked_bits(p, n, static_cast<short>(0xff80));
    return (F)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
}
FL_FN F widen_first(const float16* p, int n) { return _mm512_cvtph_ps(masked_bits(p, n, static_cast<short>(0xfc00))); }
FL_FN F replaced(F v, int lane, float by) { return _mm512_mask_blend_ps(static_cast<__mmask16>(1u << lane), v, splat(by)); }
FL_FN void narrow_first(float* p, F v, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
FL_FN void narrow_first(bfloat16* p, F v, int n) {
    _mm256_mask_storeu_epi16(p, first_lanes(n), bfloat_bits(v));
}
FL_FN void narrow_first(float16* p, F v, int n) { _mm256_mask_storeu_epi16(p, first_lanes(n), half_bits(v)); }
FL_FN D maximum(D a, D b) { return _mm512_max_pd(a, b); }
FL_FN double largest(D v) { return _mm512_reduce_max_pd(v); }
FL_FN bool any(DI mask) { return _mm512_movepi64_mask((__m512i)mask) != 0; }
FL_FN D wide(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
FL_FN D wide(const bfloat16* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)));
}
FL_FN void unwide(float* p, D v) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(v)); }
FL_FN void unwide(bfloat16* p, D v) {
    const __m256i bits = _mm256_add_epi32(_mm256_castps_si256(_mm512_cvtpd_ps(v)), _mm256_set1_epi32(0x8000));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtepi32_epi16(_mm256_srli_epi32(bits, 16)));
}
FL_FN void unwide(float16* p, D v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(_mm512_cvtpd_ps(v), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FL_FN D wide(const float16* p) { return _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))); }
FL_FN void finish_streams() { _mm_sfence(); }

// Two vectors of bfloat16 are one line: the upper halves of all lanes, by one permutation.
FL_FN void put_pair(bfloat16* g, F a, F b, bool streaming) {
    alignas(64) static constexpr uint16_t kUpper[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                                        33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    const __m512i line =
        _mm512_permutex2var_epi16((__m512i)bfloat_rounded(a), _mm512_load_si512(kUpper), (__m512i)bfloat_rounded(b));
    if (streaming) _mm512_stream_si512(reinterpret_cast<__m512i*>(g), line);
    else _mm512_storeu_si512(g, line);
}

// e^d * 2^(kBias - exponent), d = x - shift; 0 below the cut (and for -inf), NaN for NaN.
// d = (k/16 + integer) ln 2 + r: the power of two and its fraction come from 16 roots in one register.
constexpr int kSteps = 16;
template <class Framed> FL_FN F exp_framed(F d, const Framed& f) {
    // 2^(k/16), less the k that the addition of t below puts into the fraction.
    const __m512i roots = _mm512_setr_epi32(
        0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
        0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d);
    // What each root lost when it was rounded, relative to it: up to 0.8 ulp of the exponential.
    const __m512 lost = _mm512_setr_ps(
        0.0f, 4.6285471e-08f, -1.1992157e-08f, 4.7297824e-08f, 3.1934181e-08f, 3.6210573e-08f, -3.0990721e-08f, -7.4752132e-09f,
        1.7114271e-08f, -3.0476834e-08f, 5.2333342e-09f, 6.1075916e-09f, -1.4719605e-08f, -5.2587951e-09f, -6.1282598e-09f, 5.1406092e-09f);
    const F t = d * 23.083120346069336f + f.magic;  // low bits: round(16 d / ln 2) + 16 (kBias - exponent)
    const F n = t - f.magic;
    // Fused by name, not by the compiler's leave: ln 2 / 16 in two parts, nothing rounded until the second.
    const F coarse = _mm512_fnmadd_ps(n, splat(0.043321698904037476f), d);
    const F r = _mm512_fnmadd_ps(n, splat(-1.1904088825785087e-10f), coarse);
    const F e = r * ((r * 0.16666074097156525f + 0.5000162124633789f) * r + 1.0f);  // e^r - 1, within 0.03 * 2^-24
    const F q = e + (F)_mm512_permutexvar_ps((__m512i)t, lost);
    const __m512i root = _mm512_add_epi32(_mm512_permutexvar_epi32((__m512i)t, roots), _mm512_slli_epi32((__m512i)t, 19));
    const __mmask16 kept = _mm512_cmp_ps_mask(d, F{} + f.cut, _CMP_NLT_UQ);
    return _mm512_maskz_fmadd_ps(kept, (F)root, q, (F)root);
}

#include "engines.h"

}  // namespace avx512
}  // namespace
#undef FL_WIDTH

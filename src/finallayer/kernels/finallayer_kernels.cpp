// Cross-entropy on logits (XentLogits) and its binary twin for CPUs: exact at both ends, at the speed of memory.
//
// The mathematics. For a row z, an anchor class a (the target; for a distribution, the largest logit) and
// S' = sum over j != a of exp(z_j - R), with q = z_a - R:
//     lse - z_a = log1p(S' e^-q)      if q > 0,    log(S' + e^q) - q    otherwise;
//     softmax_j = e_j / (S' + e^q),   softmax_a - 1 = -S' / (S' + e^q).
// The anchor never enters the sum, so nothing cancels: neither the loss nor the gradient of a confident row is 0.
//
// The arithmetic. A row is read from memory once. Its exponentials are taken relative to a reference R that is guessed
// from the row's first logits; any R within 40 of the maximum does, since exponents are stored with room to spare. Where
// the guess fails (or an offset is large), the row is cut into blocks that fit the first-level cache, each with the
// reference that suits it. The exponentials stay in a row buffer (second-level cache) until the row's sum is known; then
// the gradient is written, once, past the caches. Sums run in double above eight float terms.
//
// This file compiles the section below `FL_SECTION` once per instruction set, and picks one when it runs.
#ifndef FL_SECTION

#include "finallayer_kernels.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__x86_64__) && !defined(FL_PORTABLE_ONLY)
#include <immintrin.h>
#define FL_X86 1
#endif
#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

namespace {

constexpr int kBlock = 1024;                         // elements: 4 KiB of float32, an eighth of a first-level cache
constexpr int kPad = 32;                             // at least the widest vector
constexpr int kBias = 64;                            // exponentials are stored times 2^64, so that none is subnormal
constexpr float kUnshifted = 512;                    // logits up to here are reduced as they are
constexpr float kRoom = 40;                          // by how much a row may exceed its guessed maximum
constexpr int kAhead = 1024;                         // elements between what is read and what is fetched
constexpr int kFloor = 188;                          // below 2^-188 of the block's largest, an exponential is 0
constexpr int64_t kStreamBytes = int64_t{4} << 20;   // gradients smaller than this are left in cache for their reader
constexpr int64_t kThreadElements = 1 << 15;         // a thread is not worth starting for less
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kLn2 = 0.69314718055994530942;

struct bfloat16 { uint16_t bits; };
struct float16 { uint16_t bits; };

constexpr int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

// One block of a row (or all of it) after its exponentials are taken: e_j = stored_j * exp(log_scale) / 2^kBias.
struct Block {
    float shift;       // subtracted from the logits; 0 unless they are large
    int exponent;      // then e^(z - shift) = stored * 2^(exponent - kBias)
    double log_scale;  // shift + exponent * ln 2; -inf for a block without unmasked classes
    double sum;        // of stored * 2^-kBias
};

// What a thread keeps while it walks through rows.
struct Scratch {
    std::vector<float> storage;
    std::vector<Block> blocks;
    float mass[kBlock + kPad];

    // Returns a 64-byte aligned buffer for the exponentials of a row.
    float* reserve(int64_t classes) {
        const size_t need = static_cast<size_t>(classes) + kPad + 16;
        if (storage.size() < need) storage.resize(need);
        const size_t block_count = static_cast<size_t>(classes) / kBlock + 1;
        if (blocks.size() < block_count) blocks.resize(block_count);
        auto address = reinterpret_cast<uintptr_t>(storage.data());
        return storage.data() + ((64 - address % 64) % 64) / sizeof(float);
    }
};

// What the rows of one call have in common.
struct Call {
    const fl_xent_args* args;
    double upstream;         // gradient of one row's loss, before row_upstream and row_weight
    double smoothing_mass;   // label_smoothing / classes
    double weight_sum;       // sum of class_weight
    bool stream;             // gradient written past the caches, where the logits' own lines are not at hand
    double* row_loss;        // rows, or null
};

inline int64_t index_target(const fl_xent_args& a, int64_t row) {
    const int64_t at = row * a.target_stride;
    return a.target_kind == FL_INDEX32 ? static_cast<const int32_t*>(a.targets)[at]
                                       : static_cast<const int64_t*>(a.targets)[at];
}

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

}  // namespace

// ---------------------------------------------------------------------------------- one section per instruction set
#define FL_SECTION
#if defined(FL_X86)
#define FL_NS avx512
#define FL_WIDTH 16
#define FL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#include "finallayer_kernels.cpp"
#undef FL_NS
#undef FL_WIDTH
#undef FL_TARGET
#define FL_NS avx2
#define FL_WIDTH 8
#define FL_TARGET __attribute__((target("avx2,fma,f16c")))
#include "finallayer_kernels.cpp"
#undef FL_NS
#undef FL_WIDTH
#undef FL_TARGET
#endif
#define FL_NS portable
#define FL_WIDTH 4
#define FL_TARGET
#include "finallayer_kernels.cpp"
#undef FL_NS
#undef FL_WIDTH
#undef FL_TARGET

// --------------------------------------------------------------------------------------------------- the entry points
namespace {

struct Isa {
    const char* name;
    void (*xent[3])(const Call&, int64_t, int64_t, Scratch&);
    void (*bce[3])(const fl_bce_args&, double, int64_t, int64_t, double*);
};

#define FL_TABLE(ns)                                                                              \
    {#ns, {ns::xent_rows<float>, ns::xent_rows<bfloat16>, ns::xent_rows<float16>},                \
          {ns::bce_elements<float>, ns::bce_elements<bfloat16>, ns::bce_elements<float16>}}
constexpr Isa kIsas[] = {
#if defined(FL_X86)
    FL_TABLE(avx512),
    FL_TABLE(avx2),
#endif
    FL_TABLE(portable),
};

bool supported(const Isa& isa) {
#if defined(FL_X86)
    if (!std::strcmp(isa.name, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("fma");
    if (!std::strcmp(isa.name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return true;
}

const Isa* best_isa() {
    for (const Isa& isa : kIsas)
        if (supported(isa)) return &isa;
    return nullptr;
}

std::atomic<const Isa*> current_isa{nullptr};

const Isa& isa() {
    const Isa* found = current_isa.load(std::memory_order_acquire);
    if (!found) {
        found = best_isa();
        current_isa.store(found, std::memory_order_release);
    }
    return *found;
}

// Runs work(begin, end) over [0, count), in pieces of `grain`, on up to `threads` threads, the caller's included.
// Threads are started per call: a call that is worth two threads lasts much longer than starting one, and a
// process without waiting threads can fork at any time.
template <class Work> void parallel(int64_t count, int64_t grain, int64_t elements, int64_t threads, const Work& work) {
    if (threads <= 0) threads = std::max(1u, std::thread::hardware_concurrency());
    threads = std::min({threads, elements / kThreadElements, (count + grain - 1) / grain});
    if (threads <= 1) {
        work(0, count);
        return;
    }
    std::atomic<int64_t> next{0};
    const auto loop = [&] {
        for (int64_t begin; (begin = next.fetch_add(grain)) < count;) work(begin, std::min(begin + grain, count));
    };
    std::vector<std::thread> others;
    others.reserve(threads - 1);
    try {
        for (int64_t i = 1; i < threads; ++i) others.emplace_back(loop);
    } catch (const std::system_error&) {
        // The system gives no more threads: those that run share the rows.
    }
    loop();
    for (std::thread& t : others) t.join();
}

Scratch& thread_scratch() {
    thread_local Scratch scratch;
    return scratch;
}

bool valid(const fl_xent_args& a) {
    return a.rows >= 0 && a.classes >= 0 && a.dtype >= 0 && a.dtype <= FL_FLOAT16 && a.target_kind >= 0 &&
           a.target_kind <= FL_DISTRIBUTION && a.reduction >= 0 && a.reduction <= FL_MEAN &&
           (a.rows == 0 || a.targets) && (a.rows == 0 || a.classes == 0 || a.logits);
}

// The denominator of FL_MEAN; finds the first target that is out of range.
int32_t count_targets(fl_xent_args& a, double& denominator) {
    denominator = 0;
    for (int64_t row = 0; row < a.rows; ++row) {
        double weight = a.row_weight ? a.row_weight[row] : 1;
        if (a.target_kind != FL_DISTRIBUTION) {
            const int64_t t = index_target(a, row);
            if (t == a.ignore_index) continue;
            if (t < 0 || t >= a.classes) {
                a.bad_row = row;
                return FL_TARGET_OUT_OF_RANGE;
            }
            if (a.class_weight) weight *= a.class_weight[t];
        }
        denominator += weight;
    }
    return FL_OK;
}

double sum_in_order(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum;
}

int32_t xent(fl_xent_args& a) {
    if (!valid(a)) return FL_BAD_ARGUMENT;
    double denominator;
    if (const int32_t status = count_targets(a, denominator)) return status;
    const double factor = a.reduction != FL_MEAN ? 1 : denominator != 0 ? 1 / denominator : 0;

    Call call{};
    call.args = &a;
    call.upstream = a.upstream * factor;
    call.smoothing_mass = a.classes ? a.label_smoothing / static_cast<double>(a.classes) : 0;
    call.weight_sum = static_cast<double>(a.classes);
    if (a.class_weight && a.label_smoothing != 0) {
        call.weight_sum = 0;
        for (int64_t j = 0; j < a.classes; ++j) call.weight_sum += a.class_weight[j];
    }
    const int64_t bytes = a.rows * a.classes * (a.dtype == FL_FLOAT32 ? 4 : 2);
    call.stream = bytes >= kStreamBytes && a.grad != a.logits;
    std::vector<double> row_loss(a.reduced ? a.rows : 0);
    call.row_loss = row_loss.data();

    const int64_t grain = std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, a.classes));
    const auto rows = isa().xent[a.dtype];
    parallel(a.rows, grain, a.rows * a.classes, a.threads,
             [&](int64_t begin, int64_t end) { rows(call, begin, end, thread_scratch()); });
    if (a.reduced) *a.reduced = denominator == 0 && a.reduction == FL_MEAN
                                    ? 0.0f
                                    : static_cast<float>(sum_in_order(row_loss) * factor);
    return FL_OK;
}

int32_t bce(fl_bce_args& a) {
    if (a.count < 0 || a.dtype < 0 || a.dtype > FL_FLOAT16 || a.reduction < 0 || a.reduction > FL_MEAN ||
        (a.count && (!a.logits || !a.targets)) || (a.weight && a.weight_period <= 0) ||
        (a.pos_weight && a.pos_weight_period <= 0))
        return FL_BAD_ARGUMENT;
    const double factor = a.reduction == FL_MEAN && a.count ? 1 / static_cast<double>(a.count) : 1;
    const int64_t grain = 1 << 14, pieces = (a.count + grain - 1) / grain;
    std::vector<double> sums(pieces);
    const auto elements = isa().bce[a.dtype];
    parallel(a.count, grain, a.count, a.threads, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at += grain)
            elements(a, a.upstream * factor, at, std::min(at + grain, end), &sums[at / grain]);
    });
    if (a.reduced) *a.reduced = static_cast<float>(sum_in_order(sums) * factor);
    return FL_OK;
}

// Exceptions must not cross a C boundary.
template <class Body> int32_t guarded(const Body& body) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return FL_NO_MEMORY;
    }
}

// Idle gradient buffers: at most kIdle of them, the same size asked for again and again by a training loop.
struct Pool {
    struct Idle { void* start; size_t bytes; };
    static constexpr size_t kIdle = 2;
    std::mutex lock;
    std::vector<Idle> idle;
};
constexpr size_t kHeader = 64;                       // keeps the size in front of the buffer, and its alignment
constexpr size_t kHugePage = size_t{2} << 20;

// Never destroyed: buffers come back while the interpreter shuts down.
Pool& pool() {
    static Pool* const instance = new Pool;
    return *instance;
}

void* fresh_pages(size_t bytes) {
    void* start = nullptr;
    if (posix_memalign(&start, bytes >= kHugePage ? kHugePage : 64, bytes)) return nullptr;
#if defined(MADV_HUGEPAGE)
    if (bytes >= kHugePage) madvise(start, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    return start;
}

}  // namespace

extern "C" {

int32_t fl_xent(fl_xent_args* args) {
    return guarded([&] { return xent(*args); });
}

int32_t fl_bce(fl_bce_args* args) {
    return guarded([&] { return bce(*args); });
}

const char* fl_isa(void) { return isa().name; }

const char* fl_force_isa(const char* name) {
    for (const Isa& candidate : kIsas)
        if (!std::strcmp(candidate.name, name) && supported(candidate))
            current_isa.store(&candidate, std::memory_order_release);
    return isa().name;
}

int32_t fl_abi_version(void) { return 2; }

void* fl_buffer_acquire(int64_t wanted) {
    if (wanted < 0) return nullptr;
    const size_t bytes = static_cast<size_t>(wanted) + kHeader;
    char* start = nullptr;
    size_t size = bytes;
    {
        Pool& p = pool();
        const std::lock_guard<std::mutex> hold(p.lock);
        for (auto it = p.idle.begin(); it != p.idle.end(); ++it) {
            if (it->bytes >= bytes && it->bytes / 2 <= bytes) {
                start = static_cast<char*>(it->start);
                size = it->bytes;
                p.idle.erase(it);
                break;
            }
        }
    }
    if (!start) start = static_cast<char*>(fresh_pages(bytes));
    if (!start) return nullptr;
    std::memcpy(start, &size, sizeof size);
    return start + kHeader;
}

void fl_buffer_release(void* buffer) {
    if (!buffer) return;
    char* start = static_cast<char*>(buffer) - kHeader;
    size_t size;
    std::memcpy(&size, start, sizeof size);
    void* surplus = nullptr;
    {
        Pool& p = pool();
        const std::lock_guard<std::mutex> hold(p.lock);
        p.idle.push_back({start, size});
        if (p.idle.size() > Pool::kIdle) {
            surplus = p.idle.front().start;
            p.idle.erase(p.idle.begin());
        }
    }
    std::free(surplus);
}

void fl_buffer_trim(void) {
    Pool& p = pool();
    const std::lock_guard<std::mutex> hold(p.lock);
    for (const Pool::Idle& i : p.idle) std::free(i.start);
    p.idle.clear();
}

}  // extern "C"

#else  // ------------------------------------------------------------------ the section: everything that uses vectors

namespace {
namespace FL_NS {
#define FL_FN static inline FL_TARGET

constexpr int W = FL_WIDTH;
typedef float F __attribute__((vector_size(4 * W)));
typedef int32_t I __attribute__((vector_size(4 * W)));
typedef uint32_t U __attribute__((vector_size(4 * W)));
typedef uint16_t H __attribute__((vector_size(2 * W)));

FL_FN F load(const float* p) { F v; std::memcpy(&v, p, sizeof v); return v; }
FL_FN void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }
FL_FN F splat(float v) { return v - F{}; }
FL_FN F where(I mask, F a, F b) { return (F)(((I)a & mask) | ((I)b & ~mask)); }
FL_FN F widen(const float* p) { return load(p); }
FL_FN void narrow(float* p, F v) { store(p, v); }
// The upper half of each lane, rounded to nearest. (A tie is the float32's, not the true gradient's: away from zero is as
// good as to even, and cheaper.) A NaN stays one: those made by arithmetic have no low bits that could carry.
FL_FN U bfloat_rounded(F v) { return (U)v + 0x8000u; }
FL_FN U bfloat_lanes(F v) { return bfloat_rounded(v) >> 16; }

// The few operations that the compilers' vector types lack.
#if FL_WIDTH == 16
typedef __m512d D;
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
#elif FL_WIDTH == 8
typedef __m256d D;
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
#else
typedef double D __attribute__((vector_size(2 * sizeof(double))));
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
#endif

#if FL_WIDTH < 16
template <class V> FL_FN auto fold(V v) {
    auto sum = v[0];
    for (size_t i = 1; i < sizeof v / sizeof v[0]; ++i) sum += v[i];
    return sum;
}
FL_FN double sum_of(D v) { return fold(v); }
FL_FN float largest(F v) {
    float top = v[0];
    for (int i = 1; i < W; ++i) top = std::max(top, v[i]);
    return top;
}
typedef I Lanes;  // 0 or -1
FL_FN Lanes either_nan(F a, F b) { return (a != a) | (b != b); }
FL_FN bool any(Lanes mask) { return fold(mask) != 0; }
FL_FN F replaced(F v, int lane, float by) {
    v[lane] = by;
    return v;
}
// The first n lanes from p; the others are masked classes.
template <class T> FL_FN F widen_first(const T* p, int n) {
    T lanes[W];
    T masked;
    from_float(-kInf, &masked);
    for (int i = 0; i < W; ++i) std::memcpy(static_cast<void*>(lanes + i), i < n ? p + i : &masked, sizeof(T));
    return widen(lanes);
}
template <class T> FL_FN void narrow_first(T* p, F v, int n) {
    T lanes[W];
    narrow(lanes, v);
    std::memcpy(static_cast<void*>(p), lanes, n * sizeof(T));
}
#endif

FL_FN void finish_streams() {
#if FL_WIDTH > 4
    _mm_sfence();
#endif
}

// e^r for |r| <= 0.35, relative error below 0.6 * 2^-24: minimax over the interval, the first two terms exact.
FL_FN F exp_reduced(F r) {
    F p = splat(0.0013814540579915047f);
    p = p * r + 0.00836874544620514f;
    p = p * r + 0.04166838899254799f;
    p = p * r + 0.1666652113199234f;
    p = p * r + 0.4999999403953552f;
    p = p * r + 1.0f;
    return p * r + 1.0f;
}

// 1.5 * 2^23: adding it rounds to an integer that stands in the low bits.
constexpr float kMagic = 12582912.0f;

// What turns logits into exponentials.
struct Frame {
    float shift;   // subtracted; exact, because shift is 0 or within a factor of two of every logit that matters
    float cut;     // below it, after the shift, the exponential is 0
    float magic;   // kMagic and the exponent that is stored
};

// e^d * 2^(kBias - exponent), d = x - shift; 0 below the cut (and for -inf), NaN for NaN.
#if FL_WIDTH == 16
// d = (k/16 + integer) ln 2 + r: the power of two and its fraction come from 16 roots in one register.
constexpr int kSteps = 16;
FL_FN F exp_framed(F d, const Frame& f) {
    // 2^(k/16), less the k that the addition of t below puts into the fraction.
    const __m512i roots = _mm512_setr_epi32(
        0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
        0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d);
    const F t = d * 23.083120346069336f + f.magic;  // low bits: round(16 d / ln 2) + 16 (kBias - exponent)
    const F n = t - f.magic;
    // Fused by name, not by the compiler's leave: ln 2 / 16 in two parts, nothing rounded until the second.
    const F coarse = _mm512_fnmadd_ps(n, splat(0.043321698904037476f), d);
    const F r = _mm512_fnmadd_ps(n, splat(-1.1904088825785087e-10f), coarse);
    const F q = r * ((r * 0.16666074097156525f + 0.5000162124633789f) * r + 1.0f);  // e^r - 1, within 0.03 * 2^-24
    const __m512i root = _mm512_add_epi32(_mm512_permutexvar_epi32((__m512i)t, roots), _mm512_slli_epi32((__m512i)t, 19));
    const __mmask16 kept = _mm512_cmp_ps_mask(d, splat(f.cut), _CMP_NLT_UQ);
    return _mm512_maskz_fmadd_ps(kept, (F)root, q, (F)root);
}
#else
constexpr int kSteps = 1;
FL_FN F exp_framed(F d, const Frame& f) {
    const F t = d * 1.44269504088896341f + f.magic;  // low bits: round(d / ln 2) + kBias - exponent
    const F n = t - f.magic;
    const F r = (d - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts, the first product exact
    return (F)(((U)exp_reduced(r) + ((U)t << 23)) & ~(U)(d < f.cut));
}
#endif

// The frame around a logit that is neither NaN nor infinite, and what it makes of a block.
FL_FN Frame frame(float reference, Block& b) {
    // Up to here the reduction by multiples of ln 2 is exact as it stands; beyond, x - reference is exact for every x
    // that is not negligible (Sterbenz), and the reduction starts from that difference.
    b.shift = std::fabs(reference) <= kUnshifted ? 0.0f : reference;
    b.exponent = static_cast<int>(std::lrint((reference - b.shift) * 1.44269504f));
    b.log_scale = b.shift + b.exponent * kLn2;
    const int exponent = kSteps * (b.exponent - kBias);
    return {b.shift, static_cast<float>((b.exponent - kFloor) * kLn2), kMagic - static_cast<float>(exponent)};
}

// Rows are taken in groups of vectors. A group is plain if it is whole and the anchor is not in it.
constexpr int kFan = 8;
constexpr int kGroup = kFan * W;
FL_FN bool is_plain(int64_t begin, int64_t n, int64_t anchor) {
    return begin + kGroup <= n && (anchor < begin || anchor >= begin + kGroup);
}

// The vector at i of any other group: masked classes where the anchor or nothing is.
template <class T> FL_FN F widen_careful(const T* x, int64_t i, int64_t n, int64_t anchor) {
    if (i >= n) return splat(-kInf);
    F v = i + W <= n ? widen(x + i) : widen_first(x + i, static_cast<int>(n - i));
    if (anchor >= i && anchor < i + W) v = replaced(v, static_cast<int>(anchor - i), -kInf);
    return v;
}

struct Peak {
    float value;
    bool nan;
};

template <class T> FL_FN Peak peak(const T* x, int64_t n, int64_t anchor) {
    F top[2] = {splat(-kInf), splat(-kInf)};
    Lanes nan{};
    for (int64_t i = 0; i < n; i += kGroup) {
        const bool plain = is_plain(i, n, anchor);
        for (int k = 0; k < kFan; k += 2) {
            const int64_t j = i + k * W;
            if (j >= n) break;
            const F a = plain ? widen(x + j) : widen_careful(x, j, n, anchor);
            const F b = plain ? widen(x + j + W) : widen_careful(x, j + W, n, anchor);
            top[0] = maximum(a, top[0]);
            top[1] = maximum(b, top[1]);
            nan |= either_nan(a, b);
        }
    }
    return {largest(maximum(top[0], top[1])), any(nan)};
}

// Takes the exponentials of all but the anchor, keeps them if Keep, and returns their sum; `top` is the largest logit,
// NaN apart. Meanwhile the memory ahead is on its way into the cache.
template <bool Keep, bool Shifted, class T>
FL_FN double exponentials(const T* x, int64_t n, int64_t anchor, const Frame& f, float* out, float& top) {
    constexpr int kPerLine = 64 / sizeof(T);
    D even{}, odd{};
    F highest = splat(-kInf);
    for (int64_t i = 0; i < n; i += kGroup) {
        F e[kFan];
        if (is_plain(i, n, anchor)) {
#pragma GCC unroll 8
            for (int k = 0; k < kFan; ++k) {
                if (W >= kPerLine || k % (kPerLine / W) == 0) __builtin_prefetch(x + i + kAhead + k * W);
                const F v = widen(x + i + k * W);
                highest = maximum(v, highest);
                e[k] = exp_framed(Shifted ? v - f.shift : v, f);
                if (Keep) store(out + i + k * W, e[k]);
            }
        } else {
            for (int k = 0; k < kFan; ++k) {
                e[k] = F{};
                if (i + k * W >= n) continue;
                const F v = widen_careful(x, i + k * W, n, anchor);
                highest = maximum(v, highest);
                e[k] = exp_framed(Shifted ? v - f.shift : v, f);
                if (Keep) store(out + i + k * W, e[k]);
            }
        }
        const F sum = ((e[0] + e[1]) + (e[2] + e[3])) + ((e[4] + e[5]) + (e[6] + e[7]));
        even += low(sum);
        odd += high(sum);
    }
    top = largest(highest);
    return sum_of(even + odd);
}

template <bool Shifted, class T>
FL_FN double exponentials(const T* x, int64_t n, int64_t anchor, const Frame& f, float* out, float& top) {
    return out ? exponentials<true, Shifted>(x, n, anchor, f, out, top)
               : exponentials<false, Shifted>(x, n, anchor, f, out, top);
}

// A row in one frame, guessed from its first logits. False if the guess is not good enough: then nothing is known.
template <class T> FL_FN bool take_row(const T* x, int64_t n, int64_t anchor, Block& block, float* out, Peak& p) {
    const Peak first = peak(x, std::min<int64_t>(n, kGroup), anchor);
    if (first.nan || !(std::fabs(first.value) <= kUnshifted)) return false;
    const Frame f = frame(first.value, block);
    const double sum = exponentials<false>(x, n, anchor, f, out, p.value);
    p.nan = false;  // a NaN would be in the sum
    block.sum = 0x1p-64 * sum;
    return p.value <= first.value + kRoom && sum > 0 && sum < static_cast<double>(kInf);
}

// A block in the frame of its maximum; nothing is taken if that is NaN or infinite.
template <class T> FL_FN Peak take_block(const T* x, int64_t n, int64_t anchor, Block& block, float* out) {
    Peak p = peak(x, n, anchor);
    if (p.nan || p.value == kInf) return p;
    if (p.value == -kInf) {
        block = {0, 0, -static_cast<double>(kInf), 0};
        if (out) std::fill(out, out + n, 0.0f);
        return p;
    }
    const Frame f = frame(p.value, block);
    block.sum = 0x1p-64 * (f.shift == 0 ? exponentials<false>(x, n, anchor, f, out, p.value)
                                        : exponentials<true>(x, n, anchor, f, out, p.value));
    return p;
}

// sum_j mass_j (anchor - x_j); a class without mass counts nothing, masked or not.
template <class T> FL_FN double weighted_gap(const T* x, const float* mass, int n, float anchor) {
    D sum{};
    for (int i = 0; i < n; i += W) {
        const F q = load(mass + i);
        const F term = (F)((I)(q * (anchor - widen_careful(x, i, n, -1))) & (q != 0.0f));
        sum += low(term) + high(term);
    }
    return sum_of(sum);
}

// The gradient of a block: g_j = stored_j * scale - push * mass_j, and the anchor's own.
template <bool Mass> struct Slope {
    const float* e;
    const float* mass;
    float scale, push;
    int64_t anchor;
    float at_anchor;
};
template <bool Mass> FL_FN F gradient(const Slope<Mass>& s, int64_t i) {
    const F g = load(s.e + i) * s.scale;
    return Mass ? g - load(s.mass + i) * s.push : g;
}
template <bool Mass> FL_FN F gradient_careful(const Slope<Mass>& s, int64_t i) {
    const F g = gradient(s, i);
    return s.anchor >= i && s.anchor < i + W ? replaced(g, static_cast<int>(s.anchor - i), s.at_anchor) : g;
}

// A block's scale as a float. One too small for that (a confident row) is put into the exponentials, in two factors
// of which none is subnormal; then 1 is left.
FL_FN float float_scale(double scale, float* e, int64_t n) {
    if (std::fabs(scale) >= 0x1p-110) return static_cast<float>(scale);
    const auto first = static_cast<float>(scale * 0x1p120);
    for (int64_t i = 0; i < n; i += W) store(e + i, load(e + i) * first * 0x1p-120f);
    return 1;
}

template <class T> FL_FN void put(T* g, F v, bool streaming) {
    if (streaming) stream(g, v);
    else narrow(g, v);
}
template <class T> FL_FN void put_pair(T* g, F a, F b, bool streaming) {
    put(g, a, streaming);
    put(g + W, b, streaming);
}
#if FL_WIDTH == 16
// Two vectors of bfloat16 are one line: the upper halves of all lanes, by one permutation.
FL_FN void put_pair(bfloat16* g, F a, F b, bool streaming) {
    alignas(64) static constexpr uint16_t kUpper[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                                        33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    const __m512i line =
        _mm512_permutex2var_epi16((__m512i)bfloat_rounded(a), _mm512_load_si512(kUpper), (__m512i)bfloat_rounded(b));
    if (streaming) _mm512_stream_si512(reinterpret_cast<__m512i*>(g), line);
    else _mm512_storeu_si512(g, line);
}
#endif

// Whole lines of the gradient, aligned if they are streamed: [begin, end) is a multiple of two vectors.
template <bool Streaming, class T, bool Mass>
FL_FN void write_lines(T* g, const Slope<Mass>& s, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 2 * W) {
        if (s.anchor < i || s.anchor >= i + 2 * W)
            put_pair(g + i, gradient(s, i), gradient(s, i + W), Streaming);
        else  // here, because to write it afterwards would fetch a line that is on its way to memory
            put_pair(g + i, gradient_careful(s, i), gradient_careful(s, i + W), Streaming);
    }
}

// Writes the gradient of a block. Where the vectors begin changes no result: every element is computed alike.
template <class T, bool Mass> FL_FN void write(T* g, const Slope<Mass>& s, int64_t n, bool streaming) {
    const auto misalignment = reinterpret_cast<uintptr_t>(g) % 64;
    const bool aligns = misalignment % sizeof(T) == 0;
    const int64_t head = aligns ? std::min<int64_t>(n, (64 - misalignment) % 64 / sizeof(T)) : 0;
    const int64_t lines_end = head + (n - head) / (2 * W) * (2 * W);
    for (int64_t i = 0; i < head; i += W)
        narrow_first(g + i, gradient_careful(s, i), static_cast<int>(std::min<int64_t>(W, head - i)));
    if (streaming && aligns) write_lines<true>(g, s, head, lines_end);
    else write_lines<false>(g, s, head, lines_end);
    for (int64_t i = lines_end; i < n; i += W)
        narrow_first(g + i, gradient_careful(s, i), static_cast<int>(std::min<int64_t>(W, n - i)));
}

template <class T> FL_FN void fill(T* g, int64_t n, float value) {
    T v;
    from_float(value, &v);
    for (int64_t j = 0; j < n; ++j) std::memcpy(static_cast<void*>(g + j), &v, sizeof v);
}

// One row: where it lies, its anchor and the coefficients of its loss.
template <class T> struct Row {
    const T* z;
    T* g;
    int64_t anchor;
    float anchor_logit;
    double anchor_mass;     // (1 - s) c_t + s/V c_t, or c_a p'_a
    double rest_mass;       // the other classes' mass
    const float* target;    // probabilities, or null
    double push;            // gradient of the row's loss, times its weight
    double lse_push;        // gradient of the row's lse
    bool massive;           // classes other than the anchor have mass
};

// The target mass of the classes of a block, 0 at the anchor and in the padding.
template <class T>
FL_FN void block_mass(const Call& call, const Row<T>& row, int64_t begin, int n, float* mass) {
    const fl_xent_args& a = *call.args;
    const auto smooth = static_cast<float>(call.smoothing_mass);
    const auto keep = static_cast<float>(1 - a.label_smoothing);
    for (int j = 0; j < n; ++j) {
        const float p = row.target ? keep * row.target[begin + j] + smooth : smooth;
        mass[j] = a.class_weight ? p * a.class_weight[begin + j] : p;
    }
    std::fill(mass + n, mass + round_up(n, W), 0.0f);
    if (row.anchor >= begin && row.anchor < begin + n) mass[row.anchor - begin] = 0;
}

// The blocks of a row.
struct Cut {
    int64_t classes;
    int64_t step;
    int64_t count() const { return (classes + step - 1) / step; }
    int64_t begin(int64_t b) const { return b * step; }
    int64_t size(int64_t b) const { return std::min(step, classes - begin(b)); }
};

// The first of the largest logits; -1 if there is a NaN or none is above -inf.
template <class T> FL_FN int64_t argmax(const T* z, int64_t classes) {
    const Peak p = peak(z, classes, -1);
    if (p.nan || p.value == -kInf) return -1;
    int64_t j = 0;
    while (to_float(element(z + j)) != p.value) ++j;
    return j;
}

struct Outcome {
    double loss;  // before the row's weight
    double lse;
    bool anchor_is_argmax;
};

// Takes the row block by block, each in its own frame, with the part of the loss that other classes' mass has.
template <class T>
FL_FN Peak take_blocks(const Call& call, const Row<T>& row, const Cut& cut, Scratch& scratch, float* kept, double& gap) {
    Peak highest{-kInf, false};
    for (int64_t i = 0; i < cut.count() && !highest.nan; ++i) {
        const int64_t begin = cut.begin(i);
        const int n = static_cast<int>(cut.size(i));
        float* out = row.g ? kept + begin : nullptr;
        const Peak p = take_block(row.z + begin, n, row.anchor - begin, scratch.blocks[i], out);
        if (row.massive) {
            block_mass(call, row, begin, n, scratch.mass);
            gap += weighted_gap(row.z + begin, scratch.mass, n, row.anchor_logit);
        }
        highest = {std::max(highest.value, p.value), p.nan || p.value == kInf};
    }
    return highest;
}

template <class T> FL_FN Outcome walk(const Call& call, const Row<T>& row, Scratch& scratch, float* kept) {
    const fl_xent_args& a = *call.args;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    Peak others_peak{-kInf, std::isnan(row.anchor_logit) || row.anchor_logit == kInf};
    if (row.g) {  // the lines that it shares with its neighbours
        __builtin_prefetch(row.g, 1);
        __builtin_prefetch(row.g + a.classes, 1);
    }
    double gap = 0;
    Cut cut{a.classes, a.classes};
    if (!others_peak.nan && (row.massive || !take_row(row.z, a.classes, row.anchor, scratch.blocks[0],
                                                      row.g ? kept : nullptr, others_peak))) {
        cut.step = kBlock;
        others_peak = take_blocks(call, row, cut, scratch, kept, gap);
    }
    const int64_t blocks = cut.count();
    if (others_peak.nan || (others_peak.value == -kInf && row.anchor_logit == -kInf)) {  // or every class masked
        if (row.g) fill(row.g, a.classes, static_cast<float>(nan));
        return {nan, nan, false};
    }

    // R = largest log_scale; the blocks' factors to it are powers of two unless a block is shifted.
    double reference = -static_cast<double>(kInf), others = 0;
    for (int64_t i = 0; i < blocks; ++i) reference = std::max(reference, scratch.blocks[i].log_scale);
    for (int64_t i = 0; i < blocks; ++i) {
        Block& b = scratch.blocks[i];
        // From here on log_scale holds the factor itself.
        b.log_scale = b.log_scale == reference ? 1 : std::exp(b.log_scale - reference);
        if (b.sum != 0) others += b.sum * b.log_scale;
    }
    const double q = row.anchor_logit - reference;  // +inf when every other class is masked
    const bool ahead = q > 0;
    const double falling = std::exp(-std::fabs(q));  // without branches on q: it is as good as random
    const double anchor_exp = ahead ? 1 : falling;
    const double scale = ahead ? falling : 1;
    const double total = others * scale + anchor_exp;
    const double anchor_loss = std::log1p(ahead ? others * scale : total - 1) + (ahead ? 0 : -q);
    Outcome result;
    result.lse = std::isinf(q) ? (ahead ? row.anchor_logit : reference + std::log(total)) : row.anchor_logit + anchor_loss;
    const double mass = row.anchor_mass + row.rest_mass;
    result.loss = (mass != 0 ? mass * anchor_loss : 0) + gap;
    if (std::isinf(anchor_loss) && mass != 0) result.loss = mass * anchor_loss;
    if (a.z_loss != 0) result.loss += a.z_loss * result.lse * result.lse;
    result.anchor_is_argmax = row.anchor_logit > others_peak.value;
    if (a.correct && row.anchor_logit == others_peak.value) {
        int64_t j = 0;
        while (to_float(element(row.z + j)) != others_peak.value) ++j;
        result.anchor_is_argmax = j == row.anchor;
    }
    if (!row.g) return result;

    const double lse_pull = row.push * 2 * a.z_loss * result.lse + row.lse_push;
    const double softmax_scale = (row.push * mass + lse_pull) * scale / total * 0x1p-64;
    const auto push = static_cast<float>(row.push);
    const double others_share = others * scale / total;
    const double at_anchor = row.push * (row.rest_mass - mass * others_share) + lse_pull * anchor_exp / total;
    for (int64_t i = 0; i < blocks; ++i) {
        const int64_t begin = cut.begin(i), n = cut.size(i);
        float* e = kept + begin;
        const float s = float_scale(softmax_scale * scratch.blocks[i].log_scale, e, n);
        const int64_t anchor = row.anchor - begin;
        if (row.massive) {
            block_mass(call, row, begin, static_cast<int>(n), scratch.mass);
            const Slope<true> slope{e, scratch.mass, s, push, anchor, static_cast<float>(at_anchor)};
            write(row.g + begin, slope, n, call.stream);
        } else {
            const Slope<false> slope{e, nullptr, s, push, anchor, static_cast<float>(at_anchor)};
            write(row.g + begin, slope, n, call.stream);
        }
    }
    return result;
}

// The row's anchor and masses; false if it is ignored and nobody asks for its lse.
template <class T> FL_FN bool prepare(const Call& call, int64_t i, Row<T>& row) {
    const fl_xent_args& a = *call.args;
    const double keep = 1 - a.label_smoothing;
    const double weight = a.row_weight ? a.row_weight[i] : 1;
    row.push = call.upstream * weight * (a.row_upstream ? a.row_upstream[i] : 1);
    row.lse_push = a.lse_upstream ? a.lse_upstream[i] : 0;
    row.target = nullptr;
    row.rest_mass = 0;
    if (a.target_kind == FL_DISTRIBUTION) {
        row.target = static_cast<const float*>(a.targets) + i * a.target_stride;
        row.anchor = std::max<int64_t>(0, argmax(row.z, a.classes));
        for (int64_t j = 0; j < a.classes; ++j) {
            const double c = a.class_weight ? a.class_weight[j] : 1;
            const double m = c * (keep * row.target[j] + call.smoothing_mass);
            if (j == row.anchor) row.anchor_mass = m;
            else row.rest_mass += m;
        }
        row.massive = true;
    } else {
        row.anchor = index_target(a, i);
        const bool ignored = row.anchor == a.ignore_index;
        if (ignored && !a.lse && !a.lse_upstream) return false;
        if (ignored) row.anchor = 0, row.push = 0;
        const double c = a.class_weight ? a.class_weight[row.anchor] : 1;
        row.anchor_mass = c * (keep + call.smoothing_mass);
        row.massive = a.label_smoothing != 0;
        if (row.massive) row.rest_mass = call.smoothing_mass * (call.weight_sum - c);
    }
    row.anchor_logit = to_float(element(row.z + row.anchor));
    return true;
}

template <class T> FL_TARGET void xent_rows(const Call& call, int64_t begin, int64_t end, Scratch& scratch) {
    const fl_xent_args& a = *call.args;
    const auto* logits = static_cast<const T*>(a.logits);
    auto* grad = static_cast<T*>(a.grad);
    float* kept = scratch.reserve(a.classes);
    for (int64_t i = begin; i < end; ++i) {
        Row<T> row{};
        row.z = logits + i * a.logits_stride;
        row.g = grad ? grad + i * a.grad_stride : nullptr;
        const bool ignored = a.target_kind != FL_DISTRIBUTION && index_target(a, i) == a.ignore_index;
        Outcome outcome{0, 0, false};
        if (prepare(call, i, row)) {
            outcome = walk(call, row, scratch, kept);
        } else if (row.g) {
            fill(row.g, a.classes, 0.0f);
        }
        const double weight = a.row_weight ? a.row_weight[i] : 1;
        const double loss = ignored || weight == 0 ? 0 : weight * outcome.loss;
        if (call.row_loss) call.row_loss[i] = loss;
        if (a.loss) a.loss[i] = static_cast<float>(loss);
        if (a.lse) a.lse[i] = static_cast<float>(outcome.lse);
        if (a.correct) a.correct[i] = outcome.anchor_is_argmax && !ignored;
    }
    if (grad && call.stream) finish_streams();
}

// log(1 + e) for 0 <= e <= 1, relative error about 1 ulp (the method of fdlibm's log1p).
FL_FN F log1p_unit(F e) {
    const I large = e > 0.41421356f;
    const F f = where(large, (e - 1.0f) * 0.5f, e);
    const F half_square = 0.5f * f * f;
    const F s = f / (2.0f + f);
    const F z = s * s;
    const F series = z * (0.6666666865f + z * (0.4000000060f + z * (0.2857142985f + z * (0.2222219795f + z * 0.1818355322f))));
    const F ln2_high = (F)((I)splat(0.693145751953125f) & large), ln2_low = (F)((I)splat(1.42860682e-6f) & large);
    return ln2_high - ((half_square - (s * (half_square + series) + ln2_low)) - f);
}

// e^-|z| down to the subnormals.
FL_FN F exp_of_minus(F magnitude) {
    const F d = where(magnitude < 110.0f, -magnitude, splat(-110.0f));
    const F t = d * 1.44269504088896341f + kMagic;
    const F n = t - kMagic;
    const F r = (d - n * 0.693359375f) - n * -2.12194440e-4f;
    const F scaled = (F)((U)exp_reduced(r) + (((U)t + kBias) << 23)) * 0x1p-64f;
    return where(magnitude < 110.0f, scaled, F{});
}

struct Bce {
    F loss, grad;
};

FL_FN Bce bce_vector(F z, F y, F pos_weight) {
    const F magnitude = (F)((I)z & 0x7fffffff);
    const F e = exp_of_minus(magnitude);
    const F tail = log1p_unit(e);
    const I positive = z > 0.0f;
    const F over = where(positive, z, F{}), under = where(positive, F{}, -z);
    const F large = 1.0f / (1.0f + e), small = e / (1.0f + e);
    const F up = 1.0f - y, down = pos_weight * y;
    // 0 * inf: a class that cannot be the target costs nothing, however far its logit.
    const F cost_up = where(up == 0.0f, F{}, up * (over + tail));
    const F cost_down = where(down == 0.0f, F{}, down * (under + tail));
    const I nan = z != z;
    return {where(nan, z, cost_up + cost_down),
            where(nan, z, up * where(positive, large, small) - down * where(positive, small, large))};
}

template <class T>
FL_TARGET void bce_elements(const fl_bce_args& a, double upstream, int64_t begin, int64_t end, double* sum) {
    const auto* logits = static_cast<const T*>(a.logits);
    auto* grad = static_cast<T*>(a.grad);
    const auto scale = static_cast<float>(upstream);
    D total{};
    for (int64_t i = begin; i < end; i += W) {
        const int n = static_cast<int>(std::min<int64_t>(W, end - i));
        T z[W] = {};
        float y[W] = {}, w[W] = {}, v[W] = {}, u[W] = {};
        std::memcpy(static_cast<void*>(z), logits + i, n * sizeof(T));
        std::memcpy(y, a.targets + i, n * sizeof(float));
        for (int k = 0; k < n; ++k) {
            w[k] = a.weight ? a.weight[(i + k) % a.weight_period] : 1.0f;
            v[k] = a.pos_weight ? a.pos_weight[(i + k) % a.pos_weight_period] : 1.0f;
            u[k] = a.element_upstream ? a.element_upstream[i + k] * scale : scale;
        }
        const Bce b = bce_vector(widen(z), load(y), load(v));
        F loss = b.loss * load(w);
        if (n < W)
            for (int k = n; k < W; ++k) loss[k] = 0;
        total += low(loss) + high(loss);
        if (a.loss) std::memcpy(a.loss + i, &loss, n * sizeof(float));
        if (grad) {
            T g[W];
            narrow(g, b.grad * (load(w) * load(u)));
            std::memcpy(static_cast<void*>(grad + i), g, n * sizeof(T));
        }
    }
    *sum = sum_of(total);
}

#undef FL_FN
}  // namespace FL_NS
}  // namespace
#endif

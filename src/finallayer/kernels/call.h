// One call of fl_xent or fl_bce, as every engine sees it; and what a thread keeps while it walks through rows.
#pragma once

#include "finallayer_kernels.h"
#include "formats.h"

#include <cmath>
#include <limits>
#include <vector>

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kBlock = 1024;  // elements: 4 KiB of float32, an eighth of a first-level cache
constexpr int kPad = 32;      // at least the widest vector
constexpr int64_t kBatchElements = 4096;  // of rows that are taken together: they stay in the first-level cache

constexpr int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// 1.5 * 2^23: adding it rounds to an integer that stands in the low bits.
constexpr float kMagic = 12582912.0f;

constexpr int kBias = 64;      // exponentials in float are stored times 2^64, so that none is subnormal

// What turns logits into exponentials.
struct Frame {
    float shift;   // subtracted; exact, because shift is 0 or within a factor of two of every logit that matters
    float cut;     // below it, after the shift, the exponential is 0
    float magic;   // kMagic and the exponent that is stored
};

// One block of a row (or all of it) after its exponentials are taken in float: e_j = stored_j * exp(log_scale) / 2^kBias.
struct Block {
    float shift;       // subtracted from the logits; 0 unless they are large
    int exponent;      // then e^(z - shift) = stored * 2^(exponent - kBias)
    double log_scale;  // shift + exponent * ln 2; -inf for a block without unmasked classes
    double sum;        // of stored * 2^-kBias
};

// Memory that only grows, aligned to 64 bytes.
template <class T> class Lasting {
public:
    T* reserve(int64_t count) {
        const size_t need = static_cast<size_t>(count) + 64 / sizeof(T) + 1;
        if (storage_.size() < need) storage_.resize(need);
        const auto address = reinterpret_cast<uintptr_t>(storage_.data());
        return storage_.data() + ((64 - address % 64) % 64 + sizeof(T) - 1) / sizeof(T);
    }

    // Gives back what is not worth keeping for the next call.
    void trim() {
        if (storage_.size() * sizeof(T) > kKeptBytes) storage_ = std::vector<T>();
    }

private:
    static constexpr size_t kKeptBytes = size_t{16} << 20;
    std::vector<T> storage_;
};

struct Scratch {
    Lasting<float> floats;
    Lasting<double> doubles;
    Lasting<Block> blocks;

    void trim() { floats.trim(), doubles.trim(), blocks.trim(); }
};

// What the rows of one call have in common.
struct Call {
    const fl_xent_args* args;
    double upstream;        // gradient of one row's loss, before row_upstream and row_weight
    double smoothing_mass;  // label_smoothing / classes
    bool massive;           // classes other than a row's anchor may have mass
    const double* class_weight;  // where more than the target's is asked for; or null: 1
    bool stream;            // gradient written past the caches, where the logits' own lines are not at hand
    double* row_loss;       // rows, or null
};

// The class index at an offset.
inline int64_t index_target(const fl_xent_args& a, int64_t at) {
    return a.target_kind == FL_INDEX32 ? static_cast<const int32_t*>(a.targets)[at]
                                       : static_cast<const int64_t*>(a.targets)[at];
}

// The i-th number of an array of a dtype; 1 if there is none. Always part of its caller: a call out of vector code costs
// more than it.
__attribute__((always_inline)) inline double number_at(const void* p, int64_t dtype, int64_t i) {
    if (!p) return 1;
    switch (dtype) {
        case FL_FLOAT64: return static_cast<const double*>(p)[i];
        case FL_BFLOAT16: return to_float(element(static_cast<const bfloat16*>(p) + i));
        case FL_FLOAT16: return to_float(element(static_cast<const float16*>(p) + i));
        default: return static_cast<const float*>(p)[i];
    }
}

inline void put_real(void* out, int64_t i, int64_t dtype, double value) {
    switch (dtype) {
        case FL_FLOAT64: static_cast<double*>(out)[i] = value; break;
        case FL_BFLOAT16: from_double(value, static_cast<bfloat16*>(out) + i); break;
        case FL_FLOAT16: from_double(value, static_cast<float16*>(out) + i); break;
        default: static_cast<float*>(out)[i] = static_cast<float>(value);
    }
}

}  // namespace

// The C ABI of the CPU kernels: cross-entropy on logits (XentLogits) and its binary twin, forward and backward fused.
//
// One shared library, no dependencies but the C++ runtime; callable from ctypes, from an XLA FFI handler, from C.
// Every member of the argument structs is 8 bytes wide, in this order, without padding: `struct.pack` writes one.
// A null pointer means "absent" (inputs) or "not wanted" (outputs). Counts and strides are in elements.
//
// Accuracy, for all finite logits, with ulp those of the output's dtype:
//   float32 logits: loss and every gradient element within 4 ulp, with every option; 16-bit gradients within half an
//   ulp of theirs and 4 of float32's. Plain class-index rows are computed in float (of 3e7 gradient elements the worst was
//   3.9 ulp off, of 6e5 losses 3.0), all else in double, and rounded once. Where an option makes two terms of an
//   element cancel to less than 2^-27 of the larger one, no digits are left for that in a double: then the error is below
//   2^-49 of the larger term.
//   float64 logits: loss and gradient within 4 ulp, or 8 with an option (5.6 were seen), an element's in ulp of its larger term
//   where it is a difference of two, as with weights, smoothing, soft targets or z_loss. x, which a double can't hold behind softcap
//   or temperature, is a pair of doubles then. What is below 2^-1000 has the absolute error of that.
//   lse: within 4 ulp of itself, or of the largest |x| in double (2^-50 of that) if it is nearer to 0 than that.
//
// "real" below is the type that goes with the logits: double for FL_FLOAT64, float for every other dtype. What has a dtype of its
// own (a member ..._dtype, an fl_dtype, also where the pointer is null) may be of any.
//
// Both structs begin alike, with what changes from call to call.
#pragma once
#include <stdint.h>

#if defined(_WIN32)
#define FL_API __declspec(dllexport)
#else
#define FL_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum fl_dtype { FL_FLOAT32 = 0, FL_BFLOAT16 = 1, FL_FLOAT16 = 2, FL_FLOAT64 = 3 };
enum fl_target_kind { FL_INDEX32 = 0, FL_INDEX64 = 1, FL_DISTRIBUTION = 2 };
enum fl_reduction { FL_NONE = 0, FL_SUM = 1, FL_MEAN = 2 };
enum fl_status {
    FL_OK = 0,
    FL_TARGET_OUT_OF_RANGE = 1,  // a target outside [0, classes) that is not ignore_index: `bad_row` says where; nothing was written
    FL_BAD_ARGUMENT = 2,         // a member that its comment does not allow, or a missing required pointer; nothing was written
    FL_NO_MEMORY = 3,
    FL_INEXACT = 4,              // fl_scale only
};

// Where the rows of an array stand: row r, class j at  (r / inner) * outer_stride + (r % inner) * inner_stride + j * class_stride.
struct fl_strides {
    int64_t outer_stride, inner_stride, class_stride;
};

// For row i with logits z, target t, weight w = row_weight[i]:  x = softcap * tanh(z / softcap) / temperature, and
//   index target:  l_i = (1 - s) c_t (lse - x_t) + s/V sum_j c_j (lse - x_j)        s = label_smoothing, c = class_weight
//   distribution:  l_i = sum_j c_j p'_j (lse - x_j),   p' = (1 - s) p + s/V         lse = log(sum_j exp(x_j))
//   loss_i = w (l_i + z_loss * lse^2);  an ignored row has loss 0 and gradient 0 (index targets only).
// `reduced` is the sum of loss_i (FL_SUM), or that sum over the denominator (FL_MEAN), which is
//   index: sum over rows not ignored of w c_t;  distribution: sum of w.   A denominator of 0 gives reduced = 0, gradient 0.
// The gradient of  u * reduced  (FL_SUM, FL_MEAN)  or  sum_i u row_upstream[i] loss_i  (FL_NONE), u = upstream,
//   plus  sum_i lse_upstream[i] * lse_i  under every reduction, goes to `grad`, in the dtype of the logits, rounded once.
// -inf logits are masked classes: probability 0, gradient 0 (softcap makes them -softcap, as the formula says). A row
// whose target is masked has loss +inf and the gradient of the formula (-1 at the target, softmax elsewhere). NaN or
// +inf in a row gives NaN in that row only.
struct fl_xent_args {
    const void* logits;
    const void* targets;               // rows indices, or rows x classes probabilities
    const void* class_weight;          // classes, or null: 1
    const void* row_weight;            // rows, or null: 1
    const void* row_upstream;          // rows, or null: 1; FL_NONE only
    void* loss;                        // rows
    void* reduced;                     // 1
    void* grad;                        // rows x classes; may be exactly `logits` (same strides), else must not overlap it
    double upstream;                   // gradient of the reduced loss; 1 for a plain backward
    int64_t threads;                   // at most this many run, the caller's included; 0 means one per core, of ours
    int64_t rows, inner, classes;      // rows is a multiple of inner >= 1. (rows, classes): inner = 1, outer_stride between rows;
                                       // (n, classes, pixels): rows = n * pixels, inner = pixels
    int64_t dtype;                     // fl_dtype, of logits and grad
    struct fl_strides logits_strides;  // any, 0 and negative ones too
    int64_t target_kind;               // fl_target_kind
    int64_t target_dtype;              // of probabilities
    struct fl_strides target_strides;
    int64_t ignore_index;              // may lie outside [0, classes)
    int64_t class_weight_dtype, row_weight_dtype, row_upstream_dtype;
    double label_smoothing;            // in [0, 1]
    double z_loss;                     // finite
    double softcap;                    // >= 0, finite; 0 means none
    double temperature;                // > 0, finite; 1 means none
    int64_t reduction;                 // fl_reduction
    const void* lse_upstream;          // rows reals, or null: 0
    int64_t loss_dtype;                // fl_dtype of loss and reduced: that of `real`, or that of the logits
    void* lse;                         // rows reals: log-sum-exp of x, ignored rows included
    struct fl_strides grad_strides;    // no two elements at the same place
    uint8_t* correct;                  // rows: 1 where argmax(x) (the first, on ties) == t; index targets only; 0 if ignored
    int64_t bad_row;                   // written with FL_TARGET_OUT_OF_RANGE
};
FL_API int32_t fl_xent(struct fl_xent_args* args);

// Elementwise, over `count` elements, with y the target in [0, 1]:
//   loss = w ((1 - y) softplus(z) + v y softplus(-z)),   gradient = u w ((1 - y) sigmoid(z) - v y sigmoid(-z)),
// w = weight[i % weight_period], v = pos_weight[i % pos_weight_period] (null: 1), u = upstream * (element_upstream[i] or 1).
// FL_MEAN divides by count. `reduced`, `upstream`, `loss_dtype` and aliasing as above.
struct fl_bce_args {
    const void* logits;
    const void* targets;
    const void* weight;
    const void* pos_weight;
    const void* element_upstream;  // count, or null: 1; FL_NONE only
    void* loss;                    // count
    void* reduced;                 // 1
    void* grad;                    // count
    double upstream;
    int64_t threads;
    int64_t count;
    int64_t dtype;
    int64_t target_dtype;
    int64_t weight_dtype, weight_period;
    int64_t pos_weight_dtype, pos_weight_period;
    int64_t element_upstream_dtype;
    int64_t reduction;
    int64_t loss_dtype;
};
FL_API int32_t fl_bce(struct fl_bce_args* args);

// Multiplies a gradient that was computed with upstream 1 by `factor`, in place, if the result is as good as if it had been
// computed with upstream = factor; else FL_INEXACT: then the data are lost, and to be computed again. That is so
//   float32, float64: unless |factor| > 1 meets a 0 or a subnormal element (digits that an underflow has taken);
//   16-bit: if factor is a power of two and no element is 0, infinite or subnormal before or after.
FL_API int32_t fl_scale(void* data, int64_t count, int64_t dtype, double factor, int64_t threads);

// Which path this CPU gets: "avx512", "avx2", "neon" or "generic". fl_force_isa restricts it (tests); returns what is in force.
FL_API const char* fl_isa(void);
FL_API const char* fl_force_isa(const char* name);

// Whose threads the calls that ask for a number of them are divided among: `team` runs work(context) on up to `threads` of them, the
// caller's included, and returns when all have, as GOMP_parallel of an OpenMP runtime does (flags is 0). A framework's
// own threads are awake when a loss is called, and in the way of any others. Null, and in a child of fork: ours.
typedef void (*fl_team)(void (*work)(void*), void* context, unsigned threads, unsigned flags);
FL_API void fl_work_with(fl_team team);

// Version of this file; the loader refuses a library that disagrees.
FL_API int32_t fl_abi_version(void);

// Gradient buffers from a small pool: fresh pages cost as much as the kernel itself. Aligned to 64 bytes, not zeroed.
FL_API void* fl_buffer_acquire(int64_t bytes);
FL_API void fl_buffer_release(void* buffer);
FL_API void fl_buffer_trim(void);  // gives every idle buffer back to the system

#ifdef __cplusplus
}
#endif

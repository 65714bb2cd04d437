// The C ABI of the CPU kernels: cross-entropy on logits (XentLogits) and its binary twin, forward and backward fused.
//
// One shared library, no dependencies but the C++ runtime; callable from ctypes, from an XLA FFI handler, from C.
// Every member of the argument structs is 8 bytes wide, in this order, without padding: `struct.pack` writes one.
// A null pointer means "absent" (inputs) or "not wanted" (outputs). Counts and strides are in elements.
#pragma once
#include <stdint.h>

#define FL_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

enum fl_dtype { FL_FLOAT32 = 0, FL_BFLOAT16 = 1, FL_FLOAT16 = 2 };
enum fl_target_kind { FL_INDEX32 = 0, FL_INDEX64 = 1, FL_DISTRIBUTION = 2 };
enum fl_reduction { FL_NONE = 0, FL_SUM = 1, FL_MEAN = 2 };
enum fl_status {
    FL_OK = 0,
    FL_TARGET_OUT_OF_RANGE = 1,  // a target outside [0, classes) that is not ignore_index: `bad_row` says where; nothing was written
    FL_BAD_ARGUMENT = 2,         // unknown dtype/kind/reduction, negative size, or a missing required pointer
    FL_NO_MEMORY = 3,
};

// For row i with logits z, target t, weight w = row_weight[i]:
//   index target:  l_i = (1 - s) c_t (lse - z_t) + s/V sum_j c_j (lse - z_j)        s = label_smoothing, c = class_weight
//   distribution:  l_i = sum_j c_j p'_j (lse - z_j),   p' = (1 - s) p + s/V
//   loss_i = w (l_i + z_loss * lse^2);  an ignored row has loss 0 and gradient 0 (index targets only).
// `reduced` is the sum of loss_i (FL_SUM), or that sum over the denominator (FL_MEAN), which is
//   index: sum over rows not ignored of w c_t;  distribution: sum of w.   A denominator of 0 gives reduced = 0, gradient 0.
// The gradient of  u * reduced  (FL_SUM, FL_MEAN)  or  sum_i u row_upstream[i] loss_i  (FL_NONE), u = upstream,
//   plus  sum_i lse_upstream[i] * lse_i  under every reduction, goes to `grad`, in the dtype of the logits, rounded once.
// -inf logits are masked classes: probability 0, gradient 0. A row whose target is masked has loss +inf and the
// gradient of the formula (-1 at the target, softmax elsewhere). NaN or +inf in a row gives NaN in that row only.
struct fl_xent_args {
    int64_t rows, classes;
    const void* logits;          // rows x classes, unit stride along classes
    int64_t logits_stride;       // between rows; may be 0 or negative
    int64_t dtype;               // fl_dtype, of logits and grad
    const void* targets;         // rows indices, or rows x classes float32 probabilities
    int64_t target_kind;         // fl_target_kind
    int64_t target_stride;       // between rows; 1 for packed indices
    int64_t ignore_index;        // may lie outside [0, classes)
    const float* class_weight;   // classes, or null: 1
    const float* row_weight;     // rows, or null: 1
    double label_smoothing;      // in [0, 1]
    double z_loss;
    int64_t reduction;           // fl_reduction
    double upstream;             // gradient of the reduced loss; 1 for a plain backward
    const float* row_upstream;   // rows, or null: 1; FL_NONE only
    const float* lse_upstream;   // rows, or null: 0
    float* loss;                 // rows
    float* lse;                  // rows: log-sum-exp of the logits, ignored rows included
    float* reduced;              // 1
    void* grad;                  // rows x classes; may be exactly `logits` (same stride), else must not overlap it
    int64_t grad_stride;
    uint8_t* correct;            // rows: 1 where argmax(z) (the first, on ties) == t; index targets only; 0 if ignored
    int64_t threads;             // at most this many run, the caller's included; 0 means one per core
    int64_t bad_row;             // written with FL_TARGET_OUT_OF_RANGE
};
FL_API int32_t fl_xent(struct fl_xent_args* args);

// Elementwise, over `count` elements, with y the target in [0, 1] (float32):
//   loss = w ((1 - y) softplus(z) + v y softplus(-z)),   gradient = u w ((1 - y) sigmoid(z) - v y sigmoid(-z)),
// w = weight[i % weight_period], v = pos_weight[i % pos_weight_period] (null: 1), u = upstream * (row_upstream[i] or 1).
// FL_MEAN divides by count. `reduced`, `upstream` and aliasing as above.
struct fl_bce_args {
    int64_t count;
    const void* logits;
    int64_t dtype;
    const float* targets;
    const float* weight;
    int64_t weight_period;
    const float* pos_weight;
    int64_t pos_weight_period;
    int64_t reduction;
    double upstream;
    const float* element_upstream;  // count, or null: 1; FL_NONE only
    float* loss;                    // count
    float* reduced;                 // 1
    void* grad;                     // count
    int64_t threads;
};
FL_API int32_t fl_bce(struct fl_bce_args* args);

// Which path this CPU gets: "avx512", "avx2" or "portable". fl_force_isa restricts it (tests); returns what is in force.
FL_API const char* fl_isa(void);
FL_API const char* fl_force_isa(const char* name);

// Version of this file; the loader refuses a library that disagrees.
FL_API int32_t fl_abi_version(void);

// Gradient buffers from a small pool: fresh pages cost as much as the kernel itself. Aligned to 64 bytes, not zeroed.
FL_API void* fl_buffer_acquire(int64_t bytes);
FL_API void fl_buffer_release(void* buffer);
FL_API void fl_buffer_trim(void);  // gives every idle buffer back to the system

#ifdef __cplusplus
}
#endif

// fl_xent and fl_bce as custom calls of XLA on the CPU: what `finallayer.losses.jax` runs.
//
//   fl_xla_xent: logits F[..., C], targets s32[...] or R[..., C]                     ->  loss R[...]
//                logits F[..., C], targets s32[...] or R[..., C], upstream R[...]    ->  gradient F[..., C]
//                logits F[..., C], targets s32[...] or R[..., C]                     ->  loss R[...], gradient F[..., C]
//                attributes: label_smoothing f64, z_loss f64
//   fl_xla_bce:  logits F[...], targets R[...]                                       ->  loss R[...]
//                logits F[...], targets R[...], upstream R[...]                      ->  gradient F[...]
//
// F is f64, f32, bf16 or f16; R is f64 beside f64, else f32. The gradient is that of the sum of upstream times loss; beside
// a loss, where no upstream is known, of the sum of 2^64 times loss (_operations.KEPT_SCALE).
#include "xla_ffi.h"

#include <stdio.h>
#include <string.h>

#include <algorithm>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "finallayer_kernels.h"

namespace {

using namespace xla_ffi;

Error* fail(const CallFrame* frame, int code, const char* message) {
    ErrorArgs args = {sizeof(ErrorArgs), nullptr, message, code};
    return frame->api->create_error(&args);
}

Error* answer_metadata(MetadataExtension* extension) {
    extension->metadata->version.major = kMajorVersion;
    extension->metadata->version.minor = kMinorVersion;
    extension->metadata->traits = 0;
    return nullptr;
}

bool is_shaped(const Buffer* buffer, int dtype, const int64_t* dims, int64_t rank) {
    if (buffer->dtype != dtype || buffer->rank != rank) return false;
    for (int64_t i = 0; i < rank; ++i)
        if (buffer->dims[i] != dims[i]) return false;
    return true;
}

Error* refuse(const CallFrame* frame) {
    return fail(frame, kInvalidArgument, "finallayer: the operands or attributes of a custom call do not fit");
}

Error* status_error(const CallFrame* frame, int32_t status, int64_t classes = 0, int64_t bad_row = 0) {
    char message[160];
    switch (status) {
        case FL_OK:
            return nullptr;
        case FL_TARGET_OUT_OF_RANGE:
            snprintf(message, sizeof message, "labels: expected classes in 0..%lld, got another in row %lld",
                     static_cast<long long>(classes - 1), static_cast<long long>(bad_row));
            return fail(frame, kOutOfRange, message);
        case FL_NO_MEMORY:
            return fail(frame, kResourceExhausted, "finallayer: out of memory");
        default:
            return fail(frame, kInvalidArgument, "finallayer: the kernel refused its arguments");
    }
}

// Reads an f64 attribute; false if there is no such.
bool read_attribute(const Attributes& attributes, const char* name, double* value) {
    for (int64_t i = 0; i < attributes.size; ++i) {
        const ByteSpan* found = attributes.names[i];
        if (found->size != strlen(name) || memcmp(found->start, name, found->size) != 0) continue;
        if (attributes.types[i] != kScalarAttribute) return false;
        const auto* scalar = static_cast<const Scalar*>(attributes.values[i]);
        if (scalar->dtype != kF64) return false;
        memcpy(value, scalar->value, sizeof *value);
        return true;
    }
    return false;
}

int kernel_dtype(int dtype) {
    switch (dtype) {
        case kF32: return FL_FLOAT32;
        case kBF16: return FL_BFLOAT16;
        case kF16: return FL_FLOAT16;
        case kF64: return FL_FLOAT64;
        default: return -1;
    }
}

// XLA's results are fresh memory: taken in small pages, faults would cost more than the kernel.
void prefer_large_pages(void* start, int64_t bytes) {
#if defined(MADV_HUGEPAGE)
    constexpr uintptr_t kLarge = uintptr_t{2} << 20;
    const auto address = reinterpret_cast<uintptr_t>(start);
    const uintptr_t begin = (address + kLarge - 1) / kLarge * kLarge, end = (address + bytes) / kLarge * kLarge;
    if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)start, (void)bytes;
#endif
}

int64_t element_count(const int64_t* dims, int64_t rank) {
    int64_t count = 1;
    for (int64_t i = 0; i < rank; ++i) count *= dims[i];
    return count;
}

int64_t element_bytes(int dtype) { return dtype == FL_FLOAT64 ? 8 : dtype == FL_FLOAT32 ? 4 : 2; }

// The operands and results of both calls; `real` is the type of all but logits and their gradient.
struct Operands {
    const Buffer *logits, *targets, *upstream, *loss, *gradient;  // upstream, loss and gradient: null if there is none
    int dtype, real;

    // False if there are others, or the logits are of no dtype that the kernel takes.
    bool read(const CallFrame* frame) {
        const Buffers &args = frame->args, &results = frame->results;
        const bool pushed = args.size == 3, both = args.size == 2 && results.size == 2;
        if (!both && (args.size < 2 || args.size > 3 || results.size != 1)) return false;
        logits = args.buffers[0], targets = args.buffers[1];
        upstream = pushed ? args.buffers[2] : nullptr;
        loss = pushed ? nullptr : results.buffers[0];
        gradient = pushed ? results.buffers[0] : both ? results.buffers[1] : nullptr;
        dtype = kernel_dtype(logits->dtype);
        real = dtype == FL_FLOAT64 ? kF64 : kF32;
        return dtype >= 0;
    }

    // Whether upstream and the results have the shapes they must, where losses are of the logits' first `loss_rank` axes.
    bool fit(int64_t loss_rank) const {
        const int64_t* dims = logits->dims;
        return (!upstream || is_shaped(upstream, real, dims, loss_rank)) && (!loss || is_shaped(loss, real, dims, loss_rank)) &&
               (!gradient || is_shaped(gradient, logits->dtype, dims, logits->rank));
    }
};

Error* execute_xent(const CallFrame* frame) {
    Operands in;
    if (!in.read(frame) || in.logits->rank < 1) return refuse(frame);
    const int64_t rank = in.logits->rank;
    const int64_t* dims = in.logits->dims;
    const bool is_hard = in.targets->dtype == kS32;
    fl_xent_args xent = {};
    if (!in.fit(rank - 1) || !is_shaped(in.targets, is_hard ? kS32 : in.real, dims, is_hard ? rank - 1 : rank) ||
        !read_attribute(frame->attributes, "label_smoothing", &xent.label_smoothing) ||
        !read_attribute(frame->attributes, "z_loss", &xent.z_loss))
        return refuse(frame);

    xent.rows = element_count(dims, rank - 1);
    xent.classes = dims[rank - 1];
    xent.logits = in.logits->data;
    xent.inner = 1;
    xent.temperature = 1.0;
    xent.logits_strides = xent.grad_strides = {xent.classes, 0, 1};
    xent.dtype = in.dtype;
    xent.loss_dtype = in.dtype == FL_FLOAT64 ? FL_FLOAT64 : FL_FLOAT32;
    xent.targets = in.targets->data;
    xent.target_dtype = xent.row_upstream_dtype = xent.loss_dtype;
    xent.target_kind = is_hard ? FL_INDEX32 : FL_DISTRIBUTION;
    xent.target_strides = {is_hard ? 1 : xent.classes, 0, 1};
    xent.ignore_index = INT64_MIN;  // no row is
    xent.reduction = FL_NONE;
    xent.upstream = in.upstream ? 1.0 : 0x1p64;
    if (in.loss) xent.loss = in.loss->data;
    if (in.upstream) xent.row_upstream = in.upstream->data;
    if (in.gradient) {
        xent.grad = in.gradient->data;
        prefer_large_pages(in.gradient->data, xent.rows * xent.classes * element_bytes(in.dtype));
    }
    if (xent.rows == 0) return nullptr;
    const int32_t status = fl_xent(&xent);
    return status_error(frame, status, xent.classes, xent.bad_row);
}

Error* execute_bce(const CallFrame* frame) {
    Operands in;
    if (!in.read(frame) || (in.loss && in.gradient) || !in.fit(in.logits->rank) ||
        !is_shaped(in.targets, in.real, in.logits->dims, in.logits->rank))
        return refuse(frame);
    fl_bce_args bce = {};
    bce.count = element_count(in.logits->dims, in.logits->rank);
    bce.dtype = in.dtype;
    bce.loss_dtype = in.dtype == FL_FLOAT64 ? FL_FLOAT64 : FL_FLOAT32;
    bce.logits = in.logits->data;
    bce.targets = in.targets->data;
    bce.target_dtype = bce.element_upstream_dtype = bce.loss_dtype;
    bce.reduction = FL_NONE;
    bce.upstream = 1.0;
    if (in.upstream) {
        bce.element_upstream = in.upstream->data;
        bce.grad = in.gradient->data;
        prefer_large_pages(in.gradient->data, bce.count * element_bytes(in.dtype));
    } else {
        bce.loss = in.loss->data;
    }
    return bce.count == 0 ? nullptr : status_error(frame, fl_bce(&bce));
}

// XLA computes with subnormal numbers taken for 0; a loss of masses near 1e-38 would be off by a quarter. While one of
// these lives, the thread, and those that it starts, has them.
class WithSubnormals {
#if defined(__x86_64__)
    static constexpr unsigned kFlush = 0x8000, kAreZero = 0x0040;
    const unsigned before = _mm_getcsr();

public:
    WithSubnormals() { _mm_setcsr(before & ~(kFlush | kAreZero)); }
    ~WithSubnormals() { _mm_setcsr(before); }
#elif defined(__aarch64__)
    static constexpr uint64_t kFlush = uint64_t{1} << 24, kFlushHalf = uint64_t{1} << 19;
    uint64_t before;

public:
    WithSubnormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before));
        asm volatile("msr fpcr, %0" ::"r"(before & ~(kFlush | kFlushHalf)));
    }
    ~WithSubnormals() { asm volatile("msr fpcr, %0" ::"r"(before)); }
#endif
};

Error* handle(CallFrame* frame, Error* (*execute)(const CallFrame*)) {
    Extension* extension = frame->extensions;
    if (extension != nullptr && extension->type == kMetadataExtension)
        return answer_metadata(reinterpret_cast<MetadataExtension*>(extension));
    if (frame->stage != kExecuteStage) return nullptr;
    [[maybe_unused]] const WithSubnormals subnormals;
    return execute(frame);
}

}  // namespace

extern "C" FL_API Error* fl_xla_xent(CallFrame* frame) { return handle(frame, execute_xent); }
extern "C" FL_API Error* fl_xla_bce(CallFrame* frame) { return handle(frame, execute_bce); }

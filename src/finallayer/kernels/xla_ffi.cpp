// fl_xent as a custom call of XLA on the CPU: what `finallayer.losses.jax` runs.
//
//   logits F[..., C], targets s32[...] or R[..., C]                     ->  loss R[...]
//   logits F[..., C], targets s32[...] or R[..., C], upstream R[...]    ->  gradient F[..., C]
//
// F is f64, f32, bf16 or f16; R is f64 beside f64, else f32. The gradient is that of the sum of upstream times loss.
#include "xla_ffi.h"

#include <stdio.h>
#if defined(__linux__)
#include <sys/mman.h>
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

Error* status_error(const CallFrame* frame, int32_t status, const fl_xent_args& xent) {
    char message[160];
    switch (status) {
        case FL_OK:
            return nullptr;
        case FL_TARGET_OUT_OF_RANGE:
            snprintf(message, sizeof message, "labels: expected classes in 0..%lld, got another in row %lld",
                     static_cast<long long>(xent.classes - 1), static_cast<long long>(xent.bad_row));
            return fail(frame, kOutOfRange, message);
        case FL_NO_MEMORY:
            return fail(frame, kResourceExhausted, "finallayer: out of memory");
        default:
            return fail(frame, kInvalidArgument, "finallayer: the kernel refused its arguments");
    }
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

Error* execute(const CallFrame* frame) {
    const Buffers &args = frame->args, &results = frame->results;
    if (args.size < 2 || args.size > 3 || results.size != 1)
        return fail(frame, kInvalidArgument, "finallayer: expected logits, targets, perhaps upstream, and one result");
    const Buffer *logits = args.buffers[0], *targets = args.buffers[1], *result = results.buffers[0];
    const Buffer* upstream = args.size == 3 ? args.buffers[2] : nullptr;
    const int64_t rank = logits->rank;
    const int64_t* dims = logits->dims;
    const int dtype = kernel_dtype(logits->dtype);
    const int real = dtype == FL_FLOAT64 ? kF64 : kF32;
    const bool is_hard = targets->dtype == kS32;
    const bool fits = rank >= 1 && dtype >= 0 &&
                      is_shaped(targets, is_hard ? kS32 : real, dims, is_hard ? rank - 1 : rank) &&
                      (upstream ? is_shaped(upstream, real, dims, rank - 1) && is_shaped(result, logits->dtype, dims, rank)
                                : is_shaped(result, real, dims, rank - 1));
    if (!fits) return fail(frame, kInvalidArgument, "finallayer: shapes or dtypes of a custom call do not fit");

    fl_xent_args xent = {};
    xent.rows = 1;
    for (int64_t i = 0; i < rank - 1; ++i) xent.rows *= dims[i];
    xent.classes = dims[rank - 1];
    xent.logits = logits->data;
    xent.inner = 1;
    xent.temperature = 1.0;
    xent.logits_strides = xent.grad_strides = {xent.classes, 0, 1};
    xent.dtype = dtype;
    xent.loss_dtype = dtype == FL_FLOAT64 ? FL_FLOAT64 : FL_FLOAT32;
    xent.targets = targets->data;
    xent.target_kind = is_hard ? FL_INDEX32 : FL_DISTRIBUTION;
    xent.target_strides = {is_hard ? 1 : xent.classes, 0, 1};
    xent.ignore_index = INT64_MIN;  // no row is
    xent.reduction = FL_NONE;
    xent.upstream = 1.0;
    if (upstream) {
        xent.row_upstream = upstream->data;
        xent.grad = result->data;
        prefer_large_pages(result->data, xent.rows * xent.classes * (dtype == FL_FLOAT64 ? 8 : dtype == FL_FLOAT32 ? 4 : 2));
    } else {
        xent.loss = result->data;
    }
    if (xent.rows == 0) return nullptr;
    return status_error(frame, fl_xent(&xent), xent);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) Error* fl_xla_xent(CallFrame* frame) {
    Extension* extension = frame->extensions;
    if (extension != nullptr && extension->type == kMetadataExtension)
        return answer_metadata(reinterpret_cast<MetadataExtension*>(extension));
    return frame->stage == kExecuteStage ? execute(frame) : nullptr;
}

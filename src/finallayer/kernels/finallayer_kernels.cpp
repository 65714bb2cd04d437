// Cross-entropy on logits (XentLogits) and its binary twin for CPUs: exact at both ends, at the speed of memory.
//
// The mathematics. For a row z, an anchor class a (the target; for a distribution, the largest logit) and
// S' = sum over j != a of exp(z_j - R), with q = z_a - R:
//     lse - z_a = log1p(S' e^-q)      if q > 0,    log(S' + e^q) - q    otherwise;
//     softmax_j = e_j / (S' + e^q),   softmax_a - 1 = -S' / (S' + e^q).
// The anchor never enters the sum, so nothing cancels: neither the loss nor the gradient of a confident row is 0.
//
// Here: the entry points, which check a call, choose its engine and divide it among threads. The engines are headers
// (float_rows.h, short_rows.h, float_columns.h, wide_rows.h, columns.h, binary.h) that are compiled once per instruction set
// (isa_*.h); one is picked at run time.
#include "finallayer_kernels.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>

#include "call.h"
#include "formats.h"
#include "threads.h"

namespace {

constexpr int64_t kStreamBytes = int64_t{4} << 20;  // gradients smaller than this are left in cache for their reader
constexpr int64_t kFormats = 4;

// What an instruction set offers, by fl_dtype.
struct Engines {
    void (*float_rows[3])(const Call&, int64_t, int64_t, Scratch&);
    void (*short_rows[3])(const Call&, int64_t, int64_t, Scratch&);
    void (*float_columns[3])(const Call&, int64_t, int64_t, Scratch&);
    void (*wide_rows[kFormats])(const Call&, int64_t, int64_t, Scratch&);
    void (*columns[kFormats])(const Call&, int64_t, int64_t, Scratch&);
    double (*binary[kFormats])(const fl_bce_args&, double, int64_t, int64_t);
    bool (*scaled[kFormats])(void*, int64_t, int64_t, double);
};

}  // namespace

#if defined(FL_GENERIC_ONLY)
#elif defined(__x86_64__)
#include <immintrin.h>
#include "isa_avx512.h"
#include "isa_avx2.h"
#elif defined(__aarch64__)
#include <arm_neon.h>
#include "isa_neon.h"
#endif
#include "isa_generic.h"

namespace {

struct Isa {
    const char* name;
    bool (*supported)();
    const Engines* engines;
};

constexpr Isa kIsas[] = {  // the best first
#if defined(FL_GENERIC_ONLY)
#elif defined(__x86_64__)
    {"avx512", avx512::supported, &avx512::kEngines},
    {"avx2", avx2::supported, &avx2::kEngines},
#elif defined(__aarch64__)
    {"neon", neon::supported, &neon::kEngines},
#endif
    {"generic", generic::supported, &generic::kEngines},
};

std::atomic<const Isa*> current_isa{nullptr};

const Isa& isa() {
    const Isa* found = current_isa.load(std::memory_order_acquire);
    if (!found) {
        found = std::find_if(std::begin(kIsas), std::end(kIsas) - 1, [](const Isa& i) { return i.supported(); });
        current_isa.store(found, std::memory_order_release);
    }
    return *found;
}

Scratch& thread_scratch() {
    thread_local Scratch scratch;
    return scratch;
}

// What a call's rows cost, on the thread that makes the call.
Lasting<double>& row_losses() {
    thread_local Lasting<double> losses;
    return losses;
}

Lasting<double>& class_weights() {
    thread_local Lasting<double> weights;
    return weights;
}

// The class weights as doubles, padded for vectors.
const double* wide_class_weights(const fl_xent_args& a) {
    const int64_t room = round_up(a.classes, kPad);
    double* const to = class_weights().reserve(room);
    for (int64_t j = 0; j < a.classes; ++j) to[j] = number_at(a.class_weight, a.class_weight_dtype, j);
    std::fill(to + a.classes, to + room, 0.0);
    return to;
}

bool is_within(int64_t value, int64_t last) { return value >= 0 && value <= last; }

// The dtype of a loss: what goes with the logits, or theirs.
bool is_loss_dtype(int64_t loss, int64_t logits) {
    return loss == logits || (loss == FL_FLOAT32 && logits != FL_FLOAT64);
}

// No two elements of a gradient may share their place.
bool is_apart(const fl_xent_args& a) {
    const fl_strides& s = a.grad_strides;
    return (a.classes <= 1 || s.class_stride != 0) && (a.inner <= 1 || s.inner_stride != 0) &&
           (a.rows / a.inner <= 1 || s.outer_stride != 0);
}

bool is_valid(const fl_xent_args& a) {
    const bool sizes = a.rows >= 0 && a.classes >= 0 && a.inner >= 1 && a.rows % a.inner == 0;
    const bool kinds = is_within(a.dtype, FL_FLOAT64) && is_within(a.target_kind, FL_DISTRIBUTION) &&
                       is_within(a.reduction, FL_MEAN) && is_loss_dtype(a.loss_dtype, a.dtype) &&
                       is_within(a.target_dtype, FL_FLOAT64) && is_within(a.class_weight_dtype, FL_FLOAT64) &&
                       is_within(a.row_weight_dtype, FL_FLOAT64) && is_within(a.row_upstream_dtype, FL_FLOAT64);
    const bool numbers = a.label_smoothing >= 0 && a.label_smoothing <= 1 && std::isfinite(a.z_loss) && a.softcap >= 0 &&
                         std::isfinite(a.softcap) && a.temperature > 0 && std::isfinite(a.temperature);
    if (!sizes || !kinds || !numbers || a.threads < 0) return false;
    const bool empty = a.rows == 0 || a.classes == 0;
    const bool present = (a.rows == 0 || a.targets) && (empty || a.logits);
    return present && (a.reduction == FL_NONE || !a.row_upstream) && (empty || !a.grad || is_apart(a));
}

// A sum that remembers what its additions lost.
struct Total {
    double sum = 0, lost = 0;
    void add(double v) {
        const double next = sum + v, part = next - sum;
        lost += (sum - (next - part)) + (v - part);
        sum = next;
    }
    double value() const { return std::isfinite(sum) ? sum + lost : sum; }
};

double sum_in_order(const double* values, int64_t count) {
    Total total;
    for (int64_t i = 0; i < count; ++i) total.add(values[i]);
    return total.value();
}

// Calls body(row, class) for every row that counts, -1 for a distribution; false: a.bad_row has a target out of range.
template <class Body> bool for_each_target(fl_xent_args& a, const Body& body) {
    const bool hard = a.target_kind != FL_DISTRIBUTION;
    const fl_strides& s = a.target_strides;
    for (int64_t row = 0, outer = 0; row < a.rows; outer += s.outer_stride) {
        for (int64_t i = 0; i < a.inner; ++i, ++row) {
            const int64_t t = hard ? index_target(a, outer + i * s.inner_stride) : -1;
            if (hard && t == a.ignore_index) continue;
            if (hard && (t < 0 || t >= a.classes)) {
                a.bad_row = row;
                return false;
            }
            body(row, t);
        }
    }
    return true;
}

// The denominator of FL_MEAN; finds the first target that is out of range.
int32_t count_targets(fl_xent_args& a, double& denominator) {
    const bool weighs_classes = a.target_kind != FL_DISTRIBUTION && a.class_weight;
    int64_t counted = 0;
    Total total;
    const bool is_weighted = a.row_weight || weighs_classes;
    const auto weigh = [&](int64_t row, int64_t t) {
        total.add(number_at(a.row_weight, a.row_weight_dtype, row) * (weighs_classes ? number_at(a.class_weight, a.class_weight_dtype, t) : 1));
    };
    const bool good = is_weighted ? for_each_target(a, weigh) : for_each_target(a, [&](int64_t, int64_t) { ++counted; });
    denominator = is_weighted ? total.value() : static_cast<double>(counted);
    return good ? FL_OK : FL_TARGET_OUT_OF_RANGE;
}

// Up to so many classes, rows are taken side by side: in double, and where float would do.
#ifndef FL_FEW_CLASSES
#define FL_FEW_CLASSES 100
#endif
constexpr int64_t kFewClasses = FL_FEW_CLASSES;
constexpr int64_t kFewPlainClasses = 12;
constexpr int64_t kShortRow = 512;  // up to here, L rows fit the first-level cache twice

constexpr int64_t kMostClasses = int64_t{1} << 40;  // no memory holds a row of more, and no size made of so many overflows
constexpr int64_t kPiecesAThread = 4;
constexpr int64_t kCostInDouble = 4;  // an element's, beside one that is taken in float
constexpr int64_t kRowsSideBySide = 32;  // a multiple of every instruction set's tile

// Whether float's 24 bits are enough for 4 ulp: nothing but the target's class has mass, and nothing is added.
bool is_plain(const fl_xent_args& a) {
    return a.dtype != FL_FLOAT64 && a.target_kind != FL_DISTRIBUTION && a.label_smoothing == 0 && a.z_loss == 0 &&
           a.softcap == 0 && a.temperature == 1 && !a.lse && !a.lse_upstream;
}

bool is_along_classes(const fl_xent_args& a) {
    return a.logits_strides.class_stride == 1 && (!a.grad || a.grad_strides.class_stride == 1);
}

bool takes_side_by_side(const fl_xent_args& a) {
    return !is_along_classes(a) || a.classes <= (is_plain(a) ? kFewPlainClasses : kFewClasses);
}

auto engine(const fl_xent_args& a) {
    const Engines& engines = *isa().engines;
    if (takes_side_by_side(a)) return (is_plain(a) ? engines.float_columns : engines.columns)[a.dtype];
    if (!is_plain(a)) return engines.wide_rows[a.dtype];
    return (a.classes <= kShortRow ? engines.short_rows : engines.float_rows)[a.dtype];
}

// How many rows a thread takes at a time: enough to be worth it, and so few that no thread is left with nothing to do;
// whole tiles, where rows are taken side by side.
int64_t grain_of(const fl_xent_args& a, bool side_by_side) {
    const int64_t threads = most_threads(a.threads);
    const int64_t worth = std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, a.classes));
    const int64_t grain = std::max<int64_t>(1, std::min(worth, a.rows / (kPiecesAThread * threads)));
    if (!side_by_side && grain < kRowsSideBySide) return grain;
    return std::max<int64_t>(1, grain / kRowsSideBySide) * kRowsSideBySide;
}

int32_t xent(fl_xent_args& a) {
    if (!is_valid(a)) return FL_BAD_ARGUMENT;
    if (a.classes > kMostClasses) return FL_NO_MEMORY;
    double denominator;
    if (const int32_t status = count_targets(a, denominator)) return status;
    const double factor = a.reduction != FL_MEAN ? 1 : denominator != 0 ? 1 / denominator : 0;

    Call call{};
    call.args = &a;
    call.upstream = a.upstream * factor;
    call.smoothing_mass = a.classes ? a.label_smoothing / static_cast<double>(a.classes) : 0;
    call.massive = a.target_kind == FL_DISTRIBUTION || a.label_smoothing != 0;
    if (a.class_weight && call.massive) call.class_weight = wide_class_weights(a);
    const int64_t bytes = a.rows * a.classes * (a.dtype == FL_FLOAT32 ? 4 : 2);
    call.stream = bytes >= kStreamBytes && a.grad != a.logits;
    if (a.reduced) call.row_loss = row_losses().reserve(a.rows);

    const auto rows = engine(a);
    const int64_t grain = grain_of(a, takes_side_by_side(a));
    parallel(a.rows, grain, (is_plain(a) ? 1 : kCostInDouble) * a.rows * a.classes, a.threads,
             [&](int64_t begin, int64_t end) { rows(call, begin, end, thread_scratch()); },
             [] { thread_scratch().trim(); });
    if (a.reduced)
        put_real(a.reduced, 0, a.loss_dtype,
                 denominator == 0 && a.reduction == FL_MEAN ? 0 : sum_in_order(call.row_loss, a.rows) * factor);
    row_losses().trim();
    class_weights().trim();
    return FL_OK;
}

bool is_valid(const fl_bce_args& a) {
    return a.count >= 0 && is_within(a.dtype, FL_FLOAT64) && is_within(a.reduction, FL_MEAN) &&
           is_loss_dtype(a.loss_dtype, a.dtype) && (a.count == 0 || (a.logits && a.targets)) &&
           is_within(a.target_dtype, FL_FLOAT64) && is_within(a.weight_dtype, FL_FLOAT64) &&
           is_within(a.pos_weight_dtype, FL_FLOAT64) && is_within(a.element_upstream_dtype, FL_FLOAT64) &&
           (!a.weight || a.weight_period > 0) && (!a.pos_weight || a.pos_weight_period > 0) &&
           (a.reduction == FL_NONE || !a.element_upstream) && a.threads >= 0;
}

int32_t bce(fl_bce_args& a) {
    if (!is_valid(a)) return FL_BAD_ARGUMENT;
    const double factor = a.reduction == FL_MEAN && a.count ? 1 / static_cast<double>(a.count) : 1;
    const int64_t grain = 1 << 14, pieces = (a.count + grain - 1) / grain;
    double* const sums = row_losses().reserve(pieces);
    const auto elements = isa().engines->binary[a.dtype];
    parallel(a.count, grain, kCostInDouble * a.count, a.threads, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at += grain)
            sums[at / grain] = elements(a, a.upstream * factor, at, std::min(at + grain, end));
    });
    if (a.reduced) put_real(a.reduced, 0, a.loss_dtype, sum_in_order(sums, pieces) * factor);
    row_losses().trim();
    return FL_OK;
}

int32_t scale(void* data, int64_t count, int64_t dtype, double factor, int64_t threads) {
    if (count < 0 || !is_within(dtype, FL_FLOAT64) || (count && !data) || !std::isfinite(factor) || threads < 0)
        return FL_BAD_ARGUMENT;
    int exponent;
    if (dtype != FL_FLOAT32 && dtype != FL_FLOAT64 && std::fabs(std::frexp(factor, &exponent)) != 0.5) return FL_INEXACT;
    std::atomic<bool> good{true};
    const auto scaled = isa().engines->scaled[dtype];
    parallel(count, 1 << 16, count, threads, [&](int64_t begin, int64_t end) {
        if (good && !scaled(data, begin, end, factor)) good = false;
    });
    return good ? FL_OK : FL_INEXACT;
}

// Exceptions must not cross a C boundary.
template <class Body> int32_t guarded(const Body& body) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return FL_NO_MEMORY;
    }
}

}  // namespace

extern "C" {

int32_t fl_xent(fl_xent_args* args) {
    return args ? guarded([&] { return xent(*args); }) : FL_BAD_ARGUMENT;
}

int32_t fl_bce(fl_bce_args* args) {
    return args ? guarded([&] { return bce(*args); }) : FL_BAD_ARGUMENT;
}

int32_t fl_scale(void* data, int64_t count, int64_t dtype, double factor, int64_t threads) {
    return guarded([&] { return scale(data, count, dtype, factor, threads); });
}

const char* fl_isa(void) { return isa().name; }

const char* fl_force_isa(const char* name) {
    for (const Isa& candidate : kIsas)
        if (!std::strcmp(candidate.name, name) && candidate.supported())
            current_isa.store(&candidate, std::memory_order_release);
    return isa().name;
}

void fl_work_with(fl_team team) {
    process_of_team.store(process_id(), std::memory_order_relaxed);
    current_team.store(team, std::memory_order_release);
}

int32_t fl_abi_version(void) { return 5; }

}  // extern "C"

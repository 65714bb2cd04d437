// Divides the rows of one call among threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>
#include <thread>

#include "crew.h"
#include "finallayer_kernels.h"

namespace {

// What fl_work_with was told, and the process that told it: the child of a fork has none of those threads.
std::atomic<fl_team> current_team{nullptr};
std::atomic<int64_t> process_of_team{0};

constexpr int64_t kThreadElements = 1 << 16;  // a thread is not worth waking for less, at the cheapest an element

// How many threads a caller that asks for so many may have: one per core for 0. Asking the system takes longer than a
// small call.
inline int64_t most_threads(int64_t asked) {
    static const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
    return asked > 0 ? asked : cores;
}

// The team for a call that asks for so many threads; null: our crew.
inline fl_team team_of(int64_t asked) {
    const fl_team team = asked ? current_team.load(std::memory_order_acquire) : nullptr;
    return team && process_of_team.load(std::memory_order_relaxed) == process_id() ? team : nullptr;
}

// Runs part() on this thread and on up to threads - 1 others, until all have returned; it may not throw.
template <class Part> void together(fl_team team, int64_t threads, const Part& part) {
    if (!team) return Crew::of_process().run(threads - 1, part);
    const auto run = [](void* context) { (*static_cast<const Part*>(context))(); };
    team(run, const_cast<Part*>(&part), static_cast<unsigned>(threads), 0);
}

// Runs work(begin, end) over [0, count), in pieces of `grain`, on up to `asked` threads, the caller's included; each
// of them calls leave() when no piece is left.
template <class Work, class Leave>
void parallel(int64_t count, int64_t grain, int64_t elements, int64_t asked, const Work& work, const Leave& leave) {
    const int64_t threads = std::min({most_threads(asked), elements / kThreadElements, (count + grain - 1) / grain});
    if (threads <= 1) {
        work(0, count);
        leave();
        return;
    }
    std::atomic<int64_t> next{0};
    std::atomic<bool> has_memory{true};
    together(team_of(asked), threads, [&] {
        try {
            for (int64_t begin; (begin = next.fetch_add(grain)) < count;) work(begin, std::min(begin + grain, count));
        } catch (const std::bad_alloc&) {
            has_memory = false;
        }
        leave();
    });
    if (!has_memory) throw std::bad_alloc();
}

template <class Work> void parallel(int64_t count, int64_t grain, int64_t elements, int64_t asked, const Work& work) {
    parallel(count, grain, elements, asked, work, [] {});
}

}  // namespace

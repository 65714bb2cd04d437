// Runs the rows of one call on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace {

constexpr int64_t kThreadElements = 1 << 18;  // a thread is not worth starting for less, at the cheapest an element

// How many threads a caller that asks for so many may have: one per core for 0.
inline int64_t most_threads(int64_t asked) {
    return asked > 0 ? asked : std::max(1u, std::thread::hardware_concurrency());
}

// Runs work(begin, end) over [0, count), in pieces of `grain`, on up to `threads` threads, the caller's included.
// Threads are started per call: a call that is worth two threads lasts much longer than starting one, and a
// process without waiting threads can fork at any time.
template <class Work> void parallel(int64_t count, int64_t grain, int64_t elements, int64_t threads, const Work& work) {
    threads = std::min({most_threads(threads), elements / kThreadElements, (count + grain - 1) / grain});
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

}  // namespace

// Threads that wait for work. They are kept from call to call: where the cores are busy, with data loaders say, a new
// thread gets its turn after milliseconds, one that was waiting within microseconds.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace {

inline int64_t process_id() {
#if defined(_WIN32)
    return 0;  // a process there is never the copy of another
#else
    return getpid();
#endif
}

class Crew {
public:
    // The crew of this process. The child of a fork has none of its parent's threads, so it gets a crew of its own;
    // its parent's stays as it was, perhaps locked, and is never touched again.
    static Crew& of_process() {
        static std::atomic<Crew*> current{nullptr};
        Crew* crew = current.load(std::memory_order_acquire);
        if (crew && crew->process_ == process_id()) return *crew;
        auto fresh = std::make_unique<Crew>();
        if (current.compare_exchange_strong(crew, fresh.get(), std::memory_order_acq_rel)) crew = fresh.release();
        return *crew;
    }

    // Runs part() on this thread and on up to `helpers` others at once, until all have returned; it may not throw.
    // Nobody waits for a helper that hasn't begun. While another thread's call has the crew, this one goes alone.
    template <class Part> void run(int64_t helpers, const Part& part) {
        const bool is_ours = call([](const void* p) { (*static_cast<const Part*>(p))(); }, &part, helpers);
        part();
        if (is_ours) dismiss();
    }

private:
    using Function = void (*)(const void*);

    bool call(Function function, const void* context, int64_t helpers) {
        const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
        if (!lock || is_taken_) return false;
        while (size_ < helpers && hire()) ++size_;
        is_taken_ = true;
        function_ = function;
        context_ = context;
        places_ = helpers;
        for (int64_t i = 0; i < helpers; ++i) wanted_.notify_one();
        return true;
    }

    void dismiss() {
        std::unique_lock<std::mutex> lock(mutex_);
        places_ = 0;
        done_.wait(lock, [&] { return working_ == 0; });
        is_taken_ = false;
    }

    bool hire() {
        try {
            std::thread([this] { serve(); }).detach();
            return true;
        } catch (const std::system_error&) {  // the system gives no more threads: those that are here share the work
            return false;
        }
    }

    void serve() {
        for (std::unique_lock<std::mutex> lock(mutex_);;) {
            wanted_.wait(lock, [&] { return places_ > 0; });
            --places_;
            ++working_;
            lock.unlock();
            function_(context_);
            lock.lock();
            if (--working_ == 0) done_.notify_one();
        }
    }

    const int64_t process_ = process_id();
    std::mutex mutex_;
    std::condition_variable wanted_, done_;
    bool is_taken_ = false;
    int64_t size_ = 0, places_ = 0, working_ = 0;
    Function function_ = nullptr;
    const void* context_ = nullptr;
};

}  // namespace

// Idle gradient buffers: at most kIdle of them, the same size asked for again and again by a training loop.
#include "finallayer_kernels.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(_WIN32)
#include <malloc.h>
#else
#include <pthread.h>
#endif

namespace {

constexpr size_t kHeader = 64;  // keeps the size in front of the buffer, and its alignment
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kIdle = 2;

struct Idle {
    void* start;
    size_t bytes;
};
struct Pool {
    std::mutex lock;
    std::vector<Idle> idle;
};

Pool* fresh_pool();

// Never destroyed: buffers come back while the interpreter shuts down.
Pool& pool() {
    static Pool* const instance = fresh_pool();
    return *instance;
}

// A fork waits until nobody is at the pool: its child would wait for ever for a thread that it doesn't have.
Pool* fresh_pool() {
#if !defined(_WIN32)
    pthread_atfork([] { pool().lock.lock(); }, [] { pool().lock.unlock(); }, [] { pool().lock.unlock(); });
#endif
    return new Pool;
}

void* fresh_pages(size_t bytes) {
    const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
#if defined(_WIN32)
    return _aligned_malloc(bytes, alignment);
#else
    void* start = nullptr;
    if (posix_memalign(&start, alignment, bytes)) return nullptr;
#if defined(MADV_HUGEPAGE)
    if (bytes >= kHugePage) madvise(start, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    return start;
#endif
}

void free_pages(void* start) {
#if defined(_WIN32)
    _aligned_free(start);
#else
    std::free(start);
#endif
}

// An idle buffer that fits and isn't twice as large as needed; null if there is none.
Idle take_idle(size_t bytes) {
    Pool& p = pool();
    const std::lock_guard<std::mutex> hold(p.lock);
    for (auto it = p.idle.begin(); it != p.idle.end(); ++it) {
        if (it->bytes < bytes || it->bytes / 2 > bytes) continue;
        const Idle found = *it;
        p.idle.erase(it);
        return found;
    }
    return {nullptr, bytes};
}

// Keeps a buffer for its next user; returns the one that is too many, or null.
void* keep_idle(Idle buffer) {
    Pool& p = pool();
    const std::lock_guard<std::mutex> hold(p.lock);
    p.idle.push_back(buffer);
    if (p.idle.size() <= kIdle) return nullptr;
    void* const surplus = p.idle.front().start;
    p.idle.erase(p.idle.begin());
    return surplus;
}

}  // namespace

extern "C" {

void* fl_buffer_acquire(int64_t wanted) {
    if (wanted < 0) return nullptr;
    Idle buffer = take_idle(static_cast<size_t>(wanted) + kHeader);
    if (!buffer.start) buffer.start = fresh_pages(buffer.bytes);
    if (!buffer.start) return nullptr;
    std::memcpy(buffer.start, &buffer.bytes, sizeof buffer.bytes);
    return static_cast<char*>(buffer.start) + kHeader;
}

void fl_buffer_release(void* buffer) {
    if (!buffer) return;
    char* const start = static_cast<char*>(buffer) - kHeader;
    size_t bytes;
    std::memcpy(&bytes, start, sizeof bytes);
    free_pages(keep_idle({start, bytes}));
}

void fl_buffer_trim(void) {
    Pool& p = pool();
    const std::lock_guard<std::mutex> hold(p.lock);
    for (const Idle& i : p.idle) free_pages(i.start);
    p.idle.clear();
}

}  // extern "C"

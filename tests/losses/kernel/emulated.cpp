// Runs the kernel's C functions for a caller in another process: what is asked comes on stdin, the answers go to stdout.
// emulated.py writes the one and reads the other; all numbers are 64 bits wide.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "finallayer_kernels.h"

namespace {

uint64_t read_number() {
    uint64_t number;
    if (fread(&number, sizeof number, 1, stdin) != 1) exit(0);  // the caller is gone
    return number;
}

void read_bytes(void* to, size_t size) {
    if (size && fread(to, 1, size, stdin) != size) exit(1);
}

struct Region {
    std::vector<char> room;
    char* start;
    size_t size;
};

// A copy of the caller's memory, with its alignment.
Region read_region() {
    Region region;
    region.size = read_number();
    const size_t misalignment = read_number();
    region.room.resize(region.size + 128);
    const auto address = reinterpret_cast<uintptr_t>(region.room.data());
    region.start = region.room.data() + (64 - address % 64) % 64 + misalignment;
    read_bytes(region.start, region.size);
    return region;
}

}  // namespace

int main() {
    for (;;) {
        const uint64_t function = read_number();
        std::vector<char> arguments(read_number());
        read_bytes(arguments.data(), arguments.size());
        std::vector<Region> regions(read_number());
        for (Region& region : regions) region = read_region();
        for (uint64_t pointers = read_number(); pointers-- > 0;) {
            const uint64_t at = read_number(), region = read_number(), offset = read_number();
            char* const address = regions[region].start + offset;
            memcpy(arguments.data() + at, &address, sizeof address);
        }
        const int64_t status = function == 0 ? fl_xent(reinterpret_cast<fl_xent_args*>(arguments.data()))
                               : function == 1
                                   ? fl_bce(reinterpret_cast<fl_bce_args*>(arguments.data()))
                                   : fl_scale(regions[0].start, reinterpret_cast<int64_t*>(arguments.data())[0],
                                              reinterpret_cast<int64_t*>(arguments.data())[1],
                                              reinterpret_cast<double*>(arguments.data())[2], 1);
        fwrite(&status, sizeof status, 1, stdout);
        fwrite(arguments.data(), 1, arguments.size(), stdout);
        for (const Region& region : regions) fwrite(region.start, 1, region.size, stdout);
        fflush(stdout);
    }
}

// Memory in 2 MB pages where the system gives them: tables that are read at random, and large results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#if defined(__linux__)
#include <sys/mman.h>
#endif

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Only a hint: refused or unknown, the memory works all the same. Measured: random reads of a 2 MB table miss the
// TLB with small pages on most words, and the first touch of a result costs a fault for each 4 KB.
inline void prefer_huge_pages(void* memory, std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + kHugePage - 1) / kHugePage * kHugePage;
    const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / kHugePage * kHugePage;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

struct FreeMemory {
    void operator()(void* memory) const { std::free(memory); }
};

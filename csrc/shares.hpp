// Work on a run of rows, shared out to threads in contiguous parts, so that they write to different pages.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

// Calls work(begin, end) for parts that make up 0 to `rows`, the first of them in this thread. An exception of one of
// them is thrown again here, after all have ended.
template <typename Work>
void in_shares(std::size_t rows, std::size_t threads, const Work& work) {
    const std::size_t parts = std::max<std::size_t>(1, std::min(threads, rows));
    const std::size_t share = (rows + parts - 1) / parts;
    std::exception_ptr failure;
    std::atomic<bool> has_failure{false};
    const auto guarded = [&](std::size_t part) noexcept {
        try {
            work(std::min(part * share, rows), std::min((part + 1) * share, rows));
        } catch (...) {
            if (!has_failure.exchange(true)) failure = std::current_exception();
        }
    };
    std::vector<std::thread> others;
    try {
        others.reserve(parts - 1);
        for (std::size_t part = 1; part < parts; ++part) others.emplace_back(guarded, part);
    } catch (...) {  // no more threads to be had
        for (std::thread& other : others) other.join();
        throw;
    }
    guarded(0);
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

// Rows of a result whose number is known only at its end, written in one pass and handed on without a copy.
//
// The memory is reserved generously and grown by realloc, which moves pages, not bytes, at these sizes; pages that were
// never written are never given by the system. So a build costs its output and nothing beside it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include "huge_pages.hpp"

// Python sees a MemoryError with this text.
class MemoryShortage : public std::bad_alloc {
public:
    MemoryShortage(double rows, std::size_t row_bytes, std::uint64_t limit)
        : text_("a result of about " + whole(rows) + " rows takes " + whole(rows * static_cast<double>(row_bytes)) +
                " bytes; this machine has " + std::to_string(limit) +
                ": lower num_epochs, max_num_samples or size") {}
    const char* what() const noexcept override { return text_.c_str(); }

private:
    static std::string whole(double number) {
        const std::string digits = std::to_string(number);
        return digits.substr(0, digits.find('.'));
    }
    std::string text_;
};

template <typename Value, std::size_t kColumns>
class RowBuffer {
public:
    static constexpr std::size_t kRowBytes = kColumns * sizeof(Value);

    explicit RowBuffer(std::uint64_t memory_limit) : limit_(memory_limit) {}
    ~RowBuffer() { std::free(rows_); }
    RowBuffer(const RowBuffer&) = delete;
    RowBuffer& operator=(const RowBuffer&) = delete;

    // Room that will probably do; only what is written is ever taken from the system.
    void reserve(std::uint64_t rows) {
        rows = std::min(rows, std::min(kFirstBytes, limit_) / kRowBytes);
        if (rows > capacity_) grow(static_cast<std::size_t>(rows));
    }
    // Room for one more row.
    Value* append() {
        if (count_ == capacity_) grow(capacity_ + capacity_ / 2 + 1);
        return rows_ + kColumns * count_++;
    }
    // Refuses at once what would otherwise run until the memory is gone.
    void expect(double rows) const {
        if (rows * static_cast<double>(kRowBytes) > static_cast<double>(limit_)) {
            throw MemoryShortage(rows, kRowBytes, limit_);
        }
    }
    std::size_t count() const { return count_; }
    Value* data() { return rows_; }

    // The rows, in memory from malloc that now belongs to the caller.
    Value* release() {
        if (void* smaller = std::realloc(rows_, std::max<std::size_t>(count_, 1) * kRowBytes)) {
            rows_ = static_cast<Value*>(smaller);
        }
        Value* rows = rows_;
        rows_ = nullptr;
        return rows;
    }

private:
    static constexpr std::uint64_t kFirstBytes = std::uint64_t{1} << 30;

    void grow(std::size_t rows) {
        const std::size_t most = static_cast<std::size_t>(limit_ / kRowBytes);
        if (rows > most) {
            if (capacity_ >= most) throw MemoryShortage(static_cast<double>(rows), kRowBytes, limit_);
            rows = most;
        }
        void* larger = std::realloc(rows_, rows * kRowBytes);
        if (larger == nullptr) throw MemoryShortage(static_cast<double>(rows), kRowBytes, limit_);
        prefer_huge_pages(larger, rows * kRowBytes);
        rows_ = static_cast<Value*>(larger);
        capacity_ = rows;
    }

    Value* rows_ = nullptr;
    std::size_t count_ = 0;
    std::size_t capacity_ = 0;
    std::uint64_t limit_;
};

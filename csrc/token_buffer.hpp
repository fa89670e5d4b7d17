// A growable array of ids that is not filled with zeros first, and whose memory can be handed to numpy.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "huge_pages.hpp"

class TokenBuffer {
public:
    std::int32_t* data() const { return data_.get(); }
    std::int32_t* end() const { return data_.get() + size_; }
    std::size_t size() const { return size_; }

    // Makes room for `more` ids behind the last one. realloc moves large blocks by moving pages, not bytes.
    void reserve(std::size_t more) {
        if (capacity_ - size_ >= more) return;
        std::size_t wanted = capacity_ + capacity_ / 2;
        if (wanted < size_ + more) wanted = size_ + more;
        resize_memory(wanted);
    }
    // After writing up to `last`.
    void set_end(const std::int32_t* last) { size_ = static_cast<std::size_t>(last - data_.get()); }
    void truncate(std::size_t size) { size_ = size; }
    void append(const std::int32_t* ids, std::size_t count) {
        reserve(count);
        if (count != 0) std::memcpy(end(), ids, count * sizeof(std::int32_t));
        size_ += count;
    }
    // Gives the memory away, cut to size; to be freed with free(). Never null.
    std::int32_t* release() {
        resize_memory(size_ == 0 ? 1 : size_);
        size_ = capacity_ = 0;
        return data_.release();
    }

private:
    void resize_memory(std::size_t capacity) {
        void* moved = std::realloc(data_.get(), capacity * sizeof(std::int32_t));
        if (moved == nullptr) throw std::bad_alloc();
        (void)data_.release();
        data_.reset(static_cast<std::int32_t*>(moved));
        prefer_huge_pages(moved, capacity * sizeof(std::int32_t));
        capacity_ = capacity;
    }

    std::unique_ptr<std::int32_t, FreeMemory> data_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

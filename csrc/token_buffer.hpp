// A growable array of ids that is not filled with zeros first, and whose memory can be handed to numpy.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "huge_pages.hpp"

template <typename Id>
class IdBuffer {
public:
    Id* data() const { return data_.get(); }
    Id* end() const { return data_.get() + size_; }
    std::size_t size() const { return size_; }

    // Makes room for `more` ids behind the last one. realloc moves large blocks by moving pages, not bytes.
    void reserve(std::size_t more) {
        if (capacity_ - size_ >= more) return;
        std::size_t wanted = capacity_ + capacity_ / 2;
        if (wanted < size_ + more) wanted = size_ + more;
        resize_memory(wanted);
    }
    // After writing up to `last`.
    void set_end(const Id* last) { size_ = static_cast<std::size_t>(last - data_.get()); }
    void truncate(std::size_t size) { size_ = size; }
    void append(const Id* ids, std::size_t count) {
        reserve(count);
        if (count != 0) std::memcpy(end(), ids, count * sizeof(Id));
        size_ += count;
    }
    // Gives the memory away, cut to size; to be freed with free(). Never null.
    Id* release() {
        resize_memory(size_ == 0 ? 1 : size_);
        size_ = capacity_ = 0;
        return data_.release();
    }

private:
    void resize_memory(std::size_t capacity) {
        void* moved = std::realloc(data_.get(), capacity * sizeof(Id));
        if (moved == nullptr) throw std::bad_alloc();
        (void)data_.release();
        data_.reset(static_cast<Id*>(moved));
        prefer_huge_pages(moved, capacity * sizeof(Id));
        capacity_ = capacity;
    }

    std::unique_ptr<Id, FreeMemory> data_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

using TokenBuffer = IdBuffer<std::int32_t>;

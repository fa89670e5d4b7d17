// The sequences of an indexed dataset as its memory maps hold them, read as 32-bit ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

class TokenSource {
public:
    // `kind` is numpy's letter of the type of a token ('i' signed, 'u' unsigned), `width` its bytes. Throws
    // std::invalid_argument for a type that holds no ids.
    // The arrays may stand at any address: the sections of an index file are not aligned.
    TokenSource(const void* tokens, char kind, std::size_t width, const void* pointers, const void* lengths,
                std::size_t sequences);

    std::size_t sequences() const { return sequences_; }
    std::size_t length(std::size_t sequence) const { return static_cast<std::size_t>(load<std::int32_t>(lengths_, sequence)); }
    // Where a sequence starts, in bytes.
    std::int64_t pointer(std::size_t sequence) const { return load<std::int64_t>(pointers_, sequence); }

    // Copies tokens to `ids`. Returns false if one of them is outside [0, vocabulary).
    bool read(std::size_t sequence, std::size_t offset, std::size_t count, std::int64_t vocabulary, std::int32_t* ids) const {
        const auto* start = static_cast<const unsigned char*>(tokens_) + pointer(sequence) + offset * width_;
        return copy_(start, count, vocabulary, ids);
    }

private:
    using Copy = bool (*)(const void*, std::size_t, std::int64_t, std::int32_t*);

    template <typename Value>
    static Value load(const void* values, std::size_t index) {
        Value value;
        std::memcpy(&value, static_cast<const unsigned char*>(values) + index * sizeof(Value), sizeof(Value));
        return value;
    }

    const void* tokens_;
    std::size_t width_;
    const void* pointers_;
    const void* lengths_;
    std::size_t sequences_;
    Copy copy_;
};

// Copies ids of any integer type; false if one is outside [0, vocabulary), which is at most 2^31 - 1.
using CopyIds = bool (*)(const void* from, std::size_t count, std::int64_t vocabulary, std::int32_t* ids);
CopyIds copy_of(char kind, std::size_t width);

// UTF-8 by hand: decoding that says where it failed, and encoding of Python's fixed-width strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

// Ill-formed UTF-8 at `position`: the first byte of the first ill-formed sequence, as Python's own decoder counts.
struct InvalidUtf8 : std::runtime_error {
    explicit InvalidUtf8(const char* where) : std::runtime_error("invalid UTF-8"), position(where) {}
    const char* position;
};

constexpr std::uint32_t kInvalidCodePoint = 0xffffffffu;

// Decodes one code point and advances `cursor`; kInvalidCodePoint, without advancing, for overlong forms, surrogates,
// values past U+10FFFF and cut sequences.
inline std::uint32_t decode_utf8(const char*& cursor, const char* end) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(cursor);
    const std::ptrdiff_t available = end - cursor;
    const auto continues = [&](int i) { return i < available && (bytes[i] & 0xc0) == 0x80; };
    const std::uint32_t first = bytes[0];
    if (first < 0x80) {
        cursor += 1;
        return first;
    }
    if (first < 0xe0) {
        if (first < 0xc2 || !continues(1)) return kInvalidCodePoint;
        cursor += 2;
        return (first & 0x1f) << 6 | (bytes[1] & 0x3fu);
    }
    if (first < 0xf0) {
        if (!continues(1) || !continues(2)) return kInvalidCodePoint;
        const std::uint32_t value = (first & 0x0f) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
        if (value < 0x800 || (value >= 0xd800 && value < 0xe000)) return kInvalidCodePoint;
        cursor += 3;
        return value;
    }
    if (first > 0xf4 || !continues(1) || !continues(2) || !continues(3)) return kInvalidCodePoint;
    const std::uint32_t value =
        (first & 0x07) << 18 | (bytes[1] & 0x3fu) << 12 | (bytes[2] & 0x3fu) << 6 | (bytes[3] & 0x3fu);
    if (value < 0x10000 || value > 0x10ffff) return kInvalidCodePoint;
    cursor += 4;
    return value;
}

// Throws InvalidUtf8 unless all of [begin, end) is well-formed.
void validate_utf8(const char* begin, const char* end);

// One text as its owner stores it: UTF-8 (width 0), or code points of 1, 2 or 4 bytes as Python's str does.
struct TextView {
    const void* data;
    std::size_t length;  // in units of the width (bytes for width 0)
    int width;
    std::size_t bytes() const { return length * static_cast<std::size_t>(width == 0 ? 1 : width); }
};

// A str that holds half of a surrogate pair has no UTF-8 form; `index` is its place in code points.
struct LoneSurrogate : std::runtime_error {
    LoneSurrogate(std::size_t place, std::uint32_t value)
        : std::runtime_error("lone surrogate"), index(place), code_point(value) {}
    std::size_t index;
    std::uint32_t code_point;
};

// The text's UTF-8 bytes: its own storage where that is UTF-8 already, else `buffer`, which is overwritten.
// `buffer` only ever grows, so that a worker that recycles it does not allocate.
void as_utf8(const TextView& text, std::vector<char>& buffer, const char*& begin, const char*& end);

#include "utf8.hpp"

#include <cstring>

namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080u;

inline std::uint64_t load_word(const void* bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, sizeof(word));
    return word;
}

template <typename Unit>
char* encode_units(const Unit* units, std::size_t length, char* out) {
    for (std::size_t i = 0; i < length; ++i) {
        const std::uint32_t value = units[i];
        if (value < 0x80) {
            *out++ = static_cast<char>(value);
        } else if (value < 0x800) {
            *out++ = static_cast<char>(0xc0 | value >> 6);
            *out++ = static_cast<char>(0x80 | (value & 0x3f));
        } else if (value < 0x10000) {
            if (value >= 0xd800 && value < 0xe000) throw LoneSurrogate(i, value);
            *out++ = static_cast<char>(0xe0 | value >> 12);
            *out++ = static_cast<char>(0x80 | (value >> 6 & 0x3f));
            *out++ = static_cast<char>(0x80 | (value & 0x3f));
        } else {
            *out++ = static_cast<char>(0xf0 | value >> 18);
            *out++ = static_cast<char>(0x80 | (value >> 12 & 0x3f));
            *out++ = static_cast<char>(0x80 | (value >> 6 & 0x3f));
            *out++ = static_cast<char>(0x80 | (value & 0x3f));
        }
    }
    return out;
}

}  // namespace

void validate_utf8(const char* begin, const char* end) {
    while (begin < end) {
        if (end - begin >= 8 && (load_word(begin) & kHighBits) == 0) {
            begin += 8;
        } else if (decode_utf8(begin, end) == kInvalidCodePoint) {
            throw InvalidUtf8(begin);
        }
    }
}

void as_utf8(const TextView& text, std::vector<char>& buffer, const char*& begin, const char*& end) {
    if (text.width == 0) {
        begin = static_cast<const char*>(text.data);
        end = begin + text.length;
        return;
    }
    // A code point takes at most 2, 3 or 4 bytes of UTF-8 when it came from 1, 2 or 4 bytes.
    const std::size_t most = text.length * static_cast<std::size_t>(text.width == 4 ? 4 : text.width + 1);
    if (buffer.size() < most) buffer.resize(most);
    char* last = buffer.data();
    if (text.width == 1) {
        last = encode_units(static_cast<const std::uint8_t*>(text.data), text.length, last);
    } else if (text.width == 2) {
        last = encode_units(static_cast<const std::uint16_t*>(text.data), text.length, last);
    } else {
        last = encode_units(static_cast<const std::uint32_t*>(text.data), text.length, last);
    }
    begin = buffer.data();
    end = last;
}

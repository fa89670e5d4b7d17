#include "json_text.hpp"

namespace {

std::uint32_t code_unit(const char* escape) {
    std::uint32_t value = 0;
    for (int i = 2; i < 6; ++i) value = value << 4 | static_cast<std::uint32_t>(hex_digit(escape[i]));
    return value;
}

char* put_utf8(std::uint32_t value, char* out) {
    if (value < 0x80) {
        *out++ = static_cast<char>(value);
    } else if (value < 0x800) {
        *out++ = static_cast<char>(0xc0 | value >> 6);
        *out++ = static_cast<char>(0x80 | (value & 0x3f));
    } else if (value < 0x10000) {
        *out++ = static_cast<char>(0xe0 | value >> 12);
        *out++ = static_cast<char>(0x80 | (value >> 6 & 0x3f));
        *out++ = static_cast<char>(0x80 | (value & 0x3f));
    } else {
        *out++ = static_cast<char>(0xf0 | value >> 18);
        *out++ = static_cast<char>(0x80 | (value >> 12 & 0x3f));
        *out++ = static_cast<char>(0x80 | (value >> 6 & 0x3f));
        *out++ = static_cast<char>(0x80 | (value & 0x3f));
    }
    return out;
}

}  // namespace

bool unescape_json(const char* begin, const char* end, std::vector<char>& buffer, const char*& last) {
    // No escape is shorter than what it stands for.
    const auto most = static_cast<std::size_t>(end - begin);
    if (buffer.size() < most) buffer.resize(most);
    char* out = buffer.data();
    for (const char* cursor = begin; cursor < end;) {
        const void* found = std::memchr(cursor, '\\', static_cast<std::size_t>(end - cursor));
        const char* escape = found == nullptr ? end : static_cast<const char*>(found);
        const auto plain = static_cast<std::size_t>(escape - cursor);
        std::memcpy(out, cursor, plain);
        out += plain;
        cursor = escape;
        if (cursor == end) break;
        const int length = escape_length(cursor, end);
        if (length == 0) return false;
        if (length == 2) {
            switch (cursor[1]) {
                case 'b': *out++ = '\b'; break;
                case 'f': *out++ = '\f'; break;
                case 'n': *out++ = '\n'; break;
                case 'r': *out++ = '\r'; break;
                case 't': *out++ = '\t'; break;
                default: *out++ = cursor[1];
            }
            cursor += 2;
            continue;
        }
        std::uint32_t value = code_unit(cursor);
        cursor += 6;
        if (value >= 0xd800 && value < 0xe000) {
            if (value >= 0xdc00 || cursor == end || *cursor != '\\' || escape_length(cursor, end) != 6) return false;
            const std::uint32_t second = code_unit(cursor);
            if (second < 0xdc00 || second >= 0xe000) return false;
            value = 0x10000 + ((value - 0xd800) << 10) + (second - 0xdc00);
            cursor += 6;
        }
        out = put_utf8(value, out);
    }
    last = out;
    return true;
}

// Text inside JSON strings: the bytes that end or interrupt it, and escapes.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__SSE2__) && !defined(MASKGEN_NO_SIMD)
#include <emmintrin.h>
#endif

// Sixty-four bytes of a JSON string, and what may stand in them: bit i for byte i.
struct JsonBlock {
    static constexpr int kBytes = 64;

    std::uint64_t quotes = 0, backslashes = 0, controls = 0;
    bool ascii;  // no byte past 0x7f

    explicit JsonBlock(const char* bytes) {
#if defined(__SSE2__) && !defined(MASKGEN_NO_SIMD)
        const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
        const auto bits = [](__m128i equal, int part) {
            return static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(equal))) << 16 * part;
        };
        __m128i any = _mm_setzero_si128();
        for (int i = 0; i < 4; ++i) {
            const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * i));
            quotes |= bits(_mm_cmpeq_epi8(part, quote), i);
            backslashes |= bits(_mm_cmpeq_epi8(part, backslash), i);
            controls |= bits(_mm_cmpeq_epi8(_mm_min_epu8(part, control), part), i);
            any = _mm_or_si128(any, part);
        }
        ascii = _mm_movemask_epi8(any) == 0;
#else
        unsigned any = 0;
        for (int i = 0; i < kBytes; ++i) {
            const auto byte = static_cast<unsigned char>(bytes[i]);
            quotes |= static_cast<std::uint64_t>(byte == '"') << i;
            backslashes |= static_cast<std::uint64_t>(byte == '\\') << i;
            controls |= static_cast<std::uint64_t>(byte < 0x20) << i;
            any |= byte;
        }
        ascii = any < 0x80;
#endif
    }

    // The quotes that no backslash stands before. `escaped` says whether one stood before the first byte, and is set
    // for the block behind this one. Without a loop over backslashes: in a run of them every second one is escaped
    // itself, and a subtraction whose borrow goes through the run tells which (as simdjson does it).
    std::uint64_t closing_quotes(std::uint64_t& escaped) const {
        constexpr std::uint64_t kOdd = 0xaaaaaaaaaaaaaaaau;
        const std::uint64_t may_escape = backslashes & ~escaped;
        const std::uint64_t ends = (((may_escape << 1) | kOdd) - may_escape) ^ kOdd;
        const std::uint64_t escaped_here = ends ^ (backslashes | escaped);
        escaped = (ends & backslashes) >> 63;
        return quotes & ~escaped_here;
    }
};

// The value of a hexadecimal digit, or -1.
inline int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    const char lowered = static_cast<char>(digit | 0x20);
    return lowered >= 'a' && lowered <= 'f' ? lowered - 'a' + 10 : -1;
}

// How many bytes the escape sequence at `cursor` (a backslash) takes, 2 or 6; 0 where it is none.
inline int escape_length(const char* cursor, const char* end) {
    if (end - cursor < 2) return 0;
    switch (cursor[1]) {
        case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
            return 2;
        case 'u':
            if (end - cursor < 6) return 0;
            for (int i = 2; i < 6; ++i) {
                if (hex_digit(cursor[i]) < 0) return 0;
            }
            return 6;
        default:
            return 0;
    }
}

// Unescapes [begin, end) into `buffer`, which only ever grows; `last` is set behind the result. False: an escape that
// is none, or half of a surrogate pair. Bytes that are not ASCII are copied as they are.
bool unescape_json(const char* begin, const char* end, std::vector<char>& buffer, const char*& last);

// Sixteen bytes of text at once: how many of them, from the first on, belong to one raw word.
//
// Raw words are runs of ASCII letters and digits and of bytes past 0x7f, except 0xe4-0xe9: those bytes open the code
// points U+4000-U+9FFF, nearly all of which are Chinese characters that stand alone.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__) && !defined(MASKGEN_NO_SIMD)
#include <emmintrin.h>
#endif

inline bool is_word_byte(unsigned char byte) {
    if (byte >= 0x80) return byte < 0xe4 || byte > 0xe9;
    const unsigned lowered = byte | 0x20u;
    return (lowered >= 'a' && lowered <= 'z') || (byte >= '0' && byte <= '9');
}

// Bytes as numbers, for comparing and hashing; nothing depends on the byte order.
struct Key16 {
    std::uint64_t low, high;
    friend bool operator==(const Key16& a, const Key16& b) { return ((a.low ^ b.low) | (a.high ^ b.high)) == 0; }
};

#if defined(__SSE2__) && !defined(MASKGEN_NO_SIMD)

class ByteBlock {
public:
    explicit ByteBlock(const char* bytes) : bytes_(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes))) {}

    // 0 to 16.
    unsigned word_length() const {
        // There is no unsigned byte compare: each range is moved to start at -128 and compared as signed.
        const auto in_range = [](__m128i bytes, int first, int count) {
            return _mm_cmplt_epi8(_mm_add_epi8(bytes, _mm_set1_epi8(static_cast<char>(0x80 - first))),
                                  _mm_set1_epi8(static_cast<char>(0x80 + count)));
        };
        const __m128i letters = in_range(_mm_or_si128(bytes_, _mm_set1_epi8(0x20)), 'a', 26);
        const __m128i digits = in_range(bytes_, '0', 10);
        const __m128i chinese = in_range(bytes_, 0xe4, 6);
        // Only the top bit of each byte counts below, and bytes past 0x7f have it set as they are. (A letter with
        // 0x20 set is a letter; a byte past 0x7f stays past 0x7f.)
        const __m128i word = _mm_andnot_si128(chinese, _mm_or_si128(_mm_or_si128(letters, digits), bytes_));
        return static_cast<unsigned>(__builtin_ctz(~static_cast<unsigned>(_mm_movemask_epi8(word))));
    }

    // The first `length` bytes (1 to 8), zeros behind them.
    std::uint64_t short_key(unsigned length) const {
        return static_cast<std::uint64_t>(_mm_cvtsi128_si64(bytes_)) & ~std::uint64_t{0} >> (64 - 8 * length);
    }
    // The first `length` bytes (0 to 16), zeros behind them.
    Key16 key(unsigned length) const {
        alignas(16) static const unsigned char ones_then_zeros[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                                      255, 255, 255, 255, 255, 255, 255, 255};
        const __m128i kept = _mm_and_si128(
            bytes_, _mm_loadu_si128(reinterpret_cast<const __m128i*>(ones_then_zeros + 16 - length)));
        return {static_cast<std::uint64_t>(_mm_cvtsi128_si64(kept)),
                static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(kept, kept)))};
    }

private:
    __m128i bytes_;
};

#else

class ByteBlock {
public:
    explicit ByteBlock(const char* bytes) { std::memcpy(bytes_, bytes, sizeof(bytes_)); }

    unsigned word_length() const {
        unsigned length = 0;
        while (length < 16 && is_word_byte(bytes_[length])) ++length;
        return length;
    }
    std::uint64_t short_key(unsigned length) const {
        std::uint64_t key = 0;
        std::memcpy(&key, bytes_, length);
        return key;
    }
    Key16 key(unsigned length) const {
        unsigned char kept[16] = {};
        std::memcpy(kept, bytes_, length);
        Key16 key;
        std::memcpy(&key, kept, sizeof(key));
        return key;
    }

private:
    unsigned char bytes_[16];
};

#endif

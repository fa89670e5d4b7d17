#include "sha256_lanes.hpp"

#include <cstring>

// Compiled for several processors, of which the loader takes the best: with plain SSE2 it is hardly faster than one
// message alone. A sanitizer is not yet there when the loader chooses.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FOR_SEVERAL_PROCESSORS __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define FOR_SEVERAL_PROCESSORS
#endif

namespace {

using Word = std::uint32_t;
using Words = Word __attribute__((vector_size(4 * kSha256Lanes)));  // one of each message

constexpr std::size_t kBlock = 64;

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr Word kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// Those of the square roots of the first 8.
constexpr Word kStart[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

inline Word load(const unsigned char* bytes) {
    return static_cast<Word>(bytes[0]) << 24 | static_cast<Word>(bytes[1]) << 16 | static_cast<Word>(bytes[2]) << 8 |
           static_cast<Word>(bytes[3]);
}

#define ROTATED(words, count) ((words) >> (count) | (words) << (32 - (count)))

// Takes in `blocks` blocks of each message; the messages begin `stride` bytes apart.
FOR_SEVERAL_PROCESSORS
void take_in(Words* state, const unsigned char* data, std::size_t stride, std::size_t blocks) {
    for (std::size_t block = 0; block < blocks; ++block, data += kBlock) {
        Words schedule[16];
        for (std::size_t i = 0; i < 16; ++i) {
            const unsigned char* at = data + 4 * i;
            // All at once: written lane by lane, the vector would go through memory.
            schedule[i] = Words{load(at),              load(at + stride),     load(at + 2 * stride), load(at + 3 * stride),
                                load(at + 4 * stride), load(at + 5 * stride), load(at + 6 * stride), load(at + 7 * stride)};
        }
        Words a = state[0], b = state[1], c = state[2], d = state[3];
        Words e = state[4], f = state[5], g = state[6], h = state[7];
        for (std::size_t round = 0; round < 64; round += 16) {
#pragma GCC unroll 16
            for (std::size_t i = 0; i < 16; ++i) {
                Words& word = schedule[i];
                if (round != 0) {
                    const Words early = schedule[(i + 1) % 16], late = schedule[(i + 14) % 16];
                    word += (ROTATED(early, 7) ^ ROTATED(early, 18) ^ early >> 3) + schedule[(i + 9) % 16] +
                            (ROTATED(late, 17) ^ ROTATED(late, 19) ^ late >> 10);
                }
                const Words first = h + (ROTATED(e, 6) ^ ROTATED(e, 11) ^ ROTATED(e, 25)) + (g ^ (e & (f ^ g))) + word +
                                    kRound[round + i];
                const Words second = (ROTATED(a, 2) ^ ROTATED(a, 13) ^ ROTATED(a, 22)) + ((a & b) | (c & (a | b)));
                h = g, g = f, f = e, e = d + first;
                d = c, c = b, b = a, a = first + second;
            }
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

}  // namespace

void sha256_lanes(const unsigned char* data, std::size_t length, std::array<Sha256, kSha256Lanes>& digests) {
    Words state[8];
    for (std::size_t i = 0; i < 8; ++i) state[i] = Words{} + kStart[i];
    const std::size_t whole = length / kBlock;
    take_in(state, data, length, whole);

    // The rest of each message, a one bit, zeros, and the length in bits.
    const std::size_t rest = length % kBlock;
    const std::size_t padded = rest + 9 <= kBlock ? kBlock : 2 * kBlock;
    unsigned char tails[kSha256Lanes * 2 * kBlock] = {};
    for (std::size_t lane = 0; lane < kSha256Lanes; ++lane) {
        unsigned char* tail = tails + lane * padded;
        if (rest != 0) std::memcpy(tail, data + lane * length + whole * kBlock, rest);
        tail[rest] = 0x80;
        const std::uint64_t bits = static_cast<std::uint64_t>(length) * 8;
        for (std::size_t i = 0; i < 8; ++i) tail[padded - 1 - i] = static_cast<unsigned char>(bits >> 8 * i);
    }
    take_in(state, tails, padded, padded / kBlock);

    for (std::size_t lane = 0; lane < kSha256Lanes; ++lane) {
        for (std::size_t i = 0; i < 32; ++i) {
            digests[lane][i] = static_cast<unsigned char>(state[i / 4][lane] >> (24 - 8 * (i % 4)));
        }
    }
}

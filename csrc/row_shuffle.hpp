// Megatron-LM's shuffle of a mapping: from the last row to the second, each changes places with a row drawn from those
// up to itself, by std::mt19937_64 and a remainder.
//
// The draws do not depend on the rows, so they run ahead of the swaps and the rows they name are asked for in time: a
// mapping is far larger than the caches, and waiting for one row after the other was most of the time of a build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "rng64.hpp"

// word % bound. The quotient comes from floating point, one off at most, and is put right in integers: a division of
// doubles is pipelined and takes a few cycles where that of 64-bit integers takes up to ninety on Intel before Ice Lake
// (on the AMD EPYC of docs/benchmarks.md it makes no difference).
// Why one off at most: the word's eleven lost bits are less than 1/32 of a bound of 2^16, the quotient is below 2^48,
// and three roundings of 2^-53 each move it by less than 1/8.
inline std::uint64_t remainder_of(std::uint64_t word, std::uint64_t bound) {
    if (bound < (std::uint64_t{1} << 16) || bound >= (std::uint64_t{1} << 50)) return word % bound;
    const double reciprocal = 2048.0 / static_cast<double>(static_cast<std::int64_t>(bound));
    const double quotient = static_cast<double>(static_cast<std::int64_t>(word >> 11)) * reciprocal;
    std::uint64_t rest = word - static_cast<std::uint64_t>(static_cast<std::int64_t>(quotient)) * bound;
    rest += static_cast<std::int64_t>(rest) < 0 ? bound : 0;
    return rest - (rest >= bound ? bound : 0);
}

template <std::size_t kColumns, typename Value>
void shuffle_rows(Value* rows, std::size_t count, std::uint64_t seed) {
    constexpr std::size_t kAhead = 32;  // measured: 4 takes twice as long, 16 a tenth longer, 64 and 128 the same
    Words64 random(seed);
    std::size_t partners[kAhead];
    std::size_t drawn = 0;  // of the steps; step s swaps row count-1-s
    const auto draw = [&] {
        const std::size_t partner = remainder_of(random.next(), count - drawn);
        partners[drawn++ % kAhead] = partner;
#if defined(__GNUC__)
        const Value* row = rows + kColumns * partner;
        __builtin_prefetch(row, 1);
        __builtin_prefetch(row + kColumns - 1, 1);  // a row may lie across two lines
#endif
    };
    if (count < 2) return;
    const std::size_t steps = count - 1;
    while (drawn < steps && drawn < kAhead) draw();
    for (std::size_t step = 0; step < steps; ++step) {
        Value* mine = rows + kColumns * (count - 1 - step);
        Value* other = rows + kColumns * partners[step % kAhead];
        Value kept[kColumns];
        std::memcpy(kept, mine, sizeof(kept));
        Value found[kColumns];
        std::memcpy(found, other, sizeof(found));
        std::memcpy(mine, found, sizeof(found));
        std::memcpy(other, kept, sizeof(kept));
        if (drawn < steps) draw();
    }
}

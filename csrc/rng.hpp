// The stream of numpy.random.RandomState(seed): MT19937 with Knuth's 32-bit seeding and numpy's legacy draws.
//
// numpy has frozen this stream for ever, which is what makes it usable as a contract: the kernels that draw from it
// give the same bits as their numpy twins on every platform. No std:: distribution appears, since those may differ
// between standard libraries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

class LegacyRandom {
public:
    explicit LegacyRandom(std::uint32_t seed);

    std::uint32_t next_word() {
        if (position_ == kWords) refill();
        std::uint32_t word = state_[position_++];
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c5680u;
        word ^= (word << 15) & 0xefc60000u;
        return word ^ (word >> 18);
    }

    // random_sample(): 53 bits from two words.
    double next_double() {
        const std::uint32_t high = next_word() >> 5;
        const std::uint32_t low = next_word() >> 6;
        return (high * 67108864.0 + low) / 9007199254740992.0;
    }

    // A draw from [0, largest] by masked rejection; 64-bit words when `largest` needs them, none when it is 0.
    std::uint64_t bounded(std::uint64_t largest) {
        if (largest == 0) return 0;
        std::uint64_t mask = largest;
        for (unsigned shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
        for (;;) {
            std::uint64_t word = next_word();
            if (largest > 0xffffffffu) word = (word << 32) | next_word();
            if ((word & mask) <= largest) return word & mask;
        }
    }

    // RandomState.shuffle of `count` items.
    template <typename Item>
    void shuffle(Item* items, std::size_t count) {
        for (std::size_t last = count; last-- > 1;) std::swap(items[last], items[bounded(last)]);
    }

private:
    void refill();

    static constexpr std::size_t kWords = 624;
    std::array<std::uint32_t, kWords> state_;
    std::size_t position_;
};

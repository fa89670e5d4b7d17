// MT19937 with Knuth's 32-bit seeding: the words of numpy.random.RandomState(seed).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "legacy_draws.hpp"

class LegacyRandom : public LegacyDraws<LegacyRandom> {
public:
    LegacyRandom() : LegacyRandom(0) {}
    explicit LegacyRandom(std::uint32_t seed) { this->seed(seed); }

    void seed(std::uint32_t seed);

    // Seeds each generator with its own seed. Each seeding is a chain of multiplications that wait for one another;
    // four chains side by side take little longer than one (1.5 us instead of 4.3).
    static void seed_four(LegacyRandom* randoms, const std::uint32_t* seeds);

    std::uint32_t next_word() {
        if (position_ == kWords) refill();
        return words_[position_++];
    }

private:
    void refill();

    static constexpr std::size_t kWords = 624;
    static constexpr std::size_t kMiddle = 397;
    std::array<std::uint32_t, kWords> state_;
    std::array<std::uint32_t, kWords> words_;  // the state, tempered: a loop over all of it uses the vector unit
    std::size_t position_ = kWords;
};

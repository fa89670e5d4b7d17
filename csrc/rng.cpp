#include "rng.hpp"

namespace {

std::uint32_t twisted(std::uint32_t high, std::uint32_t low, std::uint32_t middle) {
    const std::uint32_t joined = (high & 0x80000000u) | (low & 0x7fffffffu);
    return middle ^ (joined >> 1) ^ ((0u - (joined & 1u)) & 0x9908b0dfu);
}

std::uint32_t next_of_seeding(std::uint32_t word, std::size_t index) {
    return 1812433253u * (word ^ (word >> 30)) + static_cast<std::uint32_t>(index);
}

}  // namespace

void LegacyRandom::seed(std::uint32_t seed) {
    for (std::size_t i = 0; i < kWords; ++i) {
        state_[i] = seed;
        seed = next_of_seeding(seed, i + 1);
    }
    position_ = kWords;
}

void LegacyRandom::seed_four(LegacyRandom* randoms, const std::uint32_t* seeds) {
    std::uint32_t a = seeds[0], b = seeds[1], c = seeds[2], d = seeds[3];
    for (std::size_t i = 0; i < kWords; ++i) {
        randoms[0].state_[i] = a;
        randoms[1].state_[i] = b;
        randoms[2].state_[i] = c;
        randoms[3].state_[i] = d;
        a = next_of_seeding(a, i + 1);
        b = next_of_seeding(b, i + 1);
        c = next_of_seeding(c, i + 1);
        d = next_of_seeding(d, i + 1);
    }
    for (std::size_t lane = 0; lane < 4; ++lane) randoms[lane].position_ = kWords;
}

// Three loops without wrap-around, each free of dependencies within a vector's length.
void LegacyRandom::refill() {
    std::uint32_t* state = state_.data();
    for (std::size_t i = 0; i < kWords - kMiddle; ++i) {
        state[i] = twisted(state[i], state[i + 1], state[i + kMiddle]);
    }
    for (std::size_t i = kWords - kMiddle; i < kWords - 1; ++i) {
        state[i] = twisted(state[i], state[i + 1], state[i + kMiddle - kWords]);
    }
    state[kWords - 1] = twisted(state[kWords - 1], state[0], state[kMiddle - 1]);
    for (std::size_t i = 0; i < kWords; ++i) {
        std::uint32_t word = state[i];
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c5680u;
        word ^= (word << 15) & 0xefc60000u;
        words_[i] = word ^ (word >> 18);
    }
    position_ = 0;
}

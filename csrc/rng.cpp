#include "rng.hpp"

LegacyRandom::LegacyRandom(std::uint32_t seed) : position_(kWords) {
    for (std::size_t i = 0; i < kWords; ++i) {
        state_[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + static_cast<std::uint32_t>(i) + 1;
    }
}

void LegacyRandom::refill() {
    constexpr std::size_t kMiddle = 397;
    for (std::size_t i = 0; i < kWords; ++i) {
        const std::uint32_t joined = (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7fffffffu);
        state_[i] = state_[(i + kMiddle) % kWords] ^ (joined >> 1) ^ ((joined & 1u) ? 0x9908b0dfu : 0u);
    }
    position_ = 0;
}

// The words of std::mt19937_64, a block at a time.
//
// Same numbers, by the standard's definition. The compilers' own engines make one word after the other (5 ns each, a
// third of a shuffle); these loops have no step that waits for the one before it, so two words are made at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

class Words64 {
public:
    explicit Words64(std::uint64_t seed) {
        state_[0] = seed;
        for (std::size_t i = 1; i < kWords; ++i) {
            state_[i] = 6364136223846793005u * (state_[i - 1] ^ (state_[i - 1] >> 62)) + i;
        }
    }

    std::uint64_t next() {
        if (position_ == kWords) refill();
        return words_[position_++];
    }

private:
    static constexpr std::size_t kWords = 312;
    static constexpr std::size_t kShift = 156;

    static std::uint64_t twisted(std::uint64_t high, std::uint64_t low, std::uint64_t far) {
        const std::uint64_t joined = (high & 0xffffffff80000000u) | (low & 0x7fffffffu);
        return far ^ (joined >> 1) ^ ((0 - (joined & 1)) & 0xb5026f5aa96619e9u);
    }

    void refill() {
        for (std::size_t i = 0; i < kShift; ++i) state_[i] = twisted(state_[i], state_[i + 1], state_[i + kShift]);
        for (std::size_t i = kShift; i < kWords - 1; ++i) {
            state_[i] = twisted(state_[i], state_[i + 1], state_[i - kShift]);
        }
        state_[kWords - 1] = twisted(state_[kWords - 1], state_[0], state_[kShift - 1]);
        for (std::size_t i = 0; i < kWords; ++i) {
            std::uint64_t word = state_[i];
            word ^= (word >> 29) & 0x5555555555555555u;
            word ^= (word << 17) & 0x71d67fffeda60000u;
            word ^= (word << 37) & 0xfff7eee000000000u;
            words_[i] = word ^ (word >> 43);
        }
        position_ = 0;
    }

    std::array<std::uint64_t, kWords> state_;
    std::array<std::uint64_t, kWords> words_;
    std::size_t position_ = kWords;
};

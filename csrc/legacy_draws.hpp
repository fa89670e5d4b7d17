// The draws of numpy.random.RandomState from a stream of 32-bit words, for kernels that must give the same bits.
//
// numpy has frozen this stream for ever, which is what makes it usable as a contract. No std:: distribution appears,
// since those may differ between standard libraries. `Words` derives from LegacyDraws<Words> and has next_word().
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

template <typename Words>
class LegacyDraws {
public:
    // random_sample(): 53 bits from two words.
    double next_double() {
        const std::uint32_t high = words().next_word() >> 5;
        const std::uint32_t low = words().next_word() >> 6;
        return (high * 67108864.0 + low) / 9007199254740992.0;
    }

    // A draw from [0, largest] by masked rejection; 64-bit words when `largest` needs them, none when it is 0.
    std::uint64_t bounded(std::uint64_t largest) {
        if (largest == 0) return 0;
        const std::uint64_t mask = ones_over(largest);
        for (;;) {
            std::uint64_t word = words().next_word();
            if (largest > 0xffffffffu) word = (word << 32) | words().next_word();
            if ((word & mask) <= largest) return word & mask;
        }
    }

    // RandomState.shuffle of `count` items.
    template <typename Item>
    void shuffle(Item* items, std::size_t count) {
        if (count > kWideFrom) {
            for (std::size_t last = count; last-- > kWideFrom;) std::swap(items[last], items[bounded(last)]);
            count = kWideFrom;
        }
        // A rejected word swaps the item with itself: a branch on the outcome would be mispredicted for every third
        // word, which made this loop 2.5 times slower (2.6 us for 510 items instead of 1.0).
        walk(count, [items](std::size_t last, std::size_t drawn) { std::swap(items[last], items[drawn]); });
    }

    // The draws of a shuffle of `count` items, without items.
    void skip_shuffle(std::size_t count) {
        for (; count > kWideFrom; --count) bounded(count - 1);
        walk(count, [](std::size_t, std::size_t) {});
    }

    void skip_doubles(std::size_t count) {
        for (std::size_t i = 0; i < 2 * count; ++i) words().next_word();
    }

private:
    static constexpr std::size_t kWideFrom = std::size_t{1} << 32;  // from here on, 64-bit words are drawn

    static std::uint64_t ones_over(std::uint64_t largest) {
        for (unsigned shift = 1; shift < 64; shift *= 2) largest |= largest >> shift;
        return largest;
    }

    template <typename Swap>
    void walk(std::size_t count, Swap swap) {
        if (count == 0) return;
        for (std::size_t last = count - 1; last > 0;) {
            const std::size_t mask = ones_over(last);
            const std::size_t next_mask = mask >> 1;
            while (last > next_mask) {
                const std::size_t drawn = words().next_word() & mask;
                const bool accepted = drawn <= last;
                swap(last, accepted ? drawn : last);
                last -= accepted;
            }
        }
    }

    Words& words() { return static_cast<Words&>(*this); }
};

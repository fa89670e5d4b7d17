// What the reference's normaliser and pre-tokeniser make of each code point, learned from the reference itself.
//
// Both act code point by code point (the one exception, reordering of marks, is flagged as `survivor` below), so what
// they do to a text is what they do to its code points, put side by side: characters that stay, and breaks between
// words. Tables built from a Unicode database would be wrong: the reference mixes several versions of it. So each code
// point is asked for once, when a text first holds it; a corpus holds a few thousand of the 1.1 million.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

constexpr char kBreak = static_cast<char>(0xff);  // a word break inside an effect; no byte of UTF-8 has this value

// The reference, as the kernel sees it. Every method may be called from any thread, and may throw.
class Reference {
public:
    struct Effect {
        std::string text;       // the normalised characters as UTF-8, with kBreak wherever a word ends
        bool survivor = false;  // holds a mark that stays and that may trade places with another one
    };
    virtual ~Reference() = default;
    virtual Effect learn(std::uint32_t code_point) = 0;
    virtual void encode(const char* begin, const char* end, std::vector<std::int32_t>& ids) = 0;
};

// One effect as the tables hold it: 16 bytes, four to a cache line.
struct LearnedEffect {
    enum State : std::uint8_t {
        kUnknown,
        kPlain,    // characters only
        kBroken,   // characters and breaks
        kTooLong,  // does not fit here: words with this code point go to the reference
    };
    std::atomic<std::uint8_t> state{kUnknown};
    bool survivor = false;
    std::uint8_t size = 0;
    std::uint8_t code_points = 0;  // how many characters, breaks not counted
    char text[12] = {};
};

// Shared by all workers: reading takes no lock, writing one; the reference is never called with the lock held.
class LearnedText {
public:
    explicit LearnedText(Reference& reference) : reference_(reference) {}
    ~LearnedText();
    LearnedText(const LearnedText&) = delete;
    LearnedText& operator=(const LearnedText&) = delete;

    const LearnedEffect& operator[](std::uint32_t code_point) {
        const LearnedEffect* page = pages_[code_point / kPageSize].load(std::memory_order_acquire);
        if (page != nullptr) {
            const LearnedEffect& effect = page[code_point % kPageSize];
            if (effect.state.load(std::memory_order_acquire) != LearnedEffect::kUnknown) return effect;
        }
        return learn(code_point);
    }

private:
    static constexpr std::uint32_t kPageSize = 256;

    const LearnedEffect& learn(std::uint32_t code_point);

    Reference& reference_;
    std::array<std::atomic<LearnedEffect*>, 0x110000 / kPageSize> pages_{};
    std::mutex mutex_;
};

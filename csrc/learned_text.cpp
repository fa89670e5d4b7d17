#include "learned_text.hpp"

LearnedText::~LearnedText() {
    for (std::atomic<LearnedEffect*>& page : pages_) delete[] page.load();
}

const LearnedEffect& LearnedText::learn(std::uint32_t code_point) {
    const Reference::Effect answer = reference_.learn(code_point);
    const std::lock_guard<std::mutex> lock(mutex_);
    std::atomic<LearnedEffect*>& slot = pages_[code_point / kPageSize];
    if (slot.load() == nullptr) slot.store(new LearnedEffect[kPageSize], std::memory_order_release);
    LearnedEffect& effect = slot.load()[code_point % kPageSize];
    // Another thread may have asked the same question meanwhile; its answer is being read already.
    if (effect.state.load() != LearnedEffect::kUnknown) return effect;
    effect.survivor = answer.survivor;
    if (answer.text.size() > sizeof(effect.text)) {
        effect.state.store(LearnedEffect::kTooLong, std::memory_order_release);
        return effect;
    }
    effect.size = static_cast<std::uint8_t>(answer.text.size());
    std::memcpy(effect.text, answer.text.data(), answer.text.size());
    bool broken = false;
    for (const char byte : answer.text) {
        if (byte == kBreak) {
            broken = true;
        } else if ((static_cast<unsigned char>(byte) & 0xc0) != 0x80) {
            ++effect.code_points;
        }
    }
    effect.state.store(broken ? LearnedEffect::kBroken : LearnedEffect::kPlain, std::memory_order_release);
    return effect;
}

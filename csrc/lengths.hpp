// The length of an n-gram from one double: by numpy's `choice` over a cumulative distribution, or by its `geometric`.
#pragma once

#include <cstddef>
#include <vector>

struct MaskingSettings;

class NgramLengths {
public:
    NgramLengths(const MaskingSettings& settings, bool geometric);

    std::size_t of(double uniform) const {
        if (!geometric_) return by_choice(uniform);
        std::size_t length = 1;
        bool near = false;
        for (const double bound : bounds_) {
            length += uniform > bound;
            const double distance = uniform - bound;
            near |= distance < kDoubt && distance > -kDoubt;
        }
        // log1p costs more than the rest of a word's work, so the bounds between lengths are computed once; where
        // rounding could decide, and beyond the bounds that are kept, the formula does.
        if (near || (length > bounds_.size() && length < max_ngrams_)) return by_formula(uniform);
        return length;
    }

private:
    std::size_t by_choice(double uniform) const {
        if (cumulative_.size() > kFewLengths) return by_search(uniform);
        std::size_t length = 1;
        for (const double bound : cumulative_) length += uniform >= bound;
        return length;
    }
    std::size_t by_search(double uniform) const;
    std::size_t by_formula(double uniform) const;

    static constexpr double kDoubt = 1e-9;
    static constexpr std::size_t kFewLengths = 16;

    bool geometric_;
    std::size_t max_ngrams_;
    std::vector<double> cumulative_;
    std::vector<double> bounds_;
};

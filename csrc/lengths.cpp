#include "lengths.hpp"

#include <algorithm>
#include <cmath>

#include "masking.hpp"

namespace {

constexpr double kContinuation = 0.2;

}  // namespace

NgramLengths::NgramLengths(const MaskingSettings& settings, bool geometric)
    : geometric_(geometric), max_ngrams_(settings.max_ngrams), cumulative_(settings.cumulative) {
    if (!geometric) return;
    for (std::size_t length = 1; length < std::min(max_ngrams_, kFewLengths); ++length) {
        bounds_.push_back(1.0 - std::pow(1.0 - kContinuation, static_cast<double>(length)));
    }
}

std::size_t NgramLengths::by_search(double uniform) const {
    return static_cast<std::size_t>(std::upper_bound(cumulative_.begin(), cumulative_.end(), uniform) - cumulative_.begin()) + 1;
}

std::size_t NgramLengths::by_formula(double uniform) const {
    const double length = std::ceil(std::log1p(-uniform) / std::log(1.0 - kContinuation));
    if (!(length > 1.0)) return 1;
    return length < static_cast<double>(max_ngrams_) ? static_cast<std::size_t>(length) : max_ngrams_;
}

#include "masking.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "numpy_random.hpp"

double masking_budget(std::size_t length, double probability, double max_predictions) {
    const double share = std::nearbyint(static_cast<double>(length) * probability);
    return std::min(max_predictions, std::max(1.0, share));
}

void Masker::find_words(const std::int32_t* tokens, const std::uint8_t* starts, std::size_t count) {
    places_.resize(count);
    first_.resize(count + 1);
    std::size_t places = 0, words = 0;
    for (std::size_t place = 0; place < count; ++place) {
        const bool special = tokens[place] == settings_.cls_id || tokens[place] == settings_.sep_id;
        const bool joins = settings_.whole_words && !starts[place] && words > 0;
        places_[places] = static_cast<std::int32_t>(place);
        first_[words] = joins || special ? first_[words] : static_cast<std::int32_t>(places);
        words += !special && !joins;
        places += !special;
    }
    places_.resize(places);
    first_.resize(words + 1);
    first_[words] = static_cast<std::int32_t>(places);
}

// N-grams that start at the words of order_, one length drawn a word, until the budget is reached.
template <typename Random, typename Take>
std::size_t Masker::choose(const NgramLengths& lengths, double budget, Random& random, Take take) {
    const std::size_t words = order_.size();
    std::size_t chosen = 0;
    for (std::size_t done = 0; done < words; ++done) {
        if (static_cast<double>(chosen) >= budget) break;
        if (static_cast<double>(chosen + 1) > budget) {  // nothing fits any more, yet each word consumes its draw
            random.skip_doubles(words - done);
            break;
        }
        const auto word = static_cast<std::size_t>(order_[done]);
        const std::size_t length = lengths.of(random.next_double());
        const auto begin = static_cast<std::size_t>(first_[word]);
        std::size_t end_word = std::min(word + length, words);
        while (end_word > word && static_cast<double>(chosen + static_cast<std::size_t>(first_[end_word]) - begin) > budget) {
            --end_word;
        }
        if (end_word == word) continue;
        std::uint8_t covered = 0;
        for (std::size_t i = word; i < end_word; ++i) covered |= covered_[i];
        if (covered) continue;
        for (std::size_t i = word; i < end_word; ++i) covered_[i] = 1;
        const auto end = static_cast<std::size_t>(first_[end_word]);
        chosen += end - begin;
        take(begin, end);
    }
    return chosen;
}

// What the model sees of an n-gram: [MASK] for eight in ten of its tokens, the token itself for one, any id for one.
template <typename Random>
void Masker::show(std::size_t begin, std::size_t end, Random& random, std::int32_t* output) {
    for (std::size_t i = begin; i < end; ++i) {
        const std::int32_t place = places_[i];
        if (settings_.always_mask || random.next_double() < 0.8) {
            output[place] = settings_.mask_id;
        } else if (random.next_double() >= 0.5) {
            const std::uint64_t drawn = random.bounded(settings_.vocabulary_size - 1);
            output[place] = settings_.vocabulary.empty() ? static_cast<std::int32_t>(drawn) : settings_.vocabulary[drawn];
            replaced_.push_back(place);
        }
    }
}

template <typename Random>
void Masker::permute(Random& random, std::int32_t* output) {
    targets_.clear();
    for (const Span& span : moved_) {
        for (std::int32_t i = span.begin; i < span.end; ++i) targets_.push_back(places_[static_cast<std::size_t>(i)]);
    }
    std::sort(targets_.begin(), targets_.end());
    sources_ = targets_;
    random.shuffle(sources_.data(), sources_.size());
    before_.resize(sources_.size());
    for (std::size_t i = 0; i < sources_.size(); ++i) before_[i] = output[sources_[i]];
    for (std::size_t i = 0; i < targets_.size(); ++i) output[targets_[i]] = before_[i];
}

template <typename Random, typename PermutationRandom>
void Masker::mask(const std::int32_t* tokens, const std::uint8_t* starts, std::size_t count, double budget,
                  Random& random, PermutationRandom& permutation_random, bool leave_stream, std::int32_t* output) {
    std::copy(tokens, tokens + count, output);
    find_words(tokens, starts, count);
    predicted_.assign(places_.size(), 0);
    predicted_count_ = 0;
    spans_.clear();
    replaced_.clear();
    if (settings_.probability == 0) return;
    const std::size_t words = first_.size() - 1;
    order_.resize(words);
    std::iota(order_.begin(), order_.end(), 0);
    covered_.assign(words, 0);
    random.shuffle(order_.data(), words);
    const auto remember = [this](std::vector<Span>& spans, std::size_t begin, std::size_t end) {
        spans.push_back({static_cast<std::int32_t>(begin), static_cast<std::int32_t>(end)});
        std::fill(predicted_.begin() + static_cast<std::ptrdiff_t>(begin), predicted_.begin() + static_cast<std::ptrdiff_t>(end),
                  std::uint8_t{1});
    };
    predicted_count_ = choose(lengths_, budget, random, [&](std::size_t begin, std::size_t end) {
        remember(spans_, begin, end);
        show(begin, end, random, output);
    });
    if (!settings_.permute) {
        if (leave_stream) random.skip_shuffle(words);
        return;
    }
    random.shuffle(order_.data(), words);
    moved_.clear();
    predicted_count_ += choose(choices_, budget, permutation_random,
                               [&](std::size_t begin, std::size_t end) { remember(moved_, begin, end); });
    permute(random, output);
}

void Masker::sort_spans() {
    std::sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
}

template void Masker::mask(const std::int32_t*, const std::uint8_t*, std::size_t, double, LegacyRandom&, LegacyRandom&,
                           bool, std::int32_t*);
template void Masker::mask(const std::int32_t*, const std::uint8_t*, std::size_t, double, NumpyRandom&, NumpyRandom&,
                           bool, std::int32_t*);

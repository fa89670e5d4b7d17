// Megatron-LM's create_masked_lm_predictions on one sequence of tokens; maskgen/masking/reference.py is its definition.
//
// Data flow: words (runs of places) are found; their order is shuffled; n-grams of words that fit the budget and do
// not overlap are masked, or moved. A Masker keeps its memory from sequence to sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lengths.hpp"
#include "rng.hpp"

struct MaskingSettings {
    std::int32_t cls_id = 0;
    std::int32_t sep_id = 0;
    std::int32_t mask_id = 0;
    double probability = 0.15;
    std::size_t max_ngrams = 3;
    bool whole_words = true;
    bool permute = false;
    bool geometric = false;
    bool always_mask = false;  // the style of T5: no 80/10/10
    std::vector<double> cumulative;         // of the lengths of n-grams, as numpy computes it
    std::uint64_t vocabulary_size = 0;      // how many ids may replace a token
    std::vector<std::int32_t> vocabulary;   // these ids; empty: the number that was drawn is the id
};

// min(max_predictions, max(1, round half to even of length * probability)): a number, not a whole one.
double masking_budget(std::size_t length, double probability, double max_predictions);

class Masker {
public:
    struct Span {
        std::int32_t begin, end;  // into places()
    };

    explicit Masker(const MaskingSettings& settings)
        : settings_(settings), lengths_(settings, settings.geometric), choices_(settings, false) {}

    // Masks `count` tokens into `output`. `starts` says for each token whether its piece starts a word. The second
    // shuffle, which only a permutation uses, is drawn if `leave_stream` or a permutation wants it.
    template <typename Random, typename PermutationRandom>
    void mask(const std::int32_t* tokens, const std::uint8_t* starts, std::size_t count, double budget, Random& random,
              PermutationRandom& permutation_random, bool leave_stream, std::int32_t* output);

    // Of the last sequence: the places of all words in order, and for each whether its token is to be predicted.
    const std::vector<std::int32_t>& places() const { return places_; }
    const std::vector<std::uint8_t>& predicted() const { return predicted_; }
    std::size_t predicted_count() const { return predicted_count_; }
    const std::vector<Span>& spans() const { return spans_; }            // the n-grams as they were chosen
    const std::vector<std::int32_t>& replaced() const { return replaced_; }  // where a drawn id stands in the output

    void sort_spans();

private:
    void find_words(const std::int32_t* tokens, const std::uint8_t* starts, std::size_t count);

    template <typename Random, typename Take>
    std::size_t choose(const NgramLengths& lengths, double budget, Random& random, Take take);

    template <typename Random>
    void show(std::size_t begin, std::size_t end, Random& random, std::int32_t* output);

    template <typename Random>
    void permute(Random& random, std::int32_t* output);

    const MaskingSettings& settings_;
    NgramLengths lengths_;
    NgramLengths choices_;
    std::vector<std::int32_t> places_;
    std::vector<std::int32_t> first_;  // word w is places first_[w] to first_[w + 1]
    std::vector<std::int32_t> order_;
    std::vector<std::uint8_t> covered_;    // by word
    std::vector<std::uint8_t> predicted_;  // by index into places_
    std::vector<Span> spans_;
    std::vector<Span> moved_;
    std::vector<std::int32_t> replaced_;
    std::vector<std::int32_t> targets_;
    std::vector<std::int32_t> sources_;
    std::vector<std::int32_t> before_;
    std::size_t predicted_count_ = 0;
};

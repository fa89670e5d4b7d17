#include "samples.hpp"

#include <algorithm>

#include "rng.hpp"

namespace {

// The tokens of sentences first to last, behind one another. False if one is not in the vocabulary.
bool read_sentences(const TokenSource& source, std::size_t first, std::size_t last, std::int64_t vocabulary,
                    std::vector<std::int32_t>& tokens) {
    bool inside = true;
    tokens.clear();
    for (std::size_t sentence = first; sentence < last; ++sentence) {
        const std::size_t start = tokens.size(), length = source.length(sentence);
        tokens.resize(start + length);
        inside &= source.read(sentence, 0, length, vocabulary, tokens.data() + start);
    }
    return inside;
}

std::size_t tokens_in(const TokenSource& source, std::size_t first, std::size_t last) {
    std::size_t count = 0;
    for (std::size_t sentence = first; sentence < last; ++sentence) count += source.length(sentence);
    return count;
}

void look_up(const std::vector<std::uint8_t>& table, const std::vector<std::int32_t>& tokens,
             std::vector<std::uint8_t>& values) {
    values.resize(tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) values[i] = table[static_cast<std::size_t>(tokens[i])];
}

struct Range {
    std::size_t begin, end;
    std::size_t size() const { return end - begin; }
};

// Drops tokens, one at a time, from either end of the longer side until both together fit.
void shorten(Range& a, Range& b, std::size_t target, LegacyRandom& random) {
    while (a.size() + b.size() > target) {
        Range& longer = a.size() > b.size() ? a : b;
        if (random.next_double() < 0.5) {
            ++longer.begin;
        } else {
            --longer.end;
        }
    }
}

}  // namespace

bool MaskedRows::write(std::size_t row, const std::vector<std::int32_t>& tokens, double max_predictions,
                       LegacyRandom& random) {
    const std::size_t count = tokens.size();
    if (count > fields_.text.columns) return false;
    look_up(settings_.starts, tokens, starts_);
    shown_.resize(count);
    const double budget = masking_budget(count, settings_.masking.probability, max_predictions);
    masker_.mask(tokens.data(), starts_.data(), count, budget, random, random, leave_stream_, shown_.data());
    if (masker_.predicted_count() > fields_.packed.positions.columns) return false;

    labels_.assign(count, -1);
    loss_mask_.assign(count, 0);
    positions_.clear();
    predicted_.clear();
    const std::vector<std::int32_t>& places = masker_.places();
    for (std::size_t i = 0; i < places.size(); ++i) {
        if (!masker_.predicted()[i]) continue;
        const auto place = static_cast<std::size_t>(places[i]);
        labels_[place] = tokens[place];
        loss_mask_[place] = 1;
        positions_.push_back(places[i]);
        predicted_.push_back(tokens[place]);
    }
    fields_.text.store(row, shown_.data(), count, settings_.pad_id);
    fields_.labels.store(row, labels_.data(), count, -1);
    fields_.loss_mask.store(row, loss_mask_.data(), count, 0);
    const auto base = static_cast<std::int64_t>(row * fields_.text.columns);
    fields_.packed.positions.store_raised(row, positions_.data(), positions_.size(), base);
    fields_.packed.labels.store_raised(row, predicted_.data(), predicted_.size(), 0);
    return true;
}

bool PlainRows::build(std::size_t row, LegacyRandom& random) {
    const PlainRow& plain = rows_[row];
    tokens_.resize(plain.length);
    if (!copy_(plain.tokens, plain.length, settings_.vocabulary(), tokens_.data())) return false;
    return masked_.write(row, tokens_, plain.max_predictions, random);
}

bool BertRows::build(std::size_t row, LegacyRandom& random) {
    const SampleRow& sample = rows_[row];
    const std::size_t sentences = sample.last - sample.first;
    std::size_t pivot = sentences;
    bool swapped = false;
    if (settings_.binary_head) {
        if (sentences < 2) return false;
        pivot = sentences >= 3 ? 1 + random.bounded(sentences - 2) : 1;
        swapped = random.next_double() < 0.5;
    }
    // The text in the order of the document; A and B are ranges of it.
    if (!read_sentences(source_, sample.first, sample.last, settings_.vocabulary(), text_)) return false;
    const std::size_t middle = tokens_in(source_, sample.first, sample.first + pivot);
    Range a{0, middle}, b{middle, text_.size()};
    if (swapped) std::swap(a, b);
    const bool truncated = a.size() + b.size() > sample.target;
    shorten(a, b, sample.target, random);

    tokens_.clear();
    const auto append = [this](const Range& range) {
        tokens_.insert(tokens_.end(), text_.begin() + static_cast<std::ptrdiff_t>(range.begin),
                       text_.begin() + static_cast<std::ptrdiff_t>(range.end));
        tokens_.push_back(settings_.masking.sep_id);
    };
    tokens_.push_back(settings_.masking.cls_id);
    append(a);
    const std::size_t second = tokens_.size();
    if (b.size() > 0) append(b);
    const double max_predictions = settings_.masking.probability * static_cast<double>(sample.target);
    if (!masked_.write(row, tokens_, max_predictions, random)) return false;

    types_.assign(tokens_.size(), 0);
    std::fill(types_.begin() + static_cast<std::ptrdiff_t>(second), types_.end(), 1);
    ones_.assign(tokens_.size(), 1);
    fields_.types.store(row, types_.data(), types_.size(), settings_.pad_id);
    fields_.padding_mask.store(row, ones_.data(), ones_.size(), 0);
    fields_.is_random.store_one(row, swapped);
    fields_.truncated.store_one(row, truncated);
    fields_.lengths.store_one(row, static_cast<std::int64_t>(tokens_.size()));
    return true;
}

// From masked spans to the encoder's text, the decoder's input and its labels. False if sentinels run out.
bool T5Rows::put_sentinels() {
    encoder_.clear();
    decoder_.assign(1, settings_.bos_id);
    decoder_labels_.clear();
    std::size_t used = 0, copied = 0;
    const std::vector<std::int32_t>& places = masker_.places();
    for (const Masker::Span& span : masker_.spans()) {
        for (std::int32_t i = span.begin; i < span.end; ++i) {
            const auto place = static_cast<std::size_t>(places[static_cast<std::size_t>(i)]);
            if (i == span.begin || place != copied) {  // a span, or what follows a [CLS] or [SEP] inside it
                if (used == settings_.sentinels.size()) return false;
                const std::int32_t sentinel = settings_.sentinels[used++];
                encoder_.insert(encoder_.end(), shown_.begin() + static_cast<std::ptrdiff_t>(copied),
                                shown_.begin() + static_cast<std::ptrdiff_t>(place));
                encoder_.push_back(sentinel);
                decoder_.push_back(sentinel);
                decoder_labels_.push_back(sentinel);
            }
            decoder_.push_back(tokens_[place]);
            decoder_labels_.push_back(tokens_[place]);
            copied = place + 1;
        }
    }
    encoder_.insert(encoder_.end(), shown_.begin() + static_cast<std::ptrdiff_t>(copied), shown_.end());
    decoder_labels_.push_back(settings_.eos_id);
    return true;
}

bool T5Rows::build(std::size_t row, LegacyRandom& random) {
    const SampleRow& sample = rows_[row];
    if (!read_sentences(source_, sample.first, sample.last, settings_.vocabulary(), tokens_)) return false;
    const bool truncated = tokens_.size() > sample.target;
    if (truncated) tokens_.resize(sample.target);
    look_up(settings_.starts, tokens_, starts_);
    shown_.resize(tokens_.size());
    const double probability = settings_.masking.probability;
    const double budget = masking_budget(tokens_.size(), probability, probability * static_cast<double>(sample.target));
    masker_.mask(tokens_.data(), starts_.data(), tokens_.size(), budget, random, random, leave_stream_, shown_.data());
    masker_.sort_spans();
    if (!put_sentinels()) return false;
    if (encoder_.size() > fields_.text_enc.columns || decoder_.size() > fields_.text_dec.columns) return false;

    const std::size_t decoded = decoder_labels_.size();
    ones_.assign(std::max(encoder_.size(), decoded), 1);
    fields_.text_enc.store(row, encoder_.data(), encoder_.size(), settings_.pad_id);
    fields_.padding_mask.store(row, ones_.data(), encoder_.size(), 0);
    fields_.text_dec.store(row, decoder_.data(), decoder_.size(), settings_.pad_id);
    fields_.labels.store(row, decoder_labels_.data(), decoded, -1);
    fields_.loss_mask.store(row, ones_.data(), decoded, 0);
    fields_.truncated.store_one(row, truncated);
    fields_.lengths.store_one(row, static_cast<std::int64_t>(encoder_.size()));
    fields_.lengths_dec.store_one(row, static_cast<std::int64_t>(decoder_.size()));
    positions_.resize(decoded);
    for (std::size_t i = 0; i < decoded; ++i) positions_[i] = static_cast<std::int32_t>(i);
    const auto base = static_cast<std::int64_t>(row * fields_.text_dec.columns);
    fields_.packed.positions.store_raised(row, positions_.data(), decoded, base);
    fields_.packed.labels.store_raised(row, decoder_labels_.data(), decoded, 0);
    return true;
}

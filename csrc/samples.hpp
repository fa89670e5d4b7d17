// Samples for BERT and T5, a row of a batch each; maskgen/samples has the definition of every draw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "batch.hpp"
#include "masking.hpp"
#include "token_source.hpp"

struct SampleSettings {
    MaskingSettings masking;
    std::vector<std::uint8_t> starts;  // by id: whether its piece starts a word
    std::int32_t pad_id = 0;
    std::int32_t bos_id = 0;
    std::int32_t eos_id = 0;
    std::vector<std::int32_t> sentinels;
    bool binary_head = true;

    std::int64_t vocabulary() const { return static_cast<std::int64_t>(starts.size()); }
};

// One row of a sample mapping: sentences first to last (not included), and how many of their tokens a sample has.
struct SampleRow {
    std::size_t first;
    std::size_t last;
    std::size_t target;
};

// Masks a row of tokens and writes what BERT's samples and plain rows have in common.
struct MaskedFields {
    Field text, labels, loss_mask;
    PackedPredictions packed;
};

class MaskedRows {
public:
    MaskedRows(const SampleSettings& settings, const MaskedFields& fields, bool leave_stream)
        : settings_(settings), fields_(fields), leave_stream_(leave_stream), masker_(settings.masking) {}

    bool write(std::size_t row, const std::vector<std::int32_t>& tokens, double max_predictions, LegacyRandom& random);
    std::size_t predictions() const { return masker_.predicted_count(); }

private:
    const SampleSettings& settings_;
    const MaskedFields& fields_;
    bool leave_stream_;
    Masker masker_;
    std::vector<std::uint8_t> starts_;
    std::vector<std::int32_t> shown_, labels_, loss_mask_, positions_, predicted_;
};

struct BertFields {
    MaskedFields masked;
    Field types, padding_mask, is_random, truncated, lengths;
};

class BertRows : public RowBuilder {
public:
    BertRows(const SampleSettings& settings, const TokenSource& source, const std::vector<SampleRow>& rows,
             const BertFields& fields, bool leave_stream)
        : settings_(settings), source_(source), rows_(rows), fields_(fields), masked_(settings, fields.masked, leave_stream) {}

    bool build(std::size_t row, LegacyRandom& random) override;
    std::size_t predictions() const override { return masked_.predictions(); }

private:
    const SampleSettings& settings_;
    const TokenSource& source_;
    const std::vector<SampleRow>& rows_;
    const BertFields& fields_;
    MaskedRows masked_;
    std::vector<std::int32_t> text_, tokens_, types_, ones_;
};

struct T5Fields {
    Field text_enc, padding_mask, text_dec, labels, loss_mask, truncated, lengths, lengths_dec;
    PackedPredictions packed;
};

class T5Rows : public RowBuilder {
public:
    T5Rows(const SampleSettings& settings, const TokenSource& source, const std::vector<SampleRow>& rows,
           const T5Fields& fields, bool leave_stream)
        : settings_(settings),
          source_(source),
          rows_(rows),
          fields_(fields),
          leave_stream_(leave_stream),
          masker_(settings.masking) {}

    bool build(std::size_t row, LegacyRandom& random) override;
    std::size_t predictions() const override { return decoder_labels_.size(); }

private:
    bool put_sentinels();

    const SampleSettings& settings_;
    const TokenSource& source_;
    const std::vector<SampleRow>& rows_;
    const T5Fields& fields_;
    bool leave_stream_;
    Masker masker_;
    std::vector<std::uint8_t> starts_;
    std::vector<std::int32_t> tokens_, shown_, encoder_, decoder_, decoder_labels_, ones_, positions_;
};

// Rows of tokens as they are, for callers with batches of their own.
struct PlainRow {
    const void* tokens;
    std::size_t length;
    double max_predictions;
};

class PlainRows : public RowBuilder {
public:
    PlainRows(const SampleSettings& settings, CopyIds copy, const std::vector<PlainRow>& rows, const MaskedFields& fields,
              bool leave_stream)
        : settings_(settings), copy_(copy), rows_(rows), masked_(settings, fields, leave_stream) {}

    bool build(std::size_t row, LegacyRandom& random) override;
    std::size_t predictions() const override { return masked_.predictions(); }

private:
    const SampleSettings& settings_;
    CopyIds copy_;
    const std::vector<PlainRow>& rows_;
    MaskedRows masked_;
    std::vector<std::int32_t> tokens_;
};

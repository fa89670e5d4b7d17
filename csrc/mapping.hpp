// Sample mappings over documents of sentences, as Megatron-LM defines them; maskgen/mapping/reference.py is the twin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "loose.hpp"
#include "row_buffer.hpp"

// Documents of sentences: document d is sentences documents[d] to documents[d+1]. The constructor refuses, as
// std::invalid_argument, what would lead outside the arrays, and learns where the long sentences are.
class Sentences {
public:
    Sentences(const Loose<std::int64_t>* boundaries, std::size_t boundary_count, const Loose<std::int32_t>* sizes,
              std::size_t size_count);

    std::size_t documents() const { return boundary_count_ == 0 ? 0 : boundary_count_ - 1; }
    std::int64_t begin_of(std::size_t document) const { return boundaries_[document]; }
    std::int64_t end_of(std::size_t document) const { return boundaries_[document + 1]; }
    std::int32_t size(std::int64_t sentence) const { return sizes_[sentence]; }
    bool any_long(std::int64_t begin, std::int64_t end) const;
    // Rows of an epoch when each has at least `sentences` sentences, or is all of its document.
    std::uint64_t most_rows(std::uint64_t sentences) const;

private:
    // Most documents lie in blocks without a long sentence: they are not looked at again, in any epoch.
    static constexpr std::size_t kBlock = 256;

    const Loose<std::int64_t>* boundaries_;
    std::size_t boundary_count_;
    const Loose<std::int32_t>* sizes_;
    std::vector<std::uint8_t> long_in_block_;
};

struct Repetition {
    std::uint64_t num_epochs;
    std::uint64_t max_num_samples;  // tested where an epoch begins
    std::uint64_t memory_limit;     // bytes
};

struct MappingSettings {
    std::uint32_t max_seq_length;
    double short_seq_prob;
    std::uint32_t seed;
    std::uint64_t min_num_sent;
};

struct BlockSettings {
    std::uint32_t max_seq_length;
    std::uint32_t seed;
    bool use_one_sent_blocks;
};

// (first sentence, one past the last, target length)
template <typename Value>
using MappingRows = RowBuffer<Value, 3>;
template <typename Value>
void build_mapping(const Sentences& sentences, const Repetition& repetition, const MappingSettings& settings,
                   MappingRows<Value>& rows);

// (first sentence, one past the last, document, block)
template <typename Value>
using BlockRows = RowBuffer<Value, 4>;
template <typename Value>
void build_blocks_mapping(const Sentences& sentences, const Loose<std::int32_t>* title_sizes,
                          const Repetition& repetition, const BlockSettings& settings, BlockRows<Value>& rows);

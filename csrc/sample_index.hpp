// Samples of a fixed length over documents laid end to end (GPT, packed BERT), as Megatron-LM's build_sample_idx walks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "loose.hpp"

struct SampleLength {
    std::int64_t tokens;
    std::int64_t extra;  // 0 or 1: tokens at the end that the next sample begins with
};

// Tokens of all documents together. std::invalid_argument for one that does not exist or has a negative size.
template <typename Size, typename Index>
std::int64_t count_tokens(const Loose<Size>* sizes, std::size_t size_count, const Loose<Index>* documents,
                          std::size_t count) {
    std::int64_t total = 0;
    for (std::size_t place = 0; place < count; ++place) {
        const auto document = static_cast<std::int64_t>(documents[place].value);
        if (document < 0 || document >= static_cast<std::int64_t>(size_count)) {
            throw std::invalid_argument("document_idx[" + std::to_string(place) + "] is " + std::to_string(document) +
                                        "; a document is expected, 0 to " +
                                        std::to_string(static_cast<std::int64_t>(size_count) - 1));
        }
        const auto size = static_cast<std::int64_t>(sizes[document].value);
        if (size < 0) {
            throw std::invalid_argument("sizes[" + std::to_string(document) + "] is " + std::to_string(size) +
                                        "; a document has 0 tokens or more");
        }
        if (size > INT64_MAX - total) throw std::invalid_argument("sizes add up to more than 2^63 - 1 tokens");
        total += size;
    }
    return total;
}

// Fills samples + 1 rows of (position in documents, offset in that document).
template <typename Size, typename Index, typename Out>
void build_sample_index(const Loose<Size>* sizes, const Loose<Index>* documents, std::size_t count,
                        SampleLength sample, std::int64_t samples, Out* rows) {
    std::size_t position = 0;
    std::int64_t offset = 0;
    rows[0] = rows[1] = 0;
    for (std::int64_t number = 1; number <= samples; ++number) {
        std::int64_t needed = sample.tokens + sample.extra;
        for (;;) {
            const auto size = static_cast<std::int64_t>(sizes[documents[position].value].value);
            if (size - offset >= needed) {
                offset += needed - sample.extra;
                break;
            }
            needed -= size - offset;
            if (position + 1 == count) {  // the last sample, and a partial one
                offset = size - sample.extra;
                break;
            }
            ++position;
            offset = 0;
        }
        rows[2 * number] = static_cast<Out>(position);
        rows[2 * number + 1] = static_cast<Out>(offset);
    }
}

// Pieces of documents, read from a dataset's memory map, to rows of tokens. maskgen/rows/gather.py has the definition.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "batch.hpp"
#include "token_source.hpp"

// All tokens of a dataset, at any address.
struct TokenRun {
    const unsigned char* data;
    std::size_t width;  // bytes of a token
    CopyIds copy;
};

struct RowPieces {
    const std::int64_t* row_starts;  // rows + 1: the first piece of each row
    std::size_t rows;
    const std::int64_t* starts;      // by piece: the first token
    const std::int64_t* counts;      // by piece: how many tokens
    const std::uint8_t* specials;    // by piece: which of the special ids stand around them
};

// What may stand before a piece (the first two) and after it, in this order; bit i of `specials` is for id i.
using SpecialIds = std::array<std::int32_t, 4>;

struct RowFields {
    Field tokens;
    Field lengths;
    Field document_ids;  // absent where nobody asked for it
    Field positions;
};

inline std::int64_t special_count(std::uint8_t bits) { return __builtin_popcount(bits & 15U); }

// Fills the rows with that many threads. Every row is known to fit, and every piece to be inside the tokens. Returns
// the first piece with a token outside 0 to 2^31 - 1, or -1.
std::int64_t gather_rows(const TokenRun& tokens, const RowPieces& pieces, const SpecialIds& ids, std::int32_t pad_id,
                         const RowFields& fields, std::size_t threads);

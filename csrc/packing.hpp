// Which pieces of documents share a row: whole documents, and windows of those that are longer than a row.
//
// maskgen/rows/packing.py has the definition. Memory is linear in the pieces, and time too but for the logarithm (to
// base 64) of the row's length, the height of the tree of free spaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

enum class PackingStrategy { alone, sequential, best_fit };

struct PackingSettings {
    std::int64_t seq_length;  // entries of a row
    std::int64_t specials;    // entries of each piece that are special tokens, fewer than a row has
    bool split_long;          // false: only the first window of a long document is kept
    PackingStrategy strategy;
};

struct PackedRows {
    std::vector<std::int64_t> pieces;      // (place of the document, offset in it), in the order of rows
    std::vector<std::int64_t> row_starts;  // the first piece of each row, and the number of all pieces
};

// std::invalid_argument for a negative size.
std::size_t count_pieces(const std::int64_t* sizes, std::size_t count, const PackingSettings& settings);
PackedRows pack(const std::int64_t* sizes, std::size_t count, const PackingSettings& settings);

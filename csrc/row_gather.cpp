#include "row_gather.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "shares.hpp"

namespace {

constexpr std::int64_t kMostIds = (std::int64_t{1} << 31) - 1;  // what a CopyIds can be asked for: ids below it

// One row at a time, in a buffer that stays in the cache.
class RowWriter {
public:
    RowWriter(const TokenRun& tokens, const RowPieces& pieces, const SpecialIds& ids, std::int32_t pad_id, const RowFields& fields)
        : tokens_(tokens), pieces_(pieces), ids_(ids), pad_id_(pad_id), fields_(fields), row_(fields.tokens.columns) {
        if (fields.document_ids.data != nullptr) {
            numbers_.resize(row_.size());
            positions_.resize(row_.size());
        }
    }

    // Returns the piece that could not be read, or -1.
    std::int64_t write(std::size_t row) {
        const std::int64_t first = pieces_.row_starts[row], last = pieces_.row_starts[row + 1];
        std::size_t length = 0;
        for (std::int64_t piece = first; piece < last; ++piece) {
            const std::size_t begin = length;
            if (!append(static_cast<std::size_t>(piece), length)) return piece;
            if (numbers_.empty()) continue;
            std::fill(numbers_.data() + begin, numbers_.data() + length, static_cast<std::int32_t>(piece - first));
            std::int32_t position = 0;
            for (std::size_t i = begin; i < length; ++i) positions_[i] = position++;
        }
        fields_.tokens.store(row, row_.data(), length, pad_id_);
        fields_.lengths.store_one(row, static_cast<std::int64_t>(length));
        if (!numbers_.empty()) {
            fields_.document_ids.store(row, numbers_.data(), length, -1);
            fields_.positions.store(row, positions_.data(), length, 0);
        }
        return -1;
    }

private:
    bool append(std::size_t piece, std::size_t& length) {
        const std::uint8_t bits = pieces_.specials[piece];
        if (bits & 1U) row_[length++] = ids_[0];
        if (bits & 2U) row_[length++] = ids_[1];
        const auto count = static_cast<std::size_t>(pieces_.counts[piece]);
        const unsigned char* from = tokens_.data + static_cast<std::size_t>(pieces_.starts[piece]) * tokens_.width;
        if (count != 0 && !tokens_.copy(from, count, kMostIds, row_.data() + length)) return false;
        length += count;
        if (bits & 4U) row_[length++] = ids_[2];
        if (bits & 8U) row_[length++] = ids_[3];
        return true;
    }

    const TokenRun& tokens_;
    const RowPieces& pieces_;
    const SpecialIds& ids_;
    std::int32_t pad_id_;
    const RowFields& fields_;
    std::vector<std::int32_t> row_, numbers_, positions_;
};

}  // namespace

std::int64_t gather_rows(const TokenRun& tokens, const RowPieces& pieces, const SpecialIds& ids, std::int32_t pad_id,
                         const RowFields& fields, std::size_t threads) {
    std::atomic<std::int64_t> failed{INT64_MAX};
    in_shares(pieces.rows, threads, [&](std::size_t begin, std::size_t end) {
        RowWriter writer(tokens, pieces, ids, pad_id, fields);
        for (std::size_t row = begin; row < end; ++row) {
            const std::int64_t piece = writer.write(row);
            if (piece < 0) continue;
            std::int64_t known = failed.load();
            while (piece < known && !failed.compare_exchange_weak(known, piece)) {
            }
            return;
        }
    });
    return failed.load() == INT64_MAX ? -1 : failed.load();
}

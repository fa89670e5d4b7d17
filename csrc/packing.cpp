#include "packing.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace {

std::int64_t windows_of(std::int64_t size, std::int64_t room, bool split_long) {
    if (size <= room || !split_long) return size > 0;
    return (size - 1) / room + 1;
}

// A set of numbers below a limit, as bits; each bit of a level says whether a word of the level below has any.
class NumberSet {
public:
    explicit NumberSet(std::size_t limit) {
        do {
            limit = limit / 64 + 1;
            levels_.emplace_back(limit, 0);
        } while (limit > 1);
    }

    void insert(std::size_t number) {
        for (auto& level : levels_) {
            level[number / 64] |= std::uint64_t{1} << (number % 64);
            number /= 64;
        }
    }

    void erase(std::size_t number) {
        for (auto& level : levels_) {
            level[number / 64] &= ~(std::uint64_t{1} << (number % 64));
            if (level[number / 64] != 0) return;
            number /= 64;
        }
    }

    // The smallest member from `least` on, or `none`.
    std::size_t next(std::size_t least, std::size_t none) const {
        for (std::size_t height = 0; height < levels_.size(); ++height) {
            if (least / 64 >= levels_[height].size()) return none;
            const std::uint64_t bits = levels_[height][least / 64] >> (least % 64);
            if (bits != 0) {
                std::size_t found = least + static_cast<std::size_t>(__builtin_ctzll(bits));
                while (height > 0) {
                    --height;
                    found = found * 64 + static_cast<std::size_t>(__builtin_ctzll(levels_[height][found]));
                }
                return found;
            }
            least = least / 64 + 1;
        }
        return none;
    }

private:
    std::vector<std::vector<std::uint64_t>> levels_;
};

// Rows by the space they have left; of those with the same space, the one that got it last comes first.
class OpenRows {
public:
    explicit OpenRows(std::int64_t seq_length)
        : none_(static_cast<std::size_t>(seq_length) + 1), spaces_(none_), top_(none_, kNoRow) {}

    // The row with the least space that holds `length`, a new one if there is none.
    std::int64_t take(std::int64_t length) {
        const std::size_t space = spaces_.next(static_cast<std::size_t>(length), none_);
        if (space == none_) {
            below_.push_back(kNoRow);
            return put_back(static_cast<std::int64_t>(below_.size()) - 1, static_cast<std::int64_t>(none_) - 1 - length);
        }
        const std::int64_t row = top_[space];
        top_[space] = below_[static_cast<std::size_t>(row)];
        if (top_[space] == kNoRow) spaces_.erase(space);
        return put_back(row, static_cast<std::int64_t>(space) - length);
    }

    std::size_t count() const { return below_.size(); }

private:
    static constexpr std::int64_t kNoRow = -1;

    std::int64_t put_back(std::int64_t row, std::int64_t space) {
        const auto place = static_cast<std::size_t>(space);
        if (space == 0) return row;
        if (top_[place] == kNoRow) spaces_.insert(place);
        below_[static_cast<std::size_t>(row)] = top_[place];
        top_[place] = row;
        return row;
    }

    std::size_t none_;
    NumberSet spaces_;
    std::vector<std::int64_t> top_;    // by space: the row on top of the stack
    std::vector<std::int64_t> below_;  // by row: the row below it
};

// The row of each piece: long pieces first, each into the fullest row that still holds it.
std::vector<std::int64_t> best_fit(const std::vector<std::int32_t>& lengths, std::int64_t seq_length, std::size_t* rows) {
    // Pieces by falling length, by counting; equal ones stay in their order.
    std::vector<std::size_t> starts(static_cast<std::size_t>(seq_length) + 2, 0);
    for (const std::int32_t length : lengths) ++starts[static_cast<std::size_t>(seq_length - length) + 1];
    for (std::size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
    std::vector<std::int64_t> order(lengths.size());
    for (std::size_t piece = 0; piece < lengths.size(); ++piece) {
        order[starts[static_cast<std::size_t>(seq_length - lengths[piece])]++] = static_cast<std::int64_t>(piece);
    }
    std::vector<std::int64_t> row_of(lengths.size());
    OpenRows open(seq_length);
    for (const std::int64_t piece : order) {
        row_of[static_cast<std::size_t>(piece)] = open.take(lengths[static_cast<std::size_t>(piece)]);
    }
    *rows = open.count();
    return row_of;
}

// Brings pieces, which are in the order of the documents, into the order of rows. Rows are numbered by their first
// piece, and the pieces of a row stay in the order of the documents.
void order_by_row(std::vector<std::int64_t>& row_of, std::size_t rows, PackedRows& packed) {
    std::vector<std::int64_t> number(rows, -1);
    std::vector<std::int64_t>& starts = packed.row_starts;
    starts.assign(rows + 1, 0);
    std::int64_t next = 0;
    for (std::int64_t& row : row_of) {
        std::int64_t& known = number[static_cast<std::size_t>(row)];
        if (known < 0) known = next++;
        row = known;
        ++starts[static_cast<std::size_t>(row) + 1];
    }
    for (std::size_t row = 1; row <= rows; ++row) starts[row] += starts[row - 1];
    std::vector<std::int64_t>& place = number;  // where the next piece of each row goes
    std::copy(starts.begin(), starts.end() - 1, place.begin());
    std::vector<std::int64_t> sorted(packed.pieces.size());
    for (std::size_t piece = 0; piece < row_of.size(); ++piece) {
        const auto to = static_cast<std::size_t>(place[static_cast<std::size_t>(row_of[piece])]++);
        sorted[2 * to] = packed.pieces[2 * piece];
        sorted[2 * to + 1] = packed.pieces[2 * piece + 1];
    }
    packed.pieces = std::move(sorted);
}

}  // namespace

std::size_t count_pieces(const std::int64_t* sizes, std::size_t count, const PackingSettings& settings) {
    const std::int64_t room = settings.seq_length - settings.specials;
    std::uint64_t total = 0;
    for (std::size_t place = 0; place < count; ++place) {
        if (sizes[place] < 0) {
            throw std::invalid_argument("sizes[" + std::to_string(place) + "] is " + std::to_string(sizes[place]) +
                                        "; a document has 0 tokens or more");
        }
        total += static_cast<std::uint64_t>(windows_of(sizes[place], room, settings.split_long));
        if (total > INT64_MAX) throw std::invalid_argument("sizes add up to more than 2^63 - 1 pieces");
    }
    return static_cast<std::size_t>(total);
}

PackedRows pack(const std::int64_t* sizes, std::size_t count, const PackingSettings& settings) {
    const std::int64_t room = settings.seq_length - settings.specials;
    const bool has_lengths = settings.strategy == PackingStrategy::best_fit;
    const std::size_t piece_count = count_pieces(sizes, count, settings);
    PackedRows packed;
    packed.pieces.resize(2 * piece_count);
    std::vector<std::int32_t> lengths(has_lengths ? piece_count : 0);
    std::vector<std::int64_t>& starts = packed.row_starts;
    std::size_t piece = 0;
    std::int64_t space = 0;  // of the last row, for the strategies that know the row of a piece at once
    for (std::size_t place = 0; place < count; ++place) {
        const std::int64_t windows = windows_of(sizes[place], room, settings.split_long);
        for (std::int64_t window = 0; window < windows; ++window, ++piece) {
            const std::int64_t length = std::min(room, sizes[place] - window * room) + settings.specials;
            packed.pieces[2 * piece] = static_cast<std::int64_t>(place);
            packed.pieces[2 * piece + 1] = window * room;
            if (has_lengths) {
                lengths[piece] = static_cast<std::int32_t>(length);
            } else {
                if (settings.strategy == PackingStrategy::alone || length > space) {
                    starts.push_back(static_cast<std::int64_t>(piece));
                    space = settings.seq_length;
                }
                space -= length;
            }
        }
    }
    if (has_lengths) {
        std::size_t rows = 0;
        std::vector<std::int64_t> row_of = best_fit(lengths, settings.seq_length, &rows);
        std::vector<std::int32_t>().swap(lengths);
        order_by_row(row_of, rows, packed);
    } else {
        starts.push_back(static_cast<std::int64_t>(piece));
    }
    return packed;
}

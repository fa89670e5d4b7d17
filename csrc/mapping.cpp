#include "mapping.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

#include "rng.hpp"
#include "row_shuffle.hpp"

namespace {

constexpr std::int32_t kLongSentence = 512;  // a longer one keeps its whole document out

[[noreturn]] void refuse(const std::string& what, std::size_t place, std::int64_t found, const std::string& expected) {
    throw std::invalid_argument(what + "[" + std::to_string(place) + "] is " + std::to_string(found) + "; " + expected);
}

// The target length of each sample: one word of std::mt19937 each, none when the probability is 0.
class TargetLengths {
public:
    TargetLengths(const MappingSettings& settings)
        : random_(settings.seed), largest_(settings.max_seq_length), draws_(settings.short_seq_prob > 0) {
        if (!draws_) return;
        const double ratio = std::round(1.0 / settings.short_seq_prob);  // halves away from zero
        // A word is divisible by the ratio when its product with 2^64/ratio, rounded up, wraps to less than that: exact
        // for 32 bits (Lemire, Kaser, Kurz 2019). A ratio beyond 32 bits divides nothing but 0.
        factor_ = ratio < 4294967296.0 ? ~std::uint64_t{0} / static_cast<std::uint64_t>(ratio) + 1 : 1;
    }

    std::uint32_t next() {
        if (!draws_) return largest_;
        const std::uint32_t word = random_.next_word();
        if (word * factor_ <= factor_ - 1) return 2 + word % (largest_ - 1);
        return largest_;
    }

private:
    LegacyRandom random_;
    std::uint32_t largest_;
    bool draws_;
    std::uint64_t factor_ = 0;
};

// Runs `epoch` as often as was asked for. One without a row is the last: the others would be like it.
template <typename Rows, typename Epoch>
void repeat(const Repetition& repetition, Rows& rows, const Epoch& epoch) {
    for (std::uint64_t done = 0; done < repetition.num_epochs && rows.count() < repetition.max_num_samples; ++done) {
        const std::size_t before = rows.count();
        epoch();
        if (rows.count() == before) break;
        if (done == 0) {
            const double each = static_cast<double>(rows.count());
            const double epochs = std::ceil(static_cast<double>(repetition.max_num_samples) / each);
            rows.expect(each * std::min(epochs, static_cast<double>(repetition.num_epochs)));
        }
    }
}

}  // namespace

Sentences::Sentences(const Loose<std::int64_t>* boundaries, std::size_t boundary_count,
                     const Loose<std::int32_t>* sizes, std::size_t size_count)
    : boundaries_(boundaries), boundary_count_(boundary_count), sizes_(sizes) {
    std::int64_t before = 0;
    for (std::size_t place = 0; place < boundary_count; ++place) {
        const std::int64_t boundary = boundaries[place];
        if (boundary < before || boundary > static_cast<std::int64_t>(size_count)) {
            refuse("documents", place, boundary,
                   boundary < 0 || boundary > static_cast<std::int64_t>(size_count)
                       ? "an index of a sentence is expected, 0 to " + std::to_string(size_count)
                       : "boundaries must not fall, and the one before it is " + std::to_string(before));
        }
        before = boundary;
    }
    long_in_block_.resize((size_count + kBlock - 1) / kBlock);
    for (std::size_t block = 0; block < long_in_block_.size(); ++block) {
        const std::size_t end = std::min(size_count, (block + 1) * kBlock);
        std::int32_t any = 0;  // sign bits: of a negative size, and of one above the limit
        std::int32_t any_long = 0;
        for (std::size_t place = block * kBlock; place < end; ++place) {
            any |= sizes[place];
            any_long |= static_cast<std::int32_t>(static_cast<std::uint32_t>(kLongSentence) -
                                                  static_cast<std::uint32_t>(sizes[place]));
        }
        if (any < 0) {
            std::size_t place = block * kBlock;
            while (sizes[place] >= 0) ++place;
            refuse("sizes", place, sizes[place], "a sentence has 0 tokens or more");
        }
        long_in_block_[block] = any_long < 0;
    }
}

bool Sentences::any_long(std::int64_t begin, std::int64_t end) const {
    constexpr auto block_size = static_cast<std::int64_t>(kBlock);
    for (std::int64_t block = begin / block_size; block * block_size < end; ++block) {
        if (!long_in_block_[static_cast<std::size_t>(block)]) continue;
        const std::int64_t stop = std::min(end, (block + 1) * block_size);
        for (std::int64_t place = std::max(begin, block * block_size); place < stop; ++place) {
            if (sizes_[place] > kLongSentence) return true;
        }
    }
    return false;
}

std::uint64_t Sentences::most_rows(std::uint64_t sentences) const {
    if (documents() == 0) return 0;
    return documents() + static_cast<std::uint64_t>(end_of(documents() - 1) - begin_of(0)) / sentences;
}

template <typename Value>
void build_mapping(const Sentences& sentences, const Repetition& repetition, const MappingSettings& settings,
                   MappingRows<Value>& rows) {
    TargetLengths targets(settings);
    const auto emit = [&](std::int64_t first, std::int64_t end, std::uint32_t target) {
        Value* row = rows.append();
        row[0] = static_cast<Value>(first);
        row[1] = static_cast<Value>(end);
        row[2] = static_cast<Value>(target);
    };
    repeat(repetition, rows, [&] {
        for (std::size_t document = 0; document < sentences.documents(); ++document) {
            std::int64_t first = sentences.begin_of(document);
            const std::int64_t end = sentences.end_of(document);
            const auto count = static_cast<std::uint64_t>(end - first);
            if (count < settings.min_num_sent || (count > 1 && sentences.any_long(first, end))) continue;
            std::uint32_t target = targets.next();
            std::int64_t length = 0;
            // Two sentences or more are left behind every row but the last one of the document.
            for (std::int64_t place = first; place < end - 2;) {
                length += sentences.size(place++);
                if (length >= target && static_cast<std::uint64_t>(place - first) >= settings.min_num_sent) {
                    emit(first, place, target);
                    first = place;
                    length = 0;
                    target = targets.next();
                }
            }
            emit(first, end, target);
            targets.next();  // the definition draws after every row, the last one of a document included
        }
    });
    shuffle_rows<3>(rows.data(), rows.count(), std::uint64_t{settings.seed} + 1);
}

template <typename Value>
void build_blocks_mapping(const Sentences& sentences, const Loose<std::int32_t>* title_sizes,
                          const Repetition& repetition, const BlockSettings& settings, BlockRows<Value>& rows) {
    const std::int64_t fewest = settings.use_one_sent_blocks ? 1 : 2;
    repeat(repetition, rows, [&] {
        std::uint64_t block = 0;
        for (std::size_t document = 0; document < sentences.documents(); ++document) {
            std::int64_t first = sentences.begin_of(document);
            const std::int64_t end = sentences.end_of(document);
            if (end - first < fewest || sentences.any_long(first, end)) continue;
            const std::int64_t target = std::int64_t{settings.max_seq_length} - title_sizes[document];
            const auto emit = [&](std::int64_t stop) {
                Value* row = rows.append();
                row[0] = static_cast<Value>(first);
                row[1] = static_cast<Value>(stop);
                row[2] = static_cast<Value>(document);
                row[3] = static_cast<Value>(block++);
            };
            std::int64_t length = 0;
            for (std::int64_t place = first; place < end - fewest;) {
                length += sentences.size(place++);
                if (length >= target && place - first >= fewest) {
                    emit(place);
                    first = place;
                    length = 0;
                }
            }
            emit(end);
        }
    });
    shuffle_rows<4>(rows.data(), rows.count(), std::uint64_t{settings.seed} + 1);
}

template void build_mapping(const Sentences&, const Repetition&, const MappingSettings&, MappingRows<std::uint32_t>&);
template void build_mapping(const Sentences&, const Repetition&, const MappingSettings&, MappingRows<std::uint64_t>&);
template void build_blocks_mapping(const Sentences&, const Loose<std::int32_t>*, const Repetition&,
                                   const BlockSettings&, BlockRows<std::uint32_t>&);
template void build_blocks_mapping(const Sentences&, const Loose<std::int32_t>*, const Repetition&,
                                   const BlockSettings&, BlockRows<std::uint64_t>&);

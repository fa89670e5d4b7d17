// Both halves of the scan in wordpiece.cpp for processors with AVX2: the same items, found 64 bytes at a time.
//
//   64 bytes --ByteClassifier--> masks --escapes and literals settled--> starts and ends of items --> pending_
//
// Punctuation is a word of one byte here. What is hard, and a word beside it, is left to scan_words().
#include "wordpiece.hpp"

#ifdef MASKGEN_BYTE_CLASSES

namespace {

std::uint64_t load8(const char* from) {
    std::uint64_t bytes;
    std::memcpy(&bytes, from, sizeof(bytes));
    return bytes;
}

// The first `length` (0 to 16) of 16 bytes, zeros behind them.
MASKGEN_AVX2 inline Key16 key_of(const char* from, unsigned length) {
    return {_bzhi_u64(load8(from), 8 * length), _bzhi_u64(load8(from + 8), length > 8 ? 8 * length - 64 : 0)};
}

constexpr unsigned kBlock = 64, kLoaded = kBlock + 32;  // a word that starts in a block is loaded to its 32nd byte

constexpr std::uint64_t below(unsigned bit) { return (std::uint64_t{1} << bit) - 1; }  // 0 to 63

}  // namespace

template <bool kJson>
MASKGEN_AVX2 WordPieceWorker::Outcome WordPieceWorker::scan_blocks(Progress& at, const char* end, TokenBuffer& out) {
    // Of `ends`, bit i says that something ends before byte i; the n-th start and the n-th end are those of one item.
    const ByteClassifier classify(kJson ? model_.json_byte_classes_ : model_.byte_classes_);
    char last_bytes[kLoaded];
    const char* cursor = at.cursor;
    std::size_t count = at.count;
    for (;;) {
        const char* bytes = cursor;
        unsigned stop = kBlock - 1;  // the last byte is only looked at: a word may go on there
        const auto left = static_cast<std::size_t>(end - cursor);
        if (left < kLoaded) {
            std::memset(last_bytes, ' ', sizeof(last_bytes));
            std::memcpy(last_bytes, cursor, left);
            bytes = last_bytes;
            if (left < stop) stop = static_cast<unsigned>(left);
        }
        ByteMasks masks = classify(bytes);
        if (left < kBlock) {
            masks.word &= below(stop);  // spaces need not be spaces for every model
            masks.punctuation &= below(stop);
            masks.soft &= below(stop);
            masks.hard &= below(stop);
        }
        const auto first_hard = static_cast<unsigned>(_tzcnt_u64(masks.hard));  // 64: there is none
        bool hard = first_hard < stop;
        if (hard) stop = first_hard;
        for (std::uint64_t soft = masks.soft & below(stop); soft != 0; soft = _blsr_u64(soft)) {
            const auto place = static_cast<unsigned>(_tzcnt_u64(soft));
            if (!kJson || bytes[place] != '\\') {
                if (model_.is_literal(cursor + place, end)) return kJson ? kNeedsUnescaping : kNeedsReference;
                masks.punctuation |= std::uint64_t{1} << place;
                continue;
            }
            if (place == kBlock - 2) {  // the next block shall have both halves of the escape
                stop = place;
                hard = false;
                break;
            }
            const char* escaped = cursor + place + 1;
            const int meant = escaped == end ? -1 : model_.escapes_[static_cast<unsigned char>(*escaped)];
            if (meant < 0) return kNeedsUnescaping;
            const std::uint64_t bit = std::uint64_t{2} << place;
            soft &= ~bit;
            masks.word &= ~bit;
            masks.punctuation &= ~bit;
            if (model_.kinds_[meant] != WordPieceModel::kSpace) masks.punctuation |= bit;  // it stands for itself
        }
        std::uint64_t starts = ((masks.word & ~(masks.word << 1)) | masks.punctuation) & below(stop);
        std::uint64_t ends = (~masks.word & masks.word << 1) | masks.punctuation << 1;
        unsigned next = stop;
        // A word that goes on there, or may go on, is for the next block.
        if (stop != 0 && masks.word >> (stop - 1) & (masks.word | masks.hard) >> stop & 1) {
            next = 63 - static_cast<unsigned>(_lzcnt_u64(starts));
            starts &= below(next);
        }
        for (; starts != 0; starts = _blsr_u64(starts), ends = _blsr_u64(ends)) {
            const auto first = static_cast<unsigned>(_tzcnt_u64(starts));
            const unsigned length = static_cast<unsigned>(_tzcnt_u64(ends)) - first;
            Pending& item = pending_[count++];
            item.word = cursor + first;
            item.length = length;
            const char* from = bytes + first;
            if (__builtin_expect(length <= TinyMemo::kBytes, 1)) {
                item.kind = Pending::kTiny;
                item.key.low = _bzhi_u64(load8(from), 8 * length);
                item.place = tiny_memo_.set(item.key.low);
                __builtin_prefetch(item.place);
            } else if (length < 16) {
                item.kind = Pending::kShort;
                item.key = key_of(from, length);
                item.place = short_memo_.set({{item.key}});
                __builtin_prefetch(item.place);
            } else if (length < 32) {
                item.kind = Pending::kLong;
                item.key = {load8(from), load8(from + 8)};
                item.second = key_of(from + 16, length - 16);
                item.place = long_memo_.set({{item.key, item.second}});
                __builtin_prefetch(item.place);
                __builtin_prefetch(static_cast<const char*>(item.place) + 64);
            } else {
                item.kind = Pending::kUnremembered;
                item.word_end = item.word + length;
            }
        }
        cursor += next;
        if (count >= kEnoughPending) {
            if (!finish_blocks(count, end, out)) return kNeedsReference;
            count = 0;
        }
        if (hard || next == 0 || cursor == end) break;
    }
    at = {cursor, count};
    return kDone;
}

MASKGEN_AVX2 bool WordPieceWorker::finish_blocks(std::size_t count, const char* end, TokenBuffer& out) {
    std::int32_t* ids = out.end();
    for (const Pending* next = pending_.data(); next < pending_.data() + count; ++next) {
        bool elsewhere = false;
        if (__builtin_expect(next->kind == Pending::kTiny, 1)) {
            const std::uint64_t* found = static_cast<const TinyMemo::Set*>(next->place)->find_at_once(next->key.low);
            if (__builtin_expect(found != nullptr && *found != PackedIds::kElsewhere, 1)) {
                ids = PackedIds::unpack(*found, ids);
                continue;
            }
            elsewhere = found != nullptr;
        } else if (write_known(*next, ids, elsewhere)) {
            continue;
        }
        std::int32_t* reached = ids;  // a copy, so that `ids` need not live in memory
        if (!write_missing(*next, elsewhere, end, reached, out)) return false;
        ids = reached;
    }
    out.set_end(ids);
    return true;
}

template WordPieceWorker::Outcome WordPieceWorker::scan_blocks<false>(Progress&, const char*, TokenBuffer&);
template WordPieceWorker::Outcome WordPieceWorker::scan_blocks<true>(Progress&, const char*, TokenBuffer&);

#endif

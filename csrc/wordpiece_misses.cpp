// The slow half of wordpiece.hpp: the ids of words that are in no table, and what is remembered of them.
#include <algorithm>

#include "utf8.hpp"
#include "wordpiece.hpp"

bool WordPieceWorker::write_missing(const Pending& word, bool elsewhere, const char* end, std::int32_t*& ids,
                                    TokenBuffer& out) {
    const char* word_end = word.word_end;
    if (word.kind == Pending::kUnremembered) {
        if (!resolve(word.word, word_end)) return false;
    } else {
        word_end = word.word + word.length;
        if (!look_up(word, elsewhere)) return false;
    }
    // Room is made here alone: boundaries and memo entries give no more ids than they have bytes.
    out.set_end(ids);
    out.reserve(ids_.size() + static_cast<std::size_t>(end - word_end) + kSlack);
    out.append(ids_.data(), ids_.size());
    ids = out.end();
    return true;
}

// A word may have more ids than the table for its length has room for. Then that table says so, and the ids stand in
// the long one; a word that no table knows is not looked for in another (that would be a wait for memory). And since
// finish() writes ids before it makes room for more, no entry may have more ids than its word has bytes.
bool WordPieceWorker::look_up(const Pending& word, bool elsewhere) {
    const Key16 first{word.key.low, word.kind == Pending::kTiny ? 0 : word.key.high};
    const LongMemo::Key long_key{{first, word.kind == Pending::kLong ? word.second : Key16{0, 0}}};
    if (elsewhere) {
        if (const LongIds* found = long_memo_.set(long_key)->find(long_key)) {
            ids_.assign(found->ids, found->ids + found->count);
            return true;
        }
    }
    if (!resolve(word.word, word.word + word.length)) return false;
    const std::size_t count = ids_.size();
    if (count > word.length || count > LongIds::kIds) return true;
    const std::int32_t* ids = ids_.data();
    const bool packs = std::all_of(ids, ids + count, [](std::int32_t id) { return id <= PackedIds::kLargestId; });
    if (word.kind == Pending::kTiny) {
        const bool fits = packs && count <= PackedIds::kIds;
        if (!elsewhere) {
            tiny_memo_.set(word.key.low)->insert(word.key.low, fits ? PackedIds::pack(ids, count) : PackedIds::kElsewhere);
        }
        if (fits) return true;
    } else if (word.kind == Pending::kShort) {
        const bool fits = packs && count <= ShortIds::kIds;
        if (!elsewhere) {
            const std::size_t first = std::min(count, PackedIds::kIds);
            const std::uint64_t packed = fits ? PackedIds::pack(ids, first) : PackedIds::kElsewhere;
            const std::uint64_t rest = fits ? PackedIds::pack(ids + first, count - first) : PackedIds::kElsewhere;
            short_memo_.set({{word.key}})->insert({{word.key}}, {{packed, rest}});
        }
        if (fits) return true;
    }
    LongIds entry{};
    std::copy(ids, ids + count, entry.ids);
    entry.count = static_cast<std::int32_t>(count);
    long_memo_.set(long_key)->insert(long_key, entry);
    return true;
}

bool WordPieceWorker::resolve(const char* begin, const char* end) {
    ids_.clear();
    word_.clear();
    word_code_points_ = 0;
    std::uint32_t survivor = 0;
    for (const char* cursor = begin; cursor < end;) {
        const auto byte = static_cast<unsigned char>(*cursor);
        if (byte < 0x80 && model_.kinds_[byte] == WordPieceModel::kWord) {
            if (++word_code_points_ <= model_.max_code_points_) word_.push_back(model_.ascii_plain_[byte]);
            ++cursor;
            continue;
        }
        const std::uint32_t code_point = decode_utf8(cursor, end);
        if (code_point == kInvalidCodePoint) throw InvalidUtf8(cursor);
        const LearnedEffect& effect = model_.effects_[code_point];
        const std::uint8_t state = effect.state.load(std::memory_order_relaxed);
        // Two different marks that stay may have been put into another order; so may the parts of one that is too long.
        if (state == LearnedEffect::kTooLong || (effect.survivor && survivor != 0 && survivor != code_point)) {
            validate_utf8(cursor, end);
            resolve_by_reference(begin, end);
            return true;
        }
        if (effect.survivor) survivor = code_point;
        if (state == LearnedEffect::kPlain) {
            word_code_points_ += effect.code_points;
            if (word_code_points_ <= model_.max_code_points_) word_.append(effect.text, effect.size);
            continue;
        }
        for (int i = 0; i < effect.size; ++i) {
            const char part = effect.text[i];
            if (part == kBreak) {
                if (!flush_word()) return false;
                continue;
            }
            if ((static_cast<unsigned char>(part) & 0xc0) != 0x80) ++word_code_points_;
            if (word_code_points_ <= model_.max_code_points_) word_.push_back(part);
        }
    }
    return flush_word();
}

void WordPieceWorker::resolve_by_reference(const char* begin, const char* end) {
    if (static_cast<std::size_t>(end - begin) > kLongestHardWord) {
        ids_.clear();
        model_.reference_.encode(begin, end, ids_);
        return;
    }
    const std::string word(begin, end);
    auto found = hard_words_.find(word);
    if (found == hard_words_.end()) {
        std::vector<std::int32_t> ids;
        model_.reference_.encode(begin, end, ids);
        if (hard_words_.size() >= kMostHardWords) hard_words_.clear();
        found = hard_words_.emplace(word, std::move(ids)).first;
    }
    ids_ = found->second;
}

bool WordPieceWorker::flush_word() {
    bool known = true;
    if (word_code_points_ > model_.max_code_points_) {
        known = model_.unknown_id_ >= 0;
        ids_.push_back(model_.unknown_id_);
    } else if (word_code_points_ > 0) {
        known = model_.append_pieces(word_.data(), word_.data() + word_.size(), ids_);
    }
    word_.clear();
    word_code_points_ = 0;
    return known;
}

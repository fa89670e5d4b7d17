#include "wordpiece.hpp"

#include "byte_block.hpp"
#include "utf8.hpp"

namespace {

// Sixteen bytes to look at: the text's own where it is long enough, else a copy with zeros behind it.
struct Window {
    char bytes[16];
    ByteBlock operator()(const char* cursor, const char* end) {
        if (end - cursor >= 16) return ByteBlock(cursor);
        std::memset(bytes, 0, sizeof(bytes));
        if (cursor < end) std::memcpy(bytes, cursor, static_cast<std::size_t>(end - cursor));
        return ByteBlock(bytes);
    }
};

// Room behind the ids that are certain to come: copies of whole memo entries write past their last id.
constexpr std::size_t kSlack = 64;

}  // namespace

void WordPieceWorker::encode(const char* begin, const char* end, TokenBuffer& out) {
    const std::size_t before = out.size();
    if (!model_.holds_hidden_literal(begin, end) && scan<false>(begin, end, out) == kDone) return;
    out.truncate(before);
    validate_utf8(begin, end);
    ids_.clear();
    model_.reference_.encode(begin, end, ids_);
    out.append(ids_.data(), ids_.size());
}

bool WordPieceWorker::encode_json(const char* begin, const char* end, TokenBuffer& out) {
    const std::size_t before = out.size();
    if (model_.hidden_literals_.empty() && scan<true>(begin, end, out) == kDone) return true;
    out.truncate(before);
    return false;
}

template <bool kJson>
WordPieceWorker::Outcome WordPieceWorker::scan(const char* begin, const char* end, TokenBuffer& out) {
    using Model = WordPieceModel;
    const std::uint8_t* kinds = (kJson ? model_.json_kinds_ : model_.kinds_).data();
    const auto kind_at = [&](const char* cursor) { return kinds[static_cast<unsigned char>(*cursor)]; };
    const auto room = [&](const char* cursor) { return static_cast<std::size_t>(end - cursor) + kSlack; };
    const auto ends_word = [&](const char* last) {
        return last == end || kind_at(last) <= Model::kEscape || (kind_at(last) == Model::kChinese && !joins(last, end));
    };
    Window window;
    const char* cursor = begin;
    // Room is made once: boundaries and memo entries give no more ids than they have bytes.
    out.reserve(room(cursor));
    std::int32_t* ids = out.end();

    for (;;) {
        std::uint8_t kind = Model::kSpace;
        for (; cursor < end; ++cursor) {
            kind = kind_at(cursor);
            if (kind > Model::kPunctuation) break;
            // Without a branch: white space writes an id too, which the next one overwrites.
            *ids = model_.ascii_ids_[static_cast<unsigned char>(*cursor)];
            ids += kind;
        }
        if (cursor == end) break;

        const char* word = cursor;
        if (kind == Model::kWord) {
            const ByteBlock block = window(cursor, end);
            const unsigned length = block.word_length();
            cursor += length;
            if (length <= TinyMemo::kBytes) {
                if (ends_word(cursor)) {
                    const std::int32_t* found = tiny_memo_.find(block.short_key(length));
                    if (found != nullptr && found[0] != TinyMemo::kElsewhere) {
                        std::memcpy(ids, found, 8);
                        ids += (found[0] >= 0) + (found[1] >= 0);
                        continue;
                    }
                    if (!look_up(word, cursor, block.key(length), {0, 0}, found != nullptr)) return kNeedsReference;
                    goto emit;
                }
            } else if (length < 16) {
                if (ends_word(cursor)) {
                    const ShortMemo::Entry* found = short_memo_.find({{block.key(length)}});
                    if (found != nullptr && found->count != ShortMemo::kElsewhere) {
                        std::memcpy(ids, found->ids, 16);
                        ids += found->count;
                        continue;
                    }
                    if (!look_up(word, cursor, block.key(length), {0, 0}, found != nullptr)) return kNeedsReference;
                    goto emit;
                }
            } else {
                const ByteBlock second = window(cursor, end);
                const unsigned more = second.word_length();
                cursor += more;
                if (more < 16 && ends_word(cursor)) {
                    if (const LongMemo::Entry* found = long_memo_.find({{block.key(16), second.key(more)}})) {
                        std::memcpy(ids, found->ids, 32);
                        ids += found->count;
                        continue;
                    }
                    if (!look_up(word, cursor, block.key(16), second.key(more), false)) return kNeedsReference;
                    goto emit;
                }
            }
        } else if (kind == Model::kChinese) {
            const std::uint32_t code_point = decode_utf8(cursor, end);
            if (code_point == kInvalidCodePoint) throw InvalidUtf8(cursor);
            const std::int32_t id = model_.chinese_id(code_point);
            if (id >= 0) {
                *ids++ = id;
                continue;
            }
        } else if (kind == Model::kLiteralStart) {
            if (model_.is_literal(cursor, end)) return kJson ? kNeedsUnescaping : kNeedsReference;
            *ids++ = model_.ascii_ids_[static_cast<unsigned char>(*cursor++)];
            continue;
        } else if (kJson && kind == Model::kEscape) {
            if (++cursor == end) return kNeedsUnescaping;
            unsigned char meant = static_cast<unsigned char>(*cursor);
            switch (meant) {
                case 'n': meant = '\n'; break;
                case 't': meant = '\t'; break;
                case 'r': meant = '\r'; break;
                case '/':
                    if (model_.literal_with_slash_) return kNeedsUnescaping;
                    break;
                case '"': case '\\': break;
                default: return kNeedsUnescaping;
            }
            // The unescaped text's own kinds: a literal that starts here is left to the reference.
            if (model_.kinds_[meant] > Model::kPunctuation) return kNeedsUnescaping;
            *ids = model_.ascii_ids_[meant];
            ids += model_.kinds_[meant];
            ++cursor;
            continue;
        }
        // A word that is long, or glued together by controls and the like: not remembered.
        cursor = end_of_word(word, end, kinds);
        if (!resolve(word, cursor)) return kNeedsReference;
    emit:
        out.set_end(ids);
        out.reserve(ids_.size() + room(cursor));
        out.append(ids_.data(), ids_.size());
        ids = out.end();
    }
    out.set_end(ids);
    return kDone;
}

// A word may have more ids than the table for its length has room for. Then that table says so, and the ids stand in
// the long one; a word that no table knows is not looked for in another (that would be a wait for memory). And since
// the scan writes ids before it makes room for more, no entry may have more ids than its word has bytes.
bool WordPieceWorker::look_up(const char* begin, const char* end, Key16 first, Key16 second, bool elsewhere) {
    const LongMemo::Key long_key{{first, second}};
    if (elsewhere) {
        if (const LongMemo::Entry* found = long_memo_.find(long_key)) {
            ids_.assign(found->ids, found->ids + found->count);
            return true;
        }
    }
    if (!resolve(begin, end)) return false;
    const auto length = static_cast<std::size_t>(end - begin);
    const std::size_t count = ids_.size();
    if (count > length || count > LongMemo::kIds) return true;
    if (length <= TinyMemo::kBytes) {
        if (!elsewhere) tiny_memo_.insert(first.low, ids_.data(), count);
        if (count <= TinyMemo::kIds) return true;
    } else if (length < 16) {
        if (!elsewhere) short_memo_.insert({{first}}, ids_.data(), count);
        if (count <= ShortMemo::kIds) return true;
    }
    long_memo_.insert(long_key, ids_.data(), count);
    return true;
}

const char* WordPieceWorker::end_of_word(const char* cursor, const char* end, const std::uint8_t* kinds) {
    for (; cursor < end; ++cursor) {
        const std::uint8_t kind = kinds[static_cast<unsigned char>(*cursor)];
        if (kind <= WordPieceModel::kEscape) break;
        if (kind == WordPieceModel::kChinese && !joins(cursor, end)) break;
    }
    return cursor;
}

bool WordPieceWorker::joins(const char* cursor, const char* end) {
    const std::uint32_t code_point = decode_utf8(cursor, end);
    if (code_point == kInvalidCodePoint) return false;  // reported when the scan comes to it
    return model_.chinese_id(code_point) < 0;
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

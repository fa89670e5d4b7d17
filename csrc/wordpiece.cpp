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

#ifdef MASKGEN_BYTE_CLASSES
constexpr std::ptrdiff_t kWordByWord = 64;  // 256 was no faster on multilingual text
#endif

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
    out.reserve(static_cast<std::size_t>(end - begin) + kSlack);
    Progress at{begin, 0};
    while (at.cursor < end) {
        const char* until = end;
#ifdef MASKGEN_BYTE_CLASSES
        if (model_.has_byte_classes_) {
            const Outcome outcome = scan_blocks<kJson>(at, end, out);
            if (outcome != kDone) return outcome;
            // Not only for what stopped the blocks: it seldom comes alone, and a block is then found for nothing.
            if (end - at.cursor > kWordByWord) until = at.cursor + kWordByWord;
        }
#endif
        const Outcome outcome = scan_words<kJson>(at, until, end, out);
        if (outcome != kDone) return outcome;
    }
    return finish(at.count, end, out) ? kDone : kNeedsReference;
}

template <bool kJson>
WordPieceWorker::Outcome WordPieceWorker::scan_words(Progress& at, const char* until, const char* end,
                                                     TokenBuffer& out) {
    using Model = WordPieceModel;
    const std::uint8_t* kinds = (kJson ? model_.json_kinds_ : model_.kinds_).data();
    const auto kind_at = [&](const char* cursor) { return kinds[static_cast<unsigned char>(*cursor)]; };
    const auto ends_word = [&](const char* last) {
        return last == end || kind_at(last) <= Model::kEscape || (kind_at(last) == Model::kChinese && !joins(last, end));
    };
    Window window;
    const char* cursor = at.cursor;
    std::size_t count = at.count;

    for (;;) {
        std::uint8_t kind = Model::kSpace;
        for (; cursor < until; ++cursor) {
            kind = kind_at(cursor);
            if (kind > Model::kPunctuation) break;
            // Without a branch: white space is put down too, and what comes next is put over it.
            const auto byte = static_cast<unsigned char>(*cursor);
            pending_[count].kind = Pending::kTiny;
            pending_[count].place = &model_.ascii_sets_[byte];
            pending_[count].key.low = byte;
            count += kind;
            if (count >= kEnoughPending) {
                if (!finish(count, end, out)) return kNeedsReference;
                count = 0;
            }
        }
        if (cursor >= until) break;

        const char* word = cursor;
        Pending& next = pending_[count];
        next.word = word;
        bool simple = false;
        if (kind == Model::kWord) {
            const ByteBlock block = window(cursor, end);
            const unsigned length = block.word_length();
            cursor += length;
            next.length = length;
            if (length <= TinyMemo::kBytes) {
                next.kind = Pending::kTiny;
                next.key = {block.short_key(length), 0};
                next.place = tiny_memo_.set(next.key.low);
                __builtin_prefetch(next.place);
                simple = ends_word(cursor);
            } else if (length < 16) {
                next.kind = Pending::kShort;
                next.key = block.key(length);
                next.place = short_memo_.set({{next.key}});
                __builtin_prefetch(next.place);
                simple = ends_word(cursor);
            } else {
                const ByteBlock second = window(cursor, end);
                const unsigned more = second.word_length();
                cursor += more;
                next.kind = Pending::kLong;
                next.key = block.key(16);
                next.second = second.key(more);
                next.length = 16 + more;
                next.place = long_memo_.set({{next.key, next.second}});
                __builtin_prefetch(next.place);
                __builtin_prefetch(static_cast<const char*>(next.place) + 64);
                simple = more < 16 && ends_word(cursor);
            }
        } else if (kind == Model::kChinese) {
            const std::uint32_t code_point = decode_utf8(cursor, end);
            if (code_point == kInvalidCodePoint) {
                finish(count, end, out);  // an earlier word may be invalid, and is to be reported then
                throw InvalidUtf8(word);
            }
            next.kind = Pending::kId;
            next.id = model_.chinese_id(code_point);
            simple = next.id >= 0;
        } else if (kind == Model::kLiteralStart) {
            if (model_.is_literal(cursor, end)) return kJson ? kNeedsUnescaping : kNeedsReference;
            next.kind = Pending::kId;
            next.id = model_.ascii_ids_[static_cast<unsigned char>(*cursor++)];
            simple = true;
        } else if (kJson && kind == Model::kEscape) {
            const int meant = end - cursor < 2 ? -1 : model_.escapes_[static_cast<unsigned char>(cursor[1])];
            if (meant < 0) return kNeedsUnescaping;
            cursor += 2;
            if (model_.kinds_[meant] == Model::kSpace) continue;
            next.kind = Pending::kId;
            next.id = model_.ascii_ids_[meant];
            simple = true;
        }
        if (!simple) {  // a word that is long, or glued together by controls and the like: not remembered
            cursor = end_of_word(word, end, kinds);
            next.kind = Pending::kUnremembered;
            next.word_end = cursor;
        }
        if (++count >= kEnoughPending) {
            if (!finish(count, end, out)) return kNeedsReference;
            count = 0;
        }
    }
    at = {cursor, count};
    return kDone;
}

// The second half of the scan, some words later: by now the tables' lines, asked for when the words were seen, are near
// the core. Measured on a busy machine, where they come from far away, looking words up at once took twice as long.
bool WordPieceWorker::finish(std::size_t count, const char* end, TokenBuffer& out) {
    std::int32_t* ids = out.end();
    for (const Pending* next = pending_.data(); next < pending_.data() + count; ++next) {
        bool elsewhere = false;
        if (next->kind == Pending::kTiny) {
            const std::uint64_t* found = static_cast<const TinyMemo::Set*>(next->place)->find(next->key.low);
            if (found != nullptr && *found != PackedIds::kElsewhere) {
                ids = PackedIds::unpack(*found, ids);
                continue;
            }
            elsewhere = found != nullptr;
        } else if (write_known(*next, ids, elsewhere)) {
            continue;
        }
        if (!write_missing(*next, elsewhere, end, ids, out)) return false;
    }
    out.set_end(ids);
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

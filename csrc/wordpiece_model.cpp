// The model's half of wordpiece.hpp: what bytes and code points mean, and the longest-match walk.
#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "wordpiece.hpp"

namespace {

bool is_ascii_alphanumeric(int byte) { return byte < 0x80 && is_word_byte(static_cast<unsigned char>(byte)); }

// Whether an effect is one character with a break on both sides.
bool stands_alone(const LearnedEffect& effect) {
    return effect.state.load() == LearnedEffect::kBroken && effect.code_points == 1 && !effect.survivor &&
           effect.size >= 3 && effect.text[0] == kBreak && effect.text[effect.size - 1] == kBreak;
}

}  // namespace

WordPieceModel::WordPieceModel(Reference& reference, const WordPieceSettings& settings)
    : reference_(reference),
      effects_(reference),
      trie_(settings.opening, settings.continuing),
      unknown_id_(settings.unknown_id),
      max_code_points_(settings.max_code_points) {
    for (std::atomic<std::int32_t>& id : chinese_ids_) id.store(kNotAsked, std::memory_order_relaxed);
    classify_ascii();
    for (const std::string& literal : settings.literals) {
        if (literal.empty()) continue;
        const auto first = static_cast<unsigned char>(literal[0]);
        literal_with_slash_ |= literal.find('/') != std::string::npos;
        if (kinds_[first] == kPunctuation || kinds_[first] == kLiteralStart) {
            kinds_[first] = kLiteralStart;
            literals_.push_back(literal);
        } else {
            hidden_literals_.push_back(literal);
        }
    }
    json_kinds_ = kinds_;
    json_kinds_['\\'] = kEscape;
    for (int byte = 0; byte < 256; ++byte) escapes_[byte] = static_cast<std::int8_t>(unescaped(byte));
#ifdef MASKGEN_BYTE_CLASSES
    const auto is_space = [&](char byte) { return kinds_[static_cast<unsigned char>(byte)] == kSpace; };
    has_byte_classes_ = cpu_has_byte_classes() && is_space('\n') && is_space('\t') && is_space('\r');
    byte_classes_ = byte_classes_of(kinds_);
    json_byte_classes_ = byte_classes_of(json_kinds_);
#endif
}

#ifdef MASKGEN_BYTE_CLASSES
ByteClasses WordPieceModel::byte_classes_of(const std::array<std::uint8_t, 256>& kinds) {
    ByteClasses classes;
    for (unsigned byte = 0; byte < 0x80; ++byte) {
        switch (kinds[byte]) {
            case kWord: classes.add(classes.word, byte); break;
            case kPunctuation: classes.add(classes.punctuation, byte); break;
            case kLiteralStart: case kEscape: classes.add(classes.soft, byte); break;
            case kGlue: classes.add(classes.hard, byte); break;
            default: break;
        }
    }
    return classes;
}
#endif

void WordPieceModel::classify_ascii() {
    kinds_.fill(kWord);
    for (int lead = 0xe4; lead <= 0xe9; ++lead) kinds_[lead] = kChinese;
    for (int byte = 0; byte < 0x80; ++byte) {
        const LearnedEffect& effect = effects_[static_cast<std::uint32_t>(byte)];
        if (is_ascii_alphanumeric(byte)) {
            if (effect.state.load() != LearnedEffect::kPlain || effect.size != 1 || effect.survivor) {
                throw std::invalid_argument("its normaliser or pre-tokeniser does not keep ASCII letters and digits "
                                            "as single characters of words");
            }
            ascii_plain_[byte] = effect.text[0];
            continue;
        }
        kinds_[byte] = kGlue;  // removed, or anything else that the scan need not know
        if (effect.state.load() == LearnedEffect::kBroken && effect.size == 1) {
            kinds_[byte] = kSpace;
        } else if (stands_alone(effect)) {
            std::vector<std::int32_t> ids;
            if (append_pieces(effect.text + 1, effect.text + effect.size - 1, ids) && ids.size() == 1 &&
                ids[0] <= PackedIds::kLargestId) {
                kinds_[byte] = kPunctuation;
                ascii_ids_[byte] = ids[0];
                ascii_sets_[byte].insert(static_cast<std::uint64_t>(byte), PackedIds::pack(ids.data(), 1));
            }
        }
    }
}

int WordPieceModel::unescaped(int escape) const {
    int meant = escape;
    switch (escape) {
        case 'n': meant = '\n'; break;
        case 't': meant = '\t'; break;
        case 'r': meant = '\r'; break;
        case '/':
            if (literal_with_slash_) return -1;
            break;
        case '"': case '\\': break;
        default: return -1;
    }
    // By the unescaped text's own kinds: a literal may start here, and then the reference needs the whole text.
    return kinds_[meant] <= kPunctuation ? meant : -1;
}

bool WordPieceModel::is_literal(const char* cursor, const char* end) const {
    const std::string_view rest(cursor, static_cast<std::size_t>(end - cursor));
    return std::any_of(literals_.begin(), literals_.end(), [&](const std::string& literal) {
        return rest.compare(0, literal.size(), literal) == 0;
    });
}

bool WordPieceModel::holds_hidden_literal(const char* begin, const char* end) const {
    const std::string_view text(begin, static_cast<std::size_t>(end - begin));
    return std::any_of(hidden_literals_.begin(), hidden_literals_.end(), [&](const std::string& literal) {
        return text.find(literal) != std::string_view::npos;
    });
}

std::int32_t WordPieceModel::chinese_id(std::uint32_t code_point) {
    std::atomic<std::int32_t>& slot = chinese_ids_[code_point - kChineseFirst];
    std::int32_t id = slot.load(std::memory_order_relaxed);
    if (id != kNotAsked) return id;
    id = kNotAlone;
    const LearnedEffect& effect = effects_[code_point];
    std::vector<std::int32_t> ids;
    if (stands_alone(effect) && append_pieces(effect.text + 1, effect.text + effect.size - 1, ids) &&
        ids.size() == 1) {
        id = ids[0];
    }
    slot.store(id, std::memory_order_relaxed);
    return id;
}

bool WordPieceModel::append_pieces(const char* begin, const char* end, std::vector<std::int32_t>& ids) const {
    const std::size_t before = ids.size();
    std::uint32_t root = trie_.opening_root();
    while (begin < end) {
        const char* best_end = nullptr;
        std::int32_t best = -1;
        std::uint32_t state = root;
        for (const char* cursor = begin; cursor < end;) {
            state = trie_.step(state, static_cast<unsigned char>(*cursor++));
            if (state == 0) break;
            const std::int32_t id = trie_.id(state);
            if (id >= 0) {
                best = id;
                best_end = cursor;
            }
        }
        if (best < 0) {  // one piece that does not match makes the whole word unknown
            ids.resize(before);
            if (unknown_id_ < 0) return false;
            ids.push_back(unknown_id_);
            return true;
        }
        ids.push_back(best);
        begin = best_end;
        root = trie_.continuing_root();
    }
    return true;
}

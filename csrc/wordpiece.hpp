// WordPiece as `tokenizers` does it: BertNormalizer, BertPreTokenizer, longest match first. UTF-8 in, ids out.
//
//   text --scan--> raw words --memo--> ids
//                      \--miss--> resolve: learned effects -> normalised words -> trie --> ids (remembered)
//                                     \--marks that may trade places--> the reference, for that raw word
//   a text that holds a special token's literal --> the reference, as a whole
//
// A raw word lies between ASCII white space, ASCII punctuation and Chinese characters. Nothing that the reference does
// reaches across these (they are starters, so no reordering passes them), so equal raw words always have equal ids,
// and a word found in the memo was valid UTF-8 when it was put there.
//
// Words are found 64 bytes at a time (wordpiece_blocks.cpp) where the processor can, and else one by one
// (wordpiece.cpp), as are Chinese characters and words that something invisible joins. The ids are written some words
// later, when what the tables hold of them is near.
//
// The model is shared and does not change, except that learned effects are added; each thread has its own worker.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "byte_classes.hpp"
#include "learned_text.hpp"
#include "piece_trie.hpp"
#include "token_buffer.hpp"
#include "word_memo.hpp"

struct WordPieceSettings {
    std::vector<PieceTrie::Entry> opening;     // every token
    std::vector<PieceTrie::Entry> continuing;  // the tokens with the continuing prefix, without it
    std::int32_t unknown_id = -1;              // -1: the vocabulary has none, and the reference must raise its error
    std::uint32_t max_code_points = 100;       // of a normalised word; longer ones are unknown
    std::vector<std::string> literals;         // added tokens: a text that holds one is the reference's
};

class WordPieceModel {
public:
    // Asks the reference about ASCII. Throws std::invalid_argument where it does not treat it as BERT does.
    WordPieceModel(Reference& reference, const WordPieceSettings& settings);

private:
    friend class WordPieceWorker;

    // What a byte means to the scan; the order matters: those up to kEscape end a raw word, kSpace and kPunctuation
    // are also the number of ids that they give.
    enum Kind : std::uint8_t { kSpace, kPunctuation, kLiteralStart, kEscape, kWord, kChinese, kGlue };

    static constexpr std::uint32_t kChineseFirst = 0x4000, kChineseLast = 0x9fff;  // lead bytes e4-e9
    static constexpr std::int32_t kNotAsked = -1, kNotAlone = -2;

    void classify_ascii();
#ifdef MASKGEN_BYTE_CLASSES
    static ByteClasses byte_classes_of(const std::array<std::uint8_t, 256>& kinds);
#endif
    // What the second character of a JSON escape stands for, when the scan can take it; else -1.
    int unescaped(int escape) const;
    bool is_literal(const char* cursor, const char* end) const;
    bool holds_hidden_literal(const char* begin, const char* end) const;
    // The id of a code point of that range when it is a word of its own; kNotAlone when it joins its neighbours.
    std::int32_t chinese_id(std::uint32_t code_point);
    // Appends the ids of one normalised word. False: it is unknown, and there is no id for that.
    bool append_pieces(const char* begin, const char* end, std::vector<std::int32_t>& ids) const;

    Reference& reference_;
    LearnedText effects_;
    const PieceTrie trie_;
    const std::int32_t unknown_id_;
    const std::uint32_t max_code_points_;
    std::vector<std::string> literals_;         // those that start with ASCII punctuation: the scan finds them
    std::vector<std::string> hidden_literals_;  // the others are searched for in every text
    bool literal_with_slash_ = false;
    std::array<std::uint8_t, 256> kinds_;
    std::array<std::uint8_t, 256> json_kinds_;  // the same inside a JSON string
#ifdef MASKGEN_BYTE_CLASSES
    bool has_byte_classes_ = false;
    ByteClasses byte_classes_, json_byte_classes_;
#endif
    std::array<std::int8_t, 256> escapes_;      // unescaped()
    std::array<std::int32_t, 128> ascii_ids_{};
    // Punctuation as the scan looks up words: a set of its own for each.
    std::array<TinyMemo::Set, 128> ascii_sets_{};
    std::array<char, 128> ascii_plain_{};  // the one character that a letter or digit becomes
    std::array<std::atomic<std::int32_t>, kChineseLast - kChineseFirst + 1> chinese_ids_;
};

class WordPieceWorker {
public:
    explicit WordPieceWorker(WordPieceModel& model) : model_(model) {}

    // Appends the ids of a text. Throws InvalidUtf8, and whatever the reference throws.
    void encode(const char* begin, const char* end, TokenBuffer& out);

    // The same for the bytes between the quotes of a JSON string. False, and nothing appended: it has to be unescaped
    // first (it holds \u, \b, \f or a special token's literal).
    bool encode_json(const char* begin, const char* end, TokenBuffer& out);

private:
    enum Outcome { kDone, kNeedsReference, kNeedsUnescaping };

    // Something of which the ids will be written a little later.
    struct Pending {
        enum Kind : std::uint32_t { kTiny, kShort, kLong, kId, kUnremembered };  // the memo table; or no word
        Kind kind;
        std::uint32_t length;  // of a word in a table
        const void* place;     // its set there
        Key16 key, second;
        const char* word;
        union {
            const char* word_end;  // kUnremembered
            std::int32_t id;       // kId
        };
    };

    struct Progress {
        const char* cursor;
        std::size_t count;  // of what is pending
    };

    template <bool kJson>
    Outcome scan(const char* begin, const char* end, TokenBuffer& out);
    // One item after the other, until one ends at `until` or beyond.
    template <bool kJson>
    Outcome scan_words(Progress& at, const char* until, const char* end, TokenBuffer& out);
#ifdef MASKGEN_BYTE_CLASSES
    // As far as nothing stands in the way that scan_words() has to look at.
    template <bool kJson>
    Outcome scan_blocks(Progress& at, const char* end, TokenBuffer& out);
    bool finish_blocks(std::size_t count, const char* end, TokenBuffer& out);
#endif
    const char* end_of_word(const char* cursor, const char* end, const std::uint8_t* kinds);
    bool finish(std::size_t count, const char* end, TokenBuffer& out);
    // Writes the ids of something that is pending, and is no tiny word, where they are known without asking further.
    static bool write_known(const Pending& item, std::int32_t*& ids, bool& elsewhere);
    // For the rest: writes the ids behind those up to `ids`, which may move. False as below.
    bool write_missing(const Pending& word, bool elsewhere, const char* end, std::int32_t*& ids, TokenBuffer& out);
    bool joins(const char* cursor, const char* end);  // whether a Chinese candidate is part of the word before it
    // These leave the word's ids in ids_. False: it is unknown, and only the reference can say what that means.
    bool look_up(const Pending& word, bool elsewhere);
    bool resolve(const char* begin, const char* end);
    void resolve_by_reference(const char* begin, const char* end);
    bool flush_word();

    // Enough for memory to answer (64 was no faster), and what one block of text may add.
    static constexpr std::size_t kEnoughPending = 32, kMostPending = kEnoughPending + 64;
    // Room behind the ids that are certain to come: copies of whole memo entries write past their last id.
    static constexpr std::size_t kSlack = 64;
    static constexpr std::size_t kMostHardWords = 4096, kLongestHardWord = 256;

    WordPieceModel& model_;
    std::array<Pending, kMostPending> pending_;
    TinyMemo tiny_memo_;
    ShortMemo short_memo_;
    LongMemo long_memo_;
    std::unordered_map<std::string, std::vector<std::int32_t>> hard_words_;  // emptied when full
    std::vector<std::int32_t> ids_;     // what resolve() found
    std::string word_;                  // the normalised word being built
    std::size_t word_code_points_ = 0;
};

inline bool WordPieceWorker::write_known(const Pending& item, std::int32_t*& ids, bool& elsewhere) {
    if (item.kind == Pending::kShort) {
        const ShortIds* found = static_cast<const ShortMemo::Set*>(item.place)->find({{item.key}});
        elsewhere = found != nullptr && found->packed[0] == PackedIds::kElsewhere;
        if (found == nullptr || elsewhere) return false;
        ids = PackedIds::unpack(found->packed[1], PackedIds::unpack(found->packed[0], ids));
        return true;
    }
    if (item.kind == Pending::kId) {
        *ids++ = item.id;
        return true;
    }
    if (item.kind != Pending::kLong) return false;
    const LongIds* found = static_cast<const LongMemo::Set*>(item.place)->find({{item.key, item.second}});
    if (found == nullptr) return false;
    std::memcpy(ids, found->ids, sizeof(found->ids));
    ids += found->count;
    return true;
}

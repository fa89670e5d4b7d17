#include "sentences.hpp"

#include <algorithm>
#include <array>

#include "utf8.hpp"

namespace {

constexpr int kLongestWord = 24;

enum Class : std::uint16_t {
    kBlank = 1, kStop = 2, kWideStop = 4, kCloser = 8, kOpener = 16, kJoiner = 32, kLower = 64, kUpper = 128,
    kDigit = 256, kWordPart = 512,
};

std::uint16_t classify_slowly(std::uint32_t c) {
    const auto one_of = [c](std::initializer_list<std::uint32_t> list) {
        return std::find(list.begin(), list.end(), c) != list.end();
    };
    std::uint16_t result = 0;
    if (one_of({' ', '\t', '\n', '\r', 0x0b, 0x0c, 0xa0, 0x3000})) result |= kBlank;
    if (one_of({'.', '!', '?', 0x2026, 0x203c, 0x2047, 0x2048, 0x2049, 0x964, 0x965, 0x61f, 0x6d4, 0x589, 0x1362, 0x104b,
                0x17d4})) {
        result |= kStop;
    }
    if (one_of({0x3002, 0xff01, 0xff1f, 0xff61})) result |= kWideStop;
    if (one_of({'"', '\'', ')', ']', '}', 0x201d, 0x2019, 0xbb, 0x203a, 0x300d, 0x300f, 0xff09, 0x3011, 0x300b, 0x3009,
                0xff3d, '*', '_'})) {
        result |= kCloser;
    }
    if (one_of({'"', '\'', '(', '[', '{', 0x201c, 0x2018, 0xab, 0x2039, 0x201e, 0xbf, 0xa1, 0x300c, 0x300e, 0xff08, '*',
                '_', '#'})) {
        result |= kOpener;
    }
    if (one_of({',', ';', ':', '-', 0x2013, 0x2014, '%', '=', '+', '/', '&', '|', '<', '>', ')', ']', '}'})) {
        result |= kJoiner;
    }
    const auto in = [c](std::uint32_t first, std::uint32_t last) { return c >= first && c <= last; };
    if (in('a', 'z') || in(0xdf, 0xff) || in(0x3b1, 0x3c9) || in(0x430, 0x45f)) result |= kLower;
    if (in('A', 'Z') || in(0xc0, 0xde) || in(0x391, 0x3a9) || in(0x400, 0x42f)) result |= kUpper;
    if (in('0', '9')) result |= kDigit;
    const bool part = c < 0x80 ? (result & (kLower | kUpper | kDigit)) != 0
                               : (result & (kBlank | kStop | kWideStop | kCloser | kOpener | kJoiner)) == 0;
    if (part) result |= kWordPart;
    return result;
}

// Classes of the code points below U+0800; few others are looked up, and those that are looked up often (kana, Indic
// letters) are not in any list.
std::uint16_t classify(std::uint32_t c) {
    static const auto table = [] {
        std::array<std::uint16_t, 0x800> classes{};
        for (std::uint32_t i = 0; i < classes.size(); ++i) classes[i] = classify_slowly(i);
        return classes;
    }();
    return c < table.size() ? table[c] : classify_slowly(c);
}

// First bytes of all stops, and the line end: the only bytes at which the search looks.
const std::array<bool, 256>& interesting_bytes() {
    static const auto table = [] {
        std::array<bool, 256> bytes{};
        for (const int byte : {int{'\n'}, int{'.'}, int{'!'}, int{'?'}, 0xd6, 0xd8, 0xdb, 0xe0, 0xe1, 0xe2, 0xe3, 0xef}) bytes[byte] = true;
        return bytes;
    }();
    return table;
}

class Search {
public:
    Search(const char* begin, const char* end, const SentenceWords& words) : begin_(begin), end_(end), words_(words) {}

    void run(std::vector<std::size_t>& starts) {
        const auto& interesting = interesting_bytes();
        const char* sentence = begin_;
        for (const char* i = begin_; i < end_;) {
            if (!interesting[static_cast<unsigned char>(*i)]) {
                ++i;
                continue;
            }
            if (*i == '\n') {
                const char* behind = behind_blank_line(i);
                if (behind > i) {
                    if (has_content(sentence, i) && behind < end_) {
                        starts.push_back(static_cast<std::size_t>(behind - begin_));
                        sentence = behind;
                    }
                    i = behind;
                    continue;
                }
                ++i;
                continue;
            }
            const char* next = i;
            std::uint16_t stop = take(next);
            if ((stop & (kStop | kWideStop)) == 0) {
                i = next;
                continue;
            }
            const char* first = i;
            std::size_t stops = 0;
            bool wide = false;
            while ((stop & (kStop | kWideStop)) != 0) {
                wide = (stop & kWideStop) != 0;
                ++stops;
                i = next;
                if (i == end_) break;
                stop = take(next);
            }
            const char* closers = i;
            const char* blank = behind_closers(i);
            bool line_end = false;
            i = behind_blanks(blank, line_end);
            if (i == end_) break;
            bool ends = false;
            if (wide) {
                const char* cursor = i;
                ends = !(blank > closers && decode(cursor) == 0x3068);
            } else {
                ends = i > blank && ends_sentence(first, stops, i);
            }
            if (ends) {
                starts.push_back(static_cast<std::size_t>(i - begin_));
                sentence = i;
            } else if (line_end) {
                i = blank;  // a blank line may still end it
            }
        }
    }

private:
    std::uint32_t decode(const char*& cursor) const {
        const std::uint32_t value = decode_utf8(cursor, end_);
        if (value == kInvalidCodePoint) throw InvalidUtf8(cursor);
        return value;
    }
    std::uint16_t take(const char*& cursor) const { return classify(decode(cursor)); }
    std::uint16_t look(const char* cursor) const { return take(cursor); }

    // The code point that ends at `cursor`, which is behind the beginning; moves `cursor` in front of it.
    std::uint32_t decode_back(const char*& cursor) const {
        do {
            --cursor;
        } while (cursor > begin_ && (static_cast<unsigned char>(*cursor) & 0xc0) == 0x80);
        const char* copy = cursor;
        return decode(copy);
    }

    const char* behind_blanks(const char* i, bool& line_end) const {
        while (i < end_) {
            const char* next = i;
            if ((take(next) & kBlank) == 0) break;
            line_end |= *i == '\n';
            i = next;
        }
        return i;
    }
    bool has_content(const char* begin, const char* end) const {
        bool ignored = false;
        return behind_blanks(begin, ignored) < end;
    }
    const char* behind_blank_line(const char* i) const {
        bool ignored = false;
        const char* behind = behind_blanks(i, ignored);
        return std::count(i, behind, '\n') > 1 ? behind : i;
    }
    const char* behind_closers(const char* i) const {
        while (i < end_) {
            const char* next = i;
            if ((take(next) & kCloser) != 0) {
                i = next;
                continue;
            }
            const char* close = i + 1;
            while (close < end_ && close - i < 5 && *close >= '0' && *close <= '9') ++close;
            if (*i != '[' || close == i + 1 || close >= end_ || *close != ']') break;
            i = close + 1;
        }
        return i;
    }

    bool ends_sentence(const char* stop, std::size_t stops, const char* behind) const {
        const char* i = behind;
        while (i < end_) {
            const char* next = i;
            if ((take(next) & kOpener) == 0) break;
            i = next;
        }
        if (i == end_) return true;
        const std::uint16_t following = look(i);
        if ((following & (kLower | kJoiner)) != 0) return false;
        if (stops > 1 || *stop != '.') return true;
        const char* word_begin = stop;
        std::size_t length = 0;
        bool dotted = false, all_digits = true;
        for (; word_begin > begin_ && length < kLongestWord; ++length) {
            const char* before = word_begin;
            const std::uint32_t c = decode_back(before);
            const std::uint16_t its_class = classify(c);
            if ((its_class & kWordPart) == 0 && c != '.') break;
            dotted |= c == '.';
            all_digits &= (its_class & kDigit) != 0;
            word_begin = before;
        }
        if (length == 0) return true;
        const std::string word(word_begin, stop);
        const char* following_end = i;
        for (int count = 0; following_end < end_ && count < kLongestWord; ++count) {
            const char* next = following_end;
            if ((take(next) & kWordPart) == 0) break;
            following_end = next;
        }
        const bool starter = words_.starters.count(std::string(i, following_end)) != 0;
        if (words_.never_last.count(word) != 0) return false;
        if ((following & kDigit) != 0 && words_.before_numbers.count(word) != 0) return false;
        if (words_.sometimes_last.count(word) != 0) return starter;
        if (all_digits) {
            if (word_begin == begin_ || word_begin[-1] == '\n') return false;
            return length > 2 || starter;
        }
        if (length == 1) {
            if ((look(word_begin) & kUpper) == 0) return true;
            const char* before = word_begin;
            while (before > begin_ && before[-1] == ' ') --before;
            return before > begin_ && (classify(decode_back(before)) & kLower) != 0 && (starter || word == "I");
        }
        if (dotted) return starter || !parts_are_short(word_begin, stop);
        return true;
    }

    // Whether no part between dots has more than two code points.
    bool parts_are_short(const char* cursor, const char* end) const {
        int length = 0;
        while (cursor < end) {
            length = decode(cursor) == '.' ? 0 : length + 1;
            if (length > 2) return false;
        }
        return true;
    }

    const char* const begin_;
    const char* const end_;
    const SentenceWords& words_;
};

}  // namespace

void find_sentence_starts(const char* begin, const char* end, const SentenceWords& words,
                          std::vector<std::size_t>& starts) {
    Search(begin, end, words).run(starts);
}

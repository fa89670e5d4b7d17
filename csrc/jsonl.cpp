#include "jsonl.hpp"

#include <algorithm>
#include <cstring>

#include "json_text.hpp"
#include "utf8.hpp"

namespace {

constexpr unsigned kDeepest = 64;  // as many as there are bits to remember the open brackets

bool is_utf8(const char* begin, const char* end) {
    try {
        validate_utf8(begin, end);
    } catch (const InvalidUtf8&) {
        return false;
    }
    return true;
}

// The grammar of one line. Nothing here passes over a \n; the end of the data reads as one.
class LineScanner {
public:
    LineScanner(const char* data, const char* end, const std::vector<std::string>& keys)
        : data_(data), cursor_(data), end_(end), keys_(keys) {}

    const char* cursor() const { return cursor_; }

    // Leaves the cursor at the first byte that is not white space as bytes.isspace() has it.
    bool blank() {
        const char* cursor = cursor_;
        while (cursor < end_ && (*cursor == ' ' || *cursor == '\t' || *cursor == '\r' || *cursor == '\v' ||
                                 *cursor == '\f')) {
            ++cursor;
        }
        if (cursor < end_ && *cursor != '\n') return false;
        cursor_ = cursor;
        return true;
    }

    // One object with all the keys, each once. `spans` holds -1 for every key when this is called.
    bool record(std::int64_t* spans) {
        skip_space();
        if (!take('{')) return false;
        skip_space();
        if (!take('}')) {
            do {
                skip_space();
                if (!member(spans)) return false;
                skip_space();
            } while (take(','));
            if (!take('}')) return false;
        }
        skip_space();
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            if (spans[2 * i] < 0) return false;
        }
        return next() == '\n';
    }

    // Behind the line's \n.
    void to_next_line() {
        const void* found = std::memchr(cursor_, '\n', static_cast<std::size_t>(end_ - cursor_));
        cursor_ = found == nullptr ? end_ : static_cast<const char*>(found) + 1;
    }

private:
    struct String {
        const char *begin, *end;  // between the quotes
        bool escaped, ascii;
    };

    char next() const { return cursor_ < end_ ? *cursor_ : '\n'; }
    bool take(char wanted) {
        if (next() != wanted) return false;
        ++cursor_;
        return true;
    }
    void skip_space() {
        while (cursor_ < end_ && (*cursor_ == ' ' || *cursor_ == '\t' || *cursor_ == '\r')) ++cursor_;
    }

    bool member(std::int64_t* spans) {
        String name;
        // The twin compares unescaped names.
        if (!string(name) || name.escaped || !valid(name)) return false;
        skip_space();
        if (!take(':')) return false;
        skip_space();
        bool wanted = false;
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            if (!is_key(name, keys_[i])) continue;
            if (spans[2 * i] >= 0) return false;
            wanted = true;
        }
        if (!wanted) return value();
        String content;
        if (!text(content)) return false;
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            if (!is_key(name, keys_[i])) continue;
            spans[2 * i] = content.begin - data_;
            spans[2 * i + 1] = content.end - data_;
        }
        return true;
    }

    static bool is_key(const String& name, const std::string& key) {
        const auto size = static_cast<std::size_t>(name.end - name.begin);
        return size == key.size() && std::memcmp(name.begin, key.data(), size) == 0;
    }
    static bool valid(const String& string) { return string.ascii || is_utf8(string.begin, string.end); }

    // The bytes at `cursor` as a block. Behind the end are zeros, which stop a string as any control does.
    JsonBlock block_at(const char* cursor) const {
        if (end_ - cursor >= JsonBlock::kBytes) return JsonBlock(cursor);
        char padded[JsonBlock::kBytes] = {};
        std::memcpy(padded, cursor, static_cast<std::size_t>(end_ - cursor));
        return JsonBlock(padded);
    }

    // A wanted text: up to its closing quote, with nothing checked but that there is no control. Looking at each escape
    // (one every 43 bytes of English) took three times as long, and the encoder looks at them anyway.
    bool text(String& found) {
        if (!take('"')) return false;
        found.begin = cursor_;
        for (std::uint64_t escaped = 0;; cursor_ += JsonBlock::kBytes) {
            const JsonBlock block = block_at(cursor_);
            const std::uint64_t stops = block.closing_quotes(escaped) | block.controls;
            if (stops == 0) continue;
            cursor_ += __builtin_ctzll(stops);
            found.end = cursor_;
            return take('"');
        }
    }

    // Any other string, with valid escapes; its UTF-8 is the caller's business.
    bool string(String& found) {
        if (!take('"')) return false;
        found = {cursor_, nullptr, false, true};
        for (;;) {
            const JsonBlock block = block_at(cursor_);
            found.ascii &= block.ascii;
            const std::uint64_t stops = block.quotes | block.backslashes | block.controls;
            if (stops == 0) {
                cursor_ += JsonBlock::kBytes;
                continue;
            }
            cursor_ += __builtin_ctzll(stops);
            found.end = cursor_;
            if (take('"')) return true;
            const int length = next() == '\\' ? escape_length(cursor_, end_) : 0;
            if (length == 0) return false;
            found.escaped = true;
            cursor_ += length;
        }
    }

    bool checked_string() {
        String found;
        return string(found) && valid(found);
    }

    bool name_and_colon() {
        if (!checked_string()) return false;
        skip_space();
        if (!take(':')) return false;
        skip_space();
        return true;
    }

    // Any value that nobody asked for, without recursion: one bit says of each open bracket whether it is an object's.
    bool value() {
        std::uint64_t objects = 0;
        unsigned depth = 0;
        for (;;) {
            const char first = next();
            if (first == '{' || first == '[') {
                const bool object = first == '{';
                ++cursor_;
                skip_space();
                if (!take(object ? '}' : ']')) {
                    if (depth++ == kDeepest) return false;
                    objects = objects << 1 | static_cast<std::uint64_t>(object);
                    if (object && !name_and_colon()) return false;
                    continue;
                }
            } else if (!scalar(first)) {
                return false;
            }
            for (;; --depth, objects >>= 1) {  // a value has ended, and with it perhaps what it stands in
                if (depth == 0) return true;
                skip_space();
                if (take(',')) break;
                if (!take(objects & 1 ? '}' : ']')) return false;
            }
            skip_space();
            if ((objects & 1) && !name_and_colon()) return false;
        }
    }

    bool scalar(char first) {
        switch (first) {
            case '"': return checked_string();
            case 't': return literal("true", 4);
            case 'f': return literal("false", 5);
            case 'n': return literal("null", 4);
            default: return number();
        }
    }

    bool literal(const char* wanted, std::ptrdiff_t size) {
        if (end_ - cursor_ < size || std::memcmp(cursor_, wanted, static_cast<std::size_t>(size)) != 0) return false;
        cursor_ += size;
        return true;
    }

    bool digits() {
        const char* begin = cursor_;
        while (cursor_ < end_ && *cursor_ >= '0' && *cursor_ <= '9') ++cursor_;
        return cursor_ > begin;
    }

    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            if (!digits()) return false;
        }
        return true;
    }

    const char* const data_;
    const char* cursor_;
    const char* const end_;
    const std::vector<std::string>& keys_;
};

}  // namespace

JsonLines scan_json_lines(const char* begin, const char* end, const std::vector<std::string>& keys) {
    JsonLines lines;
    LineScanner scanner(begin, end, keys);
    const std::size_t width = 2 * keys.size();
    while (scanner.cursor() < end) {
        lines.starts.push_back(scanner.cursor() - begin);
        const std::size_t before = lines.spans.size();
        lines.spans.resize(before + width, -1);
        if (scanner.blank()) {
            lines.states.push_back(JsonLines::kBlank);
        } else if (scanner.record(lines.spans.data() + before)) {
            lines.states.push_back(JsonLines::kTaken);
        } else {
            lines.states.push_back(JsonLines::kAskTwin);
            std::fill(lines.spans.begin() + static_cast<std::ptrdiff_t>(before), lines.spans.end(), -1);
        }
        scanner.to_next_line();
    }
    lines.starts.push_back(end - begin);
    return lines;
}

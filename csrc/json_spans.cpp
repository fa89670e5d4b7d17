#include "json_spans.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "json_text.hpp"
#include "utf8.hpp"

namespace {

constexpr std::size_t kBytesBetween = std::size_t{2} << 20;

// Appends to the bench's ids. False: no text, and nothing appended.
bool encode_span(WordPieceWorkers::Bench& bench, const char* begin, const char* end) {
    const std::size_t before = bench.ids.size();
    try {
        if (bench.worker.encode_json(begin, end, bench.ids)) return true;
        const char* last = nullptr;
        if (!unescape_json(begin, end, bench.utf8, last)) return false;
        bench.worker.encode(bench.utf8.data(), last, bench.ids);
        return true;
    } catch (const InvalidUtf8&) {
        bench.ids.truncate(before);
        return false;
    }
}

// While the ids are in cache: half the memory is written, and nobody has to read them again to copy them.
void append_ids(const TokenBuffer& ids, IdBuffer<std::uint16_t>& out) {
    const std::size_t count = ids.size();
    out.reserve(count);
    std::uint32_t all = 0;
    const std::int32_t* from = ids.data();
    std::uint16_t* to = out.end();
    for (std::size_t i = 0; i < count; ++i) {
        all |= static_cast<std::uint32_t>(from[i]);
        to[i] = static_cast<std::uint16_t>(from[i]);
    }
    if (all > std::numeric_limits<std::uint16_t>::max()) throw std::overflow_error("an id does not fit into uint16");
    out.set_end(to + count);
}

void append_ids(const TokenBuffer& ids, IdBuffer<std::int32_t>& out) { out.append(ids.data(), ids.size()); }

}  // namespace

template <typename Id>
EncodedSpans<Id> encode_json_spans(WordPieceWorkers& workers, const char* data, std::size_t size,
                                   const std::int64_t* spans, std::size_t count, std::uint64_t sample_one_in,
                                   const std::function<void()>& now_and_then) {
    EncodedSpans<Id> result;
    result.lengths.reserve(count);
    // Room for English (an id for 4.3 bytes) at once: growing from nothing copies them about twice (measured: 1 to 2 % of all).
    std::size_t total = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t first = spans[2 * i], last = spans[2 * i + 1];
        if (first >= 0 && last > first && static_cast<std::uint64_t>(last) <= size) {
            total += static_cast<std::size_t>(last - first);
        }
    }
    result.ids.reserve(std::min(total, size) / 4);
    std::unique_ptr<WordPieceWorkers::Bench> bench = workers.borrow();
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t first = spans[2 * i], last = spans[2 * i + 1];
        if (first == -1 && last == -1) {
            result.lengths.push_back(0);
            continue;
        }
        if (first < 0 || last < first || static_cast<std::uint64_t>(last) > size) {
            throw std::invalid_argument("span " + std::to_string(i) + " (" + std::to_string(first) + ", " +
                                        std::to_string(last) + ") is not inside the " + std::to_string(size) +
                                        " bytes");
        }
        const char *begin = data + first, *end = data + last;
        bench->ids.truncate(0);
        if (!encode_span(*bench, begin, end)) {
            result.lengths.push_back(-1);
            continue;
        }
        if (bench->ids.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
            throw BadTextError("more than 2147483647 tokens", i, 0);
        }
        append_ids(bench->ids, result.ids);
        result.lengths.push_back(static_cast<std::int32_t>(bench->ids.size()));
        if (sample_one_in != 0 && sample_hash(begin, end) % sample_one_in == 0) {
            result.sampled.push_back(static_cast<std::int64_t>(i));
        }
        bytes += static_cast<std::size_t>(end - begin);
        if (bytes >= kBytesBetween) {
            bytes = 0;
            now_and_then();
        }
    }
    workers.give_back(std::move(bench));
    return result;
}

template EncodedSpans<std::uint16_t> encode_json_spans(WordPieceWorkers&, const char*, std::size_t,
                                                       const std::int64_t*, std::size_t, std::uint64_t,
                                                       const std::function<void()>&);
template EncodedSpans<std::int32_t> encode_json_spans(WordPieceWorkers&, const char*, std::size_t, const std::int64_t*,
                                                      std::size_t, std::uint64_t, const std::function<void()>&);

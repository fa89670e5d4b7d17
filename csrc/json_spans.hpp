// The ids of texts that stand inside JSON strings, in one thread, narrowed to the width that is stored.
//
//   span --encode_json--> ids (in cache) --narrowed--> result
//         \--\u, \b, \f, a special token's literal--> unescaped --encode--/
//         \--invalid UTF-8, a bad escape, half a surrogate pair--> length -1
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "text_batch.hpp"
#include "token_buffer.hpp"

template <typename Id>
struct EncodedSpans {
    IdBuffer<Id> ids;
    std::vector<std::int32_t> lengths;  // one a span; -1: no text, and no ids
    std::vector<std::int64_t> sampled;  // spans to compare with the reference, ascending
};

// `spans` holds `count` pairs of begin and end in the data; both -1 stand for nothing (length 0). Throws
// std::invalid_argument for any other pair that is not inside, and std::overflow_error for an id that does not fit.
// `now_and_then` runs every few milliseconds and may throw to stop the work. Id is std::uint16_t or std::int32_t.
template <typename Id>
EncodedSpans<Id> encode_json_spans(WordPieceWorkers& workers, const char* data, std::size_t size,
                                   const std::int64_t* spans, std::size_t count, std::uint64_t sample_one_in,
                                   const std::function<void()>& now_and_then);

// Many texts, several threads, one flat array of ids in the order of the texts.
//
//   texts --cut into chunks of about 256 KB--> threads claim chunks in order --> each chunk's ids in a recycled buffer
//         --> appended to the result as soon as all earlier chunks are there
//
// The result does not depend on the number of threads, and neither does the error: it is that of the first bad text.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "token_buffer.hpp"
#include "utf8.hpp"
#include "wordpiece.hpp"

// A text that has no ids because it is no valid text.
struct BadTextError : std::runtime_error {
    BadTextError(const std::string& what, std::size_t text, std::size_t offset)
        : std::runtime_error(what), index(text), place(offset) {}
    std::size_t index;  // of the text in its batch
    std::size_t place;  // in bytes for invalid UTF-8, in code points for a lone surrogate
};

struct EncodedBatch {
    TokenBuffer ids;
    std::vector<std::int32_t> lengths;
    std::vector<std::int64_t> sampled;  // indices of the texts to compare with the reference, ascending
};

// Decides by length and first bytes alone which texts are compared with the reference.
std::uint64_t sample_hash(const char* begin, const char* end);

// The workers of one tokenizer. A worker is lent to one thread at a time and keeps its memo between batches.
class WordPieceWorkers {
public:
    explicit WordPieceWorkers(WordPieceModel& model) : model_(model) {}

    // About one text in `sample_one_in` is named in `sampled` (0: none), chosen by its length and first bytes alone.
    // `between_chunks` runs in the calling thread every few milliseconds and may throw to stop the work.
    EncodedBatch encode(const std::vector<TextView>& texts, unsigned threads, std::uint64_t sample_one_in,
                        const std::function<void()>& between_chunks);

    struct Bench {  // a worker with the buffers that it works on
        explicit Bench(WordPieceModel& model) : worker(model) {}
        WordPieceWorker worker;
        std::vector<char> utf8;
        TokenBuffer ids;
    };

    std::unique_ptr<Bench> borrow();
    void give_back(std::unique_ptr<Bench> bench);

private:
    class Run;

    WordPieceModel& model_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Bench>> idle_;
};

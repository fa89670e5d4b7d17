#include "text_batch.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <thread>

namespace {

// Small, so that no thread waits long for the last one: 64 KB was 7 % faster than 256 KB on two cores.
constexpr std::size_t kChunkBytes = 64 * 1024;
constexpr std::size_t kSampledPrefix = 64;

struct Chunk {
    std::size_t first, last;  // texts
    TokenBuffer ids;
    bool done = false;
};

}  // namespace

std::uint64_t sample_hash(const char* begin, const char* end) {
    std::uint64_t hash = static_cast<std::uint64_t>(end - begin) + 0x9e3779b97f4a7c15u;
    const char* last = begin + std::min<std::size_t>(static_cast<std::size_t>(end - begin), kSampledPrefix);
    for (const char* cursor = begin; cursor < last; ++cursor) {
        hash = (hash ^ static_cast<unsigned char>(*cursor)) * 0x100000001b3u;
    }
    hash ^= hash >> 29;
    hash *= 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 32;
}

class WordPieceWorkers::Run {
public:
    Run(WordPieceWorkers& workers, const std::vector<TextView>& texts, std::uint64_t sample_one_in)
        : workers_(workers), texts_(texts), sample_one_in_(sample_one_in) {
        result_.lengths.resize(texts.size());
        std::size_t bytes = kChunkBytes;
        for (std::size_t i = 0; i < texts.size(); ++i) {
            if (bytes >= kChunkBytes) {
                chunks_.push_back({i, i, {}, false});
                bytes = 0;
            }
            bytes += texts[i].bytes();
            chunks_.back().last = i + 1;
        }
    }

    EncodedBatch finish(unsigned threads, const std::function<void()>& between_chunks) {
        std::vector<std::thread> helpers;
        const std::size_t useful = std::min<std::size_t>(threads, chunks_.size());
        try {
            for (std::size_t i = 1; i < useful; ++i) helpers.emplace_back([this] { work({}); });
        } catch (const std::system_error&) {
            // No more threads to be had: those that run, and this one, do the work.
        }
        work(between_chunks);
        for (std::thread& helper : helpers) helper.join();
        if (error_) std::rethrow_exception(error_);
        std::sort(result_.sampled.begin(), result_.sampled.end());
        return std::move(result_);
    }

private:
    void work(const std::function<void()>& between_chunks) {
        std::unique_ptr<Bench> bench;
        TokenBuffer buffer;
        for (;;) {
            const std::size_t index = next_.fetch_add(1);
            // Chunks before the first bad one go on, so that the error is always that of the first bad text.
            if (index >= chunks_.size() || index > first_bad_.load()) break;
            try {
                if (bench == nullptr) bench = workers_.borrow();
                if (between_chunks) between_chunks();
                encode(chunks_[index], *bench, buffer);
                hand_in(index, buffer);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(mutex_);
                if (index < first_bad_.load()) {
                    first_bad_.store(index);
                    error_ = std::current_exception();
                }
            }
        }
        if (bench != nullptr) workers_.give_back(std::move(bench));
    }

    void encode(const Chunk& chunk, Bench& bench, TokenBuffer& buffer) {
        buffer.truncate(0);
        for (std::size_t i = chunk.first; i < chunk.last; ++i) {
            const char* begin = nullptr;
            const char* end = nullptr;
            const std::size_t before = buffer.size();
            try {
                as_utf8(texts_[i], bench.utf8, begin, end);
                bench.worker.encode(begin, end, buffer);
            } catch (const InvalidUtf8& error) {
                throw BadTextError("invalid UTF-8", i, static_cast<std::size_t>(error.position - begin));
            } catch (const LoneSurrogate& error) {
                throw BadTextError("lone surrogate", i, error.index);
            }
            const std::size_t count = buffer.size() - before;
            if (count > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
                throw BadTextError("more than 2147483647 tokens", i, 0);
            }
            result_.lengths[i] = static_cast<std::int32_t>(count);
            if (sample_one_in_ != 0 && sample_hash(begin, end) % sample_one_in_ == 0) {
                const std::lock_guard<std::mutex> lock(mutex_);
                result_.sampled.push_back(static_cast<std::int64_t>(i));
            }
        }
    }

    // Appends what is due. A chunk that came too early keeps its ids until the ones before it are there.
    void hand_in(std::size_t index, TokenBuffer& buffer) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (index != due_) {
            chunks_[index].ids = std::move(buffer);
            chunks_[index].done = true;
            buffer = TokenBuffer();
            if (!spare_.empty()) {
                buffer = std::move(spare_.back());
                spare_.pop_back();
            }
            return;
        }
        result_.ids.append(buffer.data(), buffer.size());
        for (++due_; due_ < chunks_.size() && chunks_[due_].done; ++due_) {
            result_.ids.append(chunks_[due_].ids.data(), chunks_[due_].ids.size());
            spare_.push_back(std::move(chunks_[due_].ids));
        }
    }

    WordPieceWorkers& workers_;
    const std::vector<TextView>& texts_;
    const std::uint64_t sample_one_in_;
    std::vector<Chunk> chunks_;
    std::atomic<std::size_t> next_{0};
    std::atomic<std::size_t> first_bad_{std::numeric_limits<std::size_t>::max()};
    std::mutex mutex_;  // for all below, except each text's own length
    EncodedBatch result_;
    std::size_t due_ = 0;
    std::vector<TokenBuffer> spare_;
    std::exception_ptr error_;
};

EncodedBatch WordPieceWorkers::encode(const std::vector<TextView>& texts, unsigned threads,
                                      std::uint64_t sample_one_in, const std::function<void()>& between_chunks) {
    return Run(*this, texts, sample_one_in).finish(threads, between_chunks);
}

std::unique_ptr<WordPieceWorkers::Bench> WordPieceWorkers::borrow() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!idle_.empty()) {
            std::unique_ptr<Bench> bench = std::move(idle_.back());
            idle_.pop_back();
            return bench;
        }
    }
    return std::make_unique<Bench>(model_);
}

void WordPieceWorkers::give_back(std::unique_ptr<Bench> bench) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(bench));
}

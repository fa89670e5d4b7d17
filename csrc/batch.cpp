#include "batch.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <thread>
#include <type_traits>

namespace {

// Calls `write` with the field's data as integers of its width.
template <typename Write>
void typed(const Field& field, Write write) {
    switch (field.width) {
        case 1: return write(static_cast<std::int8_t*>(field.data));
        case 2: return write(static_cast<std::int16_t*>(field.data));
        case 4: return write(static_cast<std::int32_t*>(field.data));
        default: return write(static_cast<std::int64_t*>(field.data));
    }
}

// Moves each row's predictions, which stand `columns` apart, behind those of the rows before.
void close_gaps(const Field& field, const std::vector<std::size_t>& counts) {
    auto* bytes = static_cast<unsigned char*>(field.data);
    std::size_t end = 0;
    for (std::size_t row = 0; row < counts.size(); ++row) {
        std::memmove(bytes + end * field.width, bytes + row * field.columns * field.width, counts[row] * field.width);
        end += counts[row];
    }
}

}  // namespace

void Field::store(std::size_t row, const std::int32_t* values, std::size_t count, std::int32_t filler) const {
    typed(*this, [&](auto* all) {
        using Value = std::remove_pointer_t<decltype(all)>;
        Value* start = all + row * columns;
        for (std::size_t i = 0; i < count; ++i) start[i] = static_cast<Value>(values[i]);
        std::fill(start + count, start + columns, static_cast<Value>(filler));
    });
}

void Field::store_raised(std::size_t row, const std::int32_t* values, std::size_t count, std::int64_t base) const {
    typed(*this, [&](auto* all) {
        using Value = std::remove_pointer_t<decltype(all)>;
        Value* start = all + row * columns;
        for (std::size_t i = 0; i < count; ++i) start[i] = static_cast<Value>(base + values[i]);
    });
}

void Field::store_one(std::size_t row, std::int64_t value) const {
    typed(*this, [&](auto* all) { all[row] = static_cast<std::remove_pointer_t<decltype(all)>>(value); });
}

BatchResult build_batch(const std::vector<RowBuilder*>& builders, const std::vector<std::uint32_t>& seeds,
                        const PackedPredictions& packed, double* next_doubles) {
    constexpr std::size_t kLanes = 4;
    const std::size_t rows = seeds.size();
    std::vector<std::size_t> counts(rows, 0);
    std::atomic<std::size_t> first_failed{rows};
    std::exception_ptr failure;
    std::atomic<bool> has_failure{false};

    // Contiguous shares, so that threads write to different pages.
    const auto work = [&](RowBuilder& builder, std::size_t begin, std::size_t end) {
        std::array<LegacyRandom, kLanes> randoms;
        for (std::size_t start = begin; start < end && start < first_failed.load(); start += kLanes) {
            const std::size_t lanes = std::min(kLanes, end - start);
            std::array<std::uint32_t, kLanes> lane_seeds{};
            std::copy_n(seeds.begin() + static_cast<std::ptrdiff_t>(start), lanes, lane_seeds.begin());
            LegacyRandom::seed_four(randoms.data(), lane_seeds.data());
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const std::size_t row = start + lane;
                if (!builder.build(row, randoms[lane])) {
                    std::size_t known = first_failed.load();
                    while (row < known && !first_failed.compare_exchange_weak(known, row)) {
                    }
                    return;
                }
                counts[row] = builder.predictions();
                if (next_doubles != nullptr) next_doubles[row] = randoms[lane].next_double();
            }
        }
    };
    const auto guarded = [&](RowBuilder& builder, std::size_t begin, std::size_t end) noexcept {
        try {
            work(builder, begin, end);
        } catch (...) {
            if (!has_failure.exchange(true)) failure = std::current_exception();
        }
    };

    const std::size_t share = (rows + builders.size() - 1) / builders.size();
    const auto share_of = [&](std::size_t number) {
        return std::pair(std::min(number * share, rows), std::min((number + 1) * share, rows));
    };
    std::vector<std::thread> threads;
    const auto join_all = [&threads] {
        for (std::thread& thread : threads) thread.join();
    };
    try {
        for (std::size_t number = 1; number < builders.size(); ++number) {
            const auto [begin, end] = share_of(number);
            if (begin < end) threads.emplace_back(guarded, std::ref(*builders[number]), begin, end);
        }
    } catch (...) {  // no more threads to be had
        join_all();
        throw;
    }
    const auto [begin, end] = share_of(0);
    guarded(*builders[0], begin, end);
    join_all();
    if (failure) std::rethrow_exception(failure);

    BatchResult result;
    if (first_failed.load() < rows) {
        result.failed_row = static_cast<std::int64_t>(first_failed.load());
        return result;
    }
    close_gaps(packed.positions, counts);
    close_gaps(packed.labels, counts);
    for (std::size_t row = 0; row < rows; ++row) {
        packed.counts.store_one(row, static_cast<std::int64_t>(counts[row]));
        result.predictions += counts[row];
    }
    return result;
}

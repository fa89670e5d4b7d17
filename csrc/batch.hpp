// A batch of samples in the caller's arrays: rows built by threads, masked tokens packed behind one another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "rng.hpp"

// An array of the caller: `columns` integers a row, of 1, 2, 4 or 8 bytes. Absent if `data` is null. Values are known
// to fit, so signed and unsigned types are written alike.
struct Field {
    void* data = nullptr;
    std::size_t width = 8;
    std::size_t columns = 1;

    // Writes `count` values, and `filler` to the end of the row.
    void store(std::size_t row, const std::int32_t* values, std::size_t count, std::int32_t filler) const;
    // Writes `count` values, each raised by `base`, and leaves the rest of the row as it is.
    void store_raised(std::size_t row, const std::int32_t* values, std::size_t count, std::int64_t base) const;
    void store_one(std::size_t row, std::int64_t value) const;
};

// The predicted tokens of all rows: at most `columns` a row while rows are built, without gaps at the end.
struct PackedPredictions {
    Field positions;  // columns: how many a row may have
    Field labels;
    Field counts;
};

// Builds one row; false if the row cannot be built, for whatever reason.
class RowBuilder {
public:
    virtual ~RowBuilder() = default;
    virtual bool build(std::size_t row, LegacyRandom& random) = 0;
    // How many packed predictions the last row has.
    virtual std::size_t predictions() const = 0;
};

struct BatchResult {
    std::int64_t failed_row = -1;  // the first row that could not be built
    std::size_t predictions = 0;
};

// Builds rows 0 to seeds.size() with as many threads as there are builders, each row from its own seed alone.
// `next_doubles`, if not null, gets the double that the row's generator would draw next.
BatchResult build_batch(const std::vector<RowBuilder*>& builders, const std::vector<std::uint32_t>& seeds,
                        const PackedPredictions& packed, double* next_doubles);

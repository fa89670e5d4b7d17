#include "blending.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "blending_tournament.hpp"

namespace {

class Scan {
public:
    Scan(std::vector<double> weights, double)
        : weights_(std::move(weights)),
          drawn_(weights_.size(), 0.0),
          behind_(weights_.size()),
          names_(weights_.size()) {
        std::iota(names_.begin(), names_.end(), std::size_t{0});
    }

    std::size_t furthest_behind(double step) {
        const std::size_t count = weights_.size();
        for (std::size_t i = 0; i < count; ++i) behind_[i] = weights_[i] * step - drawn_[i];
        constexpr double lowest = -std::numeric_limits<double>::infinity();
        double lane[4] = {lowest, lowest, lowest, lowest};  // four at once: one maximum waits for the one before it
        std::size_t i = 0;
        for (; i + 4 <= count; i += 4) {
            for (std::size_t j = 0; j < 4; ++j) lane[j] = behind_[i + j] > lane[j] ? behind_[i + j] : lane[j];
        }
        double largest = std::max(std::max(lane[0], lane[1]), std::max(lane[2], lane[3]));
        for (; i < count; ++i) largest = std::max(largest, behind_[i]);
        place_ = 0;
        while (behind_[place_] != largest) ++place_;
        return names_[place_];
    }
    std::int64_t draw() { return static_cast<std::int64_t>(drawn_[place_]++); }
    void retire() {
        const auto place = static_cast<std::ptrdiff_t>(place_);
        weights_.erase(weights_.begin() + place);
        drawn_.erase(drawn_.begin() + place);
        names_.erase(names_.begin() + place);
    }

private:
    std::vector<double> weights_, drawn_, behind_;
    std::vector<std::size_t> names_;
    std::size_t place_ = 0;
};

template <typename Chooser, typename Index>
void blend(Chooser chooser, const std::int64_t* sizes, std::size_t size, Index* dataset_index,
           std::int64_t* sample_index) {
    for (std::size_t step = 0; step < size; ++step) {
        const std::size_t dataset = chooser.furthest_behind(static_cast<double>(std::max<std::size_t>(step, 1)));
        const std::int64_t sample = chooser.draw();
        dataset_index[step] = static_cast<Index>(dataset);
        sample_index[step] = sample;
        if (sizes != nullptr && sample + 1 == sizes[dataset]) chooser.retire();
    }
}

template <typename Index>
void blend_any(std::vector<double> weights, const std::int64_t* sizes, std::size_t size, Index* dataset_index,
               std::int64_t* sample_index, std::size_t tournament_from) {
    if (size == 0) return;
    const double steps = static_cast<double>(size);
    const double largest = *std::max_element(weights.begin(), weights.end());
    // Products so large that counting no longer changes them are not for the tournament's error bounds.
    if (weights.size() < tournament_from || !(largest * steps < 4503599627370496.0)) {
        blend(Scan(std::move(weights), steps), sizes, size, dataset_index, sample_index);
    } else {
        blend(Tournament(weights, steps), sizes, size, dataset_index, sample_index);
    }
}

}  // namespace

template <typename Index>
void build_blending_indices(const double* weights, std::size_t datasets, std::size_t size, Index* dataset_index,
                            std::int64_t* sample_index, std::size_t tournament_from) {
    blend_any(std::vector<double>(weights, weights + datasets), nullptr, size, dataset_index, sample_index,
              tournament_from);
}

template <typename Index>
void build_exhaustive_blending_indices(const std::int64_t* sizes, std::size_t datasets, std::size_t total,
                                       Index* dataset_index, std::int64_t* sample_index,
                                       std::size_t tournament_from) {
    std::vector<double> weights;
    std::vector<std::int64_t> wanted;
    std::vector<Index> names;  // datasets of size 0 take no part
    for (std::size_t dataset = 0; dataset < datasets; ++dataset) {
        if (sizes[dataset] == 0) continue;
        weights.push_back(static_cast<double>(sizes[dataset]) / static_cast<double>(total));
        wanted.push_back(sizes[dataset]);
        names.push_back(static_cast<Index>(dataset));
    }
    blend_any(std::move(weights), wanted.data(), total, dataset_index, sample_index, tournament_from);
    for (std::size_t step = 0; step < total; ++step) {
        dataset_index[step] = names[static_cast<std::size_t>(dataset_index[step])];
    }
}

template void build_blending_indices(const double*, std::size_t, std::size_t, std::int16_t*, std::int64_t*,
                                     std::size_t);
template void build_blending_indices(const double*, std::size_t, std::size_t, std::int32_t*, std::int64_t*,
                                     std::size_t);
template void build_exhaustive_blending_indices(const std::int64_t*, std::size_t, std::size_t, std::int16_t*,
                                                std::int64_t*, std::size_t);
template void build_exhaustive_blending_indices(const std::int64_t*, std::size_t, std::size_t, std::int32_t*,
                                                std::int64_t*, std::size_t);

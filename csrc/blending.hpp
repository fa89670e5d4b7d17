// In which order to draw from many datasets so that every prefix follows the weights: at step k the dataset that is
// furthest behind, the largest weight * max(k, 1) - drawn, the lowest index among equals.
//
// The definition looks at every dataset in every step. Few datasets are scanned just like that; many stand in a
// tournament whose matches are played again only when their result could change, with the same result to the bit.
#pragma once

#include <cstddef>
#include <cstdint>

// From how many datasets on the tournament is the faster one: measured, for random weights.
constexpr std::size_t kTournamentFrom = 400;

// weights: finite and not negative. Compiled with -ffp-contract=off, like its twin: a fused multiply-add rounds once.
template <typename Index>
void build_blending_indices(const double* weights, std::size_t datasets, std::size_t size, Index* dataset_index,
                            std::int64_t* sample_index, std::size_t tournament_from);

// Every dataset to its end: `total` is the sum of the sizes, which are not negative.
template <typename Index>
void build_exhaustive_blending_indices(const std::int64_t* sizes, std::size_t datasets, std::size_t total,
                                       Index* dataset_index, std::int64_t* sample_index,
                                       std::size_t tournament_from);

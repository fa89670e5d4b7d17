// SHA-256 of eight messages of one length at a time: the arithmetic of one, on vectors of eight.
//
// A dataset's tokens are digested in parts, and one part after the other costs more than an eighth of a whole run on
// processors without instructions for SHA. Side by side, eight parts take about as long as two or three.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

constexpr std::size_t kSha256Lanes = 8;
using Sha256 = std::array<unsigned char, 32>;

// The digests of eight messages that lie one behind the other, each of `length` bytes.
void sha256_lanes(const unsigned char* data, std::size_t length, std::array<Sha256, kSha256Lanes>& digests);

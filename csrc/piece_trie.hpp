// A vocabulary as a byte trie in two arrays, for the longest-match-first walk of WordPiece.
//
// Two tries share the arrays: pieces that may open a word, and pieces that may continue one (stored without the
// continuing prefix). A step is one add and one compare. A node is 8 bytes, since the walk waits for memory more than
// for anything else; 30,000 pieces take less than 1 MB.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

class PieceTrie {
public:
    using Entry = std::pair<std::string, std::int32_t>;

    // `opening` and `continuing` map pieces to ids (>= 0); empty pieces are ignored, since nothing can match them.
    // Throws std::invalid_argument when they are too many for 24 bits of base.
    PieceTrie(const std::vector<Entry>& opening, const std::vector<Entry>& continuing);

    std::uint32_t opening_root() const { return opening_root_; }
    std::uint32_t continuing_root() const { return continuing_root_; }

    // The state after `byte` (a byte of UTF-8), or 0.
    std::uint32_t step(std::uint32_t state, unsigned char byte) const {
        // No two states have the same base, so a child's own byte says that it is this state's.
        const std::uint32_t next = (nodes_[state].base_and_byte >> 8) + byte;
        return (nodes_[next].base_and_byte & 0xff) == byte ? next : 0;
    }
    // The id of the piece that ends here, or -1.
    std::int32_t id(std::uint32_t state) const { return nodes_[state].id; }

private:
    struct Node {
        std::uint32_t base_and_byte = kFree;
        std::int32_t id = -1;
    };
    struct Range {
        std::uint32_t state;
        std::size_t first, last, depth;
    };
    static constexpr std::uint32_t kFree = 0xff;  // a byte that UTF-8 does not have, and no base
    static constexpr std::uint32_t kMostNodes = 1u << 24;

    std::uint32_t find_base(const std::vector<unsigned char>& bytes);

    bool is_free(std::size_t node) const { return nodes_[node].base_and_byte == kFree; }

    std::vector<Node> nodes_;
    std::vector<bool> base_taken_;  // while building
    std::uint32_t first_free_ = 256;  // so that any byte can be subtracted
    std::uint32_t crowded_until_ = 256;
    std::uint32_t opening_root_ = 0;
    std::uint32_t continuing_root_ = 0;
};

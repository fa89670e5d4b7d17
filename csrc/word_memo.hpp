// Bounded memo tables: the bytes of a word as it stands in the text -> its ids.
//
// A set holds two entries that fill whole cache lines, the newer one first; a third word of the same set pushes the
// older one out. So the tables never grow, need no clean-up, and keep what is frequent. A worker owns its tables:
// 4 MB, small enough to stay near the core, which makes them faster than tables that remember everything.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "byte_block.hpp"

// Words of up to 16 * `Blocks` bytes and `Ids` ids, laid out so that an entry's size is a power of two.
template <int Blocks, int Ids>
struct MemoEntry {
    struct Key {
        Key16 blocks[Blocks];  // padded with zeros; words that hold a NUL are never stored
        friend bool operator==(const Key& a, const Key& b) {
            bool same = true;
            for (int i = 0; i < Blocks; ++i) same &= a.blocks[i] == b.blocks[i];
            return same;
        }
        // The best bits are at the top. One multiplication a word of the key; no chain between them.
        std::uint64_t hash() const {
            constexpr std::uint64_t kFactors[] = {0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu, 0xd6e8feb86659fd93u,
                                                  0xa0761d6478bd642fu};
            std::uint64_t sum = 0;
            for (int i = 0; i < Blocks; ++i) {
                sum += blocks[i].low * kFactors[2 * i] ^ blocks[i].high * kFactors[2 * i + 1];
            }
            return sum;
        }
    };
    static constexpr int kIds = Ids;
    Key key;
    std::int32_t ids[Ids];
    std::int32_t count;
};

template <typename Entry, std::size_t Entries>
class MemoTable {
public:
    MemoTable() : memory_(static_cast<Entry*>(std::calloc(Entries + 2, sizeof(Entry)))) {
        if (memory_ == nullptr) throw std::bad_alloc();
        // A set must not straddle cache lines more than its size makes it.
        const auto address = reinterpret_cast<std::uintptr_t>(memory_.get());
        entries_ = reinterpret_cast<Entry*>((address + kSetBytes - 1) / kSetBytes * kSetBytes);
    }

    // The entry of `key`, or nullptr. An empty entry's key is all zeros, which no word is.
    const Entry* find(const typename Entry::Key& key) const {
        const Entry* entry = set(key);
        if (entry[0].key == key) return entry;
        if (entry[1].key == key) return entry + 1;
        return nullptr;
    }

    void insert(const typename Entry::Key& key, const std::int32_t* ids, int count) {
        Entry* entry = set(key);
        entry[1] = entry[0];
        entry->key = key;
        std::memcpy(entry->ids, ids, static_cast<std::size_t>(count) * sizeof(std::int32_t));
        entry->count = count;
    }

private:
    static constexpr std::size_t kSetBytes = 2 * sizeof(Entry);
    static constexpr int shift_for(std::size_t sets) { return sets == 1 ? 64 : shift_for(sets / 2) - 1; }
    static constexpr int kShift = shift_for(Entries / 2);

    Entry* set(const typename Entry::Key& key) const { return entries_ + (key.hash() >> kShift) * 2; }

    struct Release {
        void operator()(Entry* memory) const { std::free(memory); }
    };

    std::unique_ptr<Entry, Release> memory_;
    Entry* entries_;
};

using ShortEntry = MemoEntry<1, 3>;  // 32 bytes
using LongEntry = MemoEntry<2, 7>;   // 64 bytes
using ShortMemo = MemoTable<ShortEntry, 65536>;
using LongMemo = MemoTable<LongEntry, 32768>;

// Bounded memo tables: the bytes of a word as it stands in the text -> its ids.
//
// Three tables by length, each made of sets that fill one or two cache lines and are searched without a branch. The
// newest entry of a set is its first; an insertion pushes the oldest out. So the tables never grow, need no clean-up
// and keep what is frequent. A worker owns its tables, 5 MB together. What decides the speed is how many words find
// their line close to the core: hence the dense entries for short words (86 % of English, 82 % of multilingual text
// is words of up to 8 bytes, and nearly all of these have one or two ids).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "byte_block.hpp"
#include "byte_classes.hpp"
#include "huge_pages.hpp"

// Zeroed memory for `Count` items, aligned to a huge page.
template <typename Item, std::size_t Count>
class TableMemory {
public:
    // Memory fresh from the system is zero already; calloc knows that and does not touch it.
    TableMemory() : memory_(std::calloc(1, kBytes + kHugePage)) {
        if (memory_ == nullptr) throw std::bad_alloc();
        const auto address = reinterpret_cast<std::uintptr_t>(memory_.get());
        items_ = reinterpret_cast<Item*>((address + kHugePage - 1) / kHugePage * kHugePage);
        prefer_huge_pages(items_, kBytes);
    }
    // The item for a hash whose best bits are at the top.
    Item* at(std::uint64_t hash) const { return items_ + (hash >> kShift); }

private:
    static constexpr std::size_t kBytes = sizeof(Item) * Count;
    static constexpr int shift_for(std::size_t count) { return count == 1 ? 64 : shift_for(count / 2) - 1; }
    static constexpr int kShift = shift_for(Count);
    std::unique_ptr<void, FreeMemory> memory_;
    Item* items_;
};

// Three ids of 20 bits in 8 bytes, from the lowest bits up, and above them how many count.
class PackedIds {
public:
    static constexpr std::size_t kIds = 3;
    static constexpr std::int32_t kLargestId = 0xfffff;
    static constexpr std::uint64_t kElsewhere = ~std::uint64_t{0};  // more ids than fit: see LongMemo

    static std::uint64_t pack(const std::int32_t* ids, std::size_t count) {
        std::uint64_t packed = static_cast<std::uint64_t>(count) << 60;
        for (std::size_t i = 0; i < count; ++i) packed |= static_cast<std::uint64_t>(ids[i]) << (20 * i);
        return packed;
    }
    // Writes three ids, and returns behind those that count.
    static std::int32_t* unpack(std::uint64_t packed, std::int32_t* ids) {
        ids[0] = static_cast<std::int32_t>(packed & kLargestId);
        ids[1] = static_cast<std::int32_t>(packed >> 20 & kLargestId);
        ids[2] = static_cast<std::int32_t>(packed >> 40 & kLargestId);
        return ids + (packed >> 60);
    }
};

// Words of up to 8 bytes with at most three ids.
class TinyMemo {
public:
    static constexpr std::size_t kBytes = 8;

    struct Set {  // one cache line
        std::uint64_t keys[4];
        std::uint64_t ids[4];

        // The packed ids of the word, or nullptr. No word's key is 0.
        const std::uint64_t* find(std::uint64_t key) const {
            // Choosing without a branch, which would be guessed wrong too often.
            const unsigned which = (keys[1] == key) + 2u * (keys[2] == key) + 3u * (keys[3] == key);
            return keys[which] == key ? ids + which : nullptr;
        }
#ifdef MASKGEN_BYTE_CLASSES
        // The same, for code that runs where there is AVX2.
        MASKGEN_AVX2 const std::uint64_t* find_at_once(std::uint64_t key) const {
            const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys));
            const __m256i same = _mm256_cmpeq_epi64(all, _mm256_set1_epi64x(static_cast<long long>(key)));
            const int found = _mm256_movemask_pd(_mm256_castsi256_pd(same));
            return found == 0 ? nullptr : ids + _tzcnt_u32(static_cast<unsigned>(found));
        }
#endif
        void insert(std::uint64_t key, std::uint64_t packed) {
            std::memmove(keys + 1, keys, 3 * sizeof(keys[0]));
            std::memmove(ids + 1, ids, 3 * sizeof(ids[0]));
            keys[0] = key;
            ids[0] = packed;
        }
    };
    Set* set(std::uint64_t key) const { return sets_.at(key * kFactor); }

private:
    static constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15u;

    TableMemory<Set, 32768> sets_;
};

// Words of up to 16 * `Blocks` bytes, laid out so that an entry's size is a power of two.
template <int Blocks, typename Ids, std::size_t Entries>
class MemoTable {
public:
    struct Key {
        Key16 blocks[Blocks];  // padded with zeros; words that hold a NUL are never stored
        friend bool operator==(const Key& a, const Key& b) {
            bool same = true;
            for (int i = 0; i < Blocks; ++i) same &= a.blocks[i] == b.blocks[i];
            return same;
        }
    };
    struct Entry {
        Key key;
        Ids ids;
    };
    struct Set {
        Entry entries[2];

        const Ids* find(const Key& key) const {
            const Entry* entry = entries + !(entries->key == key);
            return entry->key == key ? &entry->ids : nullptr;
        }
        void insert(const Key& key, const Ids& ids) {
            entries[1] = entries[0];
            entries[0] = {key, ids};
        }
    };
    Set* set(const Key& key) const { return sets_.at(hash(key)); }

private:
    // One multiplication for 8 bytes of the key, none waiting for another.
    static std::uint64_t hash(const Key& key) {
        constexpr std::uint64_t kFactors[] = {0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu, 0xd6e8feb86659fd93u,
                                              0xa0761d6478bd642fu};
        std::uint64_t sum = 0;
        for (int i = 0; i < Blocks; ++i) {
            sum += (key.blocks[i].low * kFactors[2 * i]) ^ (key.blocks[i].high * kFactors[2 * i + 1]);
        }
        return sum;
    }

    TableMemory<Set, Entries / 2> sets_;
};

// Up to six ids: the second half is empty unless the first is full.
struct ShortIds {
    static constexpr std::size_t kIds = 2 * PackedIds::kIds;
    std::uint64_t packed[2];
};
struct LongIds {
    static constexpr std::size_t kIds = 7;
    std::int32_t ids[kIds];
    std::int32_t count;  // right behind the ids, so that all can be copied at once
};

using ShortMemo = MemoTable<1, ShortIds, 32768>;  // 32 bytes an entry
using LongMemo = MemoTable<2, LongIds, 32768>;    // 64 bytes an entry

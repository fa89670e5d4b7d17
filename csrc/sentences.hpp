// Where sentences begin, in UTF-8: the rules of preprocess/sentence_rules.py, which is their definition.
//
// The two are written alike, function by function; the word lists come from there, so that they exist once.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_set>
#include <vector>

struct SentenceWords {
    using Set = std::unordered_set<std::string>;
    Set never_last, before_numbers, sometimes_last, starters;
};

// Appends the offsets (in bytes) of all sentences but the first. Throws InvalidUtf8.
void find_sentence_starts(const char* begin, const char* end, const SentenceWords& words,
                          std::vector<std::size_t>& starts);

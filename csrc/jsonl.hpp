// Lines of JSON: where the wanted texts stand, without copying or unescaping them.
//
//   bytes --cut at \n--> line --strict grammar--> taken: the spans between the quotes of each key's value
//                         |        \--anything unusual--> the twin decides (preprocess/corpora/json_line.py)
//                         \--white space alone--> blank
//
// A line that is taken is one that the twin takes too, with the same texts, except that nothing inside the wanted texts
// has been looked at but control characters: whoever encodes or decodes them finds invalid UTF-8 and escapes.
// One pass: the grammar stops at \n by itself, so there is no separate search for the ends of lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct JsonLines {
    enum State : std::uint8_t { kTaken, kBlank, kAskTwin };

    std::vector<std::int64_t> starts;  // of the lines, and the end of the last one
    std::vector<std::uint8_t> states;
    std::vector<std::int64_t> spans;   // for each line and key begin and end; -1 unless the line is taken
};

// Keys are member names of the outermost object, as UTF-8.
JsonLines scan_json_lines(const char* begin, const char* end, const std::vector<std::string>& keys);

// The words of a numpy bit generator that belongs to a Python caller, by numpy's public C interface.
//
// Drawing advances the caller's generator. The caller of these functions holds the generator's lock.
#pragma once

#include <cstdint>

#include "legacy_draws.hpp"

// As numpy/random/bitgen.h lays it out; the interpreter hands it over in a capsule of the name "BitGenerator".
struct NumpyBitGenerator {
    void* state;
    std::uint64_t (*next_uint64)(void*);
    std::uint32_t (*next_uint32)(void*);
    double (*next_double)(void*);
    std::uint64_t (*next_raw)(void*);
};

class NumpyRandom : public LegacyDraws<NumpyRandom> {
public:
    explicit NumpyRandom(const NumpyBitGenerator& generator)
        : state_(generator.state), next_uint32_(generator.next_uint32) {}

    std::uint32_t next_word() { return next_uint32_(state_); }

private:
    void* state_;
    std::uint32_t (*next_uint32_)(void*);
};

// Numbers at any address: the sections of an index begin at odd offsets, and a copy would be as large as the index.
#pragma once

template <typename Number>
struct __attribute__((packed)) Loose {
    Number value;
    operator Number() const { return value; }
};

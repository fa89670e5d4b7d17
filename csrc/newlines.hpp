// How many lines a block of text has. Twin: bytes.count(b"\n").
#pragma once

#include <cstddef>

std::size_t count_newlines(const char* data, std::size_t size);

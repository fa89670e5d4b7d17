// How an extension was compiled, as one line for `maskgen --version` and bug reports.
#pragma once

#ifndef MASKGEN_BUILD
#define MASKGEN_BUILD "unknown"
#endif

inline const char* build_info() { return MASKGEN_BUILD ", compiler " __VERSION__; }

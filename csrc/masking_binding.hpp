// Masking for Python: one sequence on the caller's generator.
#pragma once

#include <pybind11/pybind11.h>

void register_masking(pybind11::module_& module);

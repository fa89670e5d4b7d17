#pragma once

#include <pybind11/pybind11.h>

void register_sentences(pybind11::module_& module);

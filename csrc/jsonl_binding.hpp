#pragma once

#include <pybind11/pybind11.h>

void register_jsonl(pybind11::module_& module);

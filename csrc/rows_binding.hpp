// Registers the planning and gathering of rows.
#pragma once

#include <pybind11/pybind11.h>

void register_rows(pybind11::module_& module);

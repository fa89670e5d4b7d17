// Batches of samples for Python, built into numpy's memory by threads.
#pragma once

#include <pybind11/pybind11.h>

void register_samples(pybind11::module_& module);

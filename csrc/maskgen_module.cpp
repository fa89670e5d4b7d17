// maskgen._native: the table of contents of what the online half does in C++.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <numeric>

#include "build_info.hpp"
#include "mapping_binding.hpp"
#include "masking_binding.hpp"
#include "rng.hpp"
#include "rows_binding.hpp"
#include "samples_binding.hpp"

namespace py = pybind11;

namespace {

py::array_t<double> legacy_doubles(std::uint32_t seed, py::ssize_t count) {
    if (count < 0) throw py::value_error("count is " + std::to_string(count) + "; it must not be negative");
    py::array_t<double> result(count);
    double* values = result.mutable_data();
    py::gil_scoped_release release;
    LegacyRandom random(seed);
    for (py::ssize_t i = 0; i < count; ++i) values[i] = random.next_double();
    return result;
}

py::array_t<std::int64_t> legacy_permutation(std::uint32_t seed, py::ssize_t count) {
    if (count < 0) throw py::value_error("count is " + std::to_string(count) + "; it must not be negative");
    py::array_t<std::int64_t> result(count);
    std::int64_t* values = result.mutable_data();
    py::gil_scoped_release release;
    std::iota(values, values + count, std::int64_t{0});
    LegacyRandom(seed).shuffle(values, static_cast<std::size_t>(count));
    return result;
}

void register_rng(py::module_& module) {
    module.def("legacy_doubles", &legacy_doubles, py::arg("seed"), py::arg("count"),
               "The first `count` doubles of numpy.random.RandomState(seed).random_sample().");
    module.def("legacy_permutation", &legacy_permutation, py::arg("seed"), py::arg("count"),
               "numpy.random.RandomState(seed).permutation(count).");
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "Native half of maskgen; _native.pyi gives the types.";
    module.def("build_info", &build_info, "How this extension was compiled.");
    register_rng(module);
    register_mapping(module);
    register_masking(module);
    register_samples(module);
    register_rows(module);
}

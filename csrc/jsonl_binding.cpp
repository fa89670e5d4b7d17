// preprocess._native.scan_json_lines.
#include "jsonl_binding.hpp"

#include <pybind11/stl.h>

#include "binding_memory.hpp"
#include "jsonl.hpp"

namespace py = pybind11;

namespace {

py::tuple scan(const py::object& data, const std::vector<py::bytes>& keys) {
    std::vector<std::string> names;
    for (const py::bytes& key : keys) names.emplace_back(key);
    const HeldBytes bytes(data);
    JsonLines lines;
    {
        const py::gil_scoped_release release;
        lines = scan_json_lines(bytes.begin(), bytes.begin() + bytes.size(), names);
    }
    const auto count = static_cast<py::ssize_t>(lines.states.size());
    return py::make_tuple(adopt(std::move(lines.starts), {count + 1}), adopt(std::move(lines.states), {count}),
                          adopt(std::move(lines.spans), {count, static_cast<py::ssize_t>(names.size()), 2}));
}

}  // namespace

void register_jsonl(py::module_& module) {
    module.def("scan_json_lines", &scan, py::arg("data"), py::arg("keys"),
               "scan_json_lines(data, keys) -> (starts int64[lines + 1], states uint8[lines], spans int64[lines, keys, "
               "2])\n\nCuts data at \\n. State 0: spans holds begin and end, in data, of the bytes between the quotes of "
               "each key's text, whose UTF-8 and escapes have not been looked at; 1: a blank line; 2: anything "
               "else, which preprocess.corpora.json_line decides.");
}

// preprocess._native.SentenceSplitter: texts in, lists of sentences out.
#include "sentences_binding.hpp"

#include <pybind11/stl.h>

#include <string_view>

#include "sentences.hpp"
#include "utf8.hpp"

namespace py = pybind11;

namespace {

class Splitter {
public:
    Splitter(SentenceWords::Set never_last, SentenceWords::Set before_numbers, SentenceWords::Set sometimes_last,
             SentenceWords::Set starters)
        : words_{std::move(never_last), std::move(before_numbers), std::move(sometimes_last), std::move(starters)} {}

    std::vector<std::size_t> starts(const py::bytes& text) const {
        const std::string_view view = text;
        std::vector<std::size_t> found;
        try {
            const py::gil_scoped_release release;
            validate_utf8(view.data(), view.data() + view.size());
            find_sentence_starts(view.data(), view.data() + view.size(), words_, found);
        } catch (const InvalidUtf8& error) {
            throw py::value_error("invalid UTF-8 at byte " + std::to_string(error.position - view.data()));
        }
        return found;
    }

private:
    SentenceWords words_;
};

}  // namespace

void register_sentences(py::module_& module) {
    py::class_<Splitter>(module, "SentenceSplitter", "The rules of preprocess.sentence_rules, on UTF-8.")
        .def(py::init<SentenceWords::Set, SentenceWords::Set, SentenceWords::Set, SentenceWords::Set>(), py::kw_only(),
             py::arg("never_last"), py::arg("before_numbers"), py::arg("sometimes_last"), py::arg("starters"))
        .def("starts", &Splitter::starts, py::arg("text"),
             "Where sentences begin in UTF-8 bytes, the first one (at 0) left out. ValueError for invalid UTF-8.");
}

// maskgen._native.MaskingSettings and mask_sequence: Python's lists in and out, draws from the caller's generator.
#include "masking_binding.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "masking.hpp"
#include "numpy_random.hpp"

namespace py = pybind11;

namespace {

using Ids = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;
using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

MaskingSettings settings_of(std::int32_t cls_id, std::int32_t sep_id, std::int32_t mask_id, double masked_lm_prob,
                            const Doubles& cumulative, bool do_whole_word_mask, bool do_permutation, bool geometric_dist,
                            bool always_mask, std::uint64_t vocabulary_size, const std::optional<Ids>& vocabulary) {
    MaskingSettings settings;
    settings.cls_id = cls_id;
    settings.sep_id = sep_id;
    settings.mask_id = mask_id;
    settings.probability = masked_lm_prob;
    settings.max_ngrams = static_cast<std::size_t>(cumulative.size());
    settings.whole_words = do_whole_word_mask;
    settings.permute = do_permutation;
    settings.geometric = geometric_dist;
    settings.always_mask = always_mask;
    settings.cumulative.assign(cumulative.data(), cumulative.data() + cumulative.size());
    settings.vocabulary_size = vocabulary_size;
    if (vocabulary) {
        settings.vocabulary.assign(vocabulary->data(), vocabulary->data() + vocabulary->size());
        settings.vocabulary_size = settings.vocabulary.size();
    }
    if (settings.max_ngrams == 0) throw py::value_error("cumulative is empty; expected one value a length");
    if (!always_mask && masked_lm_prob > 0 && settings.vocabulary_size == 0) {
        throw py::value_error("the vocabulary is empty; expected the ids that may replace a token");
    }
    if (settings.vocabulary_size > std::numeric_limits<std::int32_t>::max()) {
        throw py::value_error("the vocabulary has " + std::to_string(settings.vocabulary_size) + " ids; expected at most 2^31 - 1");
    }
    return settings;
}

const NumpyBitGenerator& generator_of(const py::capsule& capsule) {
    if (capsule.name() == nullptr || std::string(capsule.name()) != "BitGenerator") {
        throw py::type_error("expected the capsule of a numpy bit generator");
    }
    return *capsule.get_pointer<NumpyBitGenerator>();
}

std::vector<std::int32_t> tokens_of(const py::list& list) {
    std::vector<std::int32_t> tokens(list.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        int overflow = 0;
        PyObject* item = PyList_GET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i));
        const long long token = PyLong_AsLongLongAndOverflow(item, &overflow);
        if (token == -1 && PyErr_Occurred()) throw py::error_already_set();
        if (overflow != 0 || token != static_cast<std::int32_t>(token)) {
            throw py::value_error("the token at position " + std::to_string(i) + " does not fit into 32 bits");
        }
        tokens[i] = static_cast<std::int32_t>(token);
    }
    return tokens;
}

class ListOfIntegers {
public:
    explicit ListOfIntegers(std::size_t count) : list_(count) {}
    void append(long value) { PyList_SET_ITEM(list_.ptr(), next_++, PyLong_FromLong(value)); }
    py::list take() { return std::move(list_); }

private:
    py::list list_;
    Py_ssize_t next_ = 0;
};

py::list list_of(const std::vector<std::int32_t>& values) {
    ListOfIntegers list(values.size());
    for (const std::int32_t value : values) list.append(value);
    return list.take();
}

py::tuple mask_sequence(const py::list& token_list, const py::bytes& starts_bytes, double budget,
                        const MaskingSettings& settings, const py::capsule& generator,
                        const py::capsule& permutation_generator) {
    const std::vector<std::int32_t> tokens = tokens_of(token_list);
    const std::string_view starts_view(starts_bytes);
    if (starts_view.size() != tokens.size()) {
        throw py::value_error("starts has " + std::to_string(starts_view.size()) + " bytes; expected one for each of the " +
                              std::to_string(tokens.size()) + " tokens");
    }
    const auto* starts = reinterpret_cast<const std::uint8_t*>(starts_view.data());
    NumpyRandom random(generator_of(generator)), permutation_random(generator_of(permutation_generator));
    std::vector<std::int32_t> output(tokens.size());
    Masker masker(settings);
    masker.mask(tokens.data(), starts, tokens.size(), budget, random, permutation_random, true, output.data());
    masker.sort_spans();

    const std::vector<std::int32_t>& places = masker.places();
    ListOfIntegers positions(masker.predicted_count()), labels(masker.predicted_count()), boundaries(tokens.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
        if (!masker.predicted()[i]) continue;
        positions.append(places[i]);
        labels.append(tokens[static_cast<std::size_t>(places[i])]);
    }
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        boundaries.append(starts[i] || tokens[i] == settings.cls_id || tokens[i] == settings.sep_id);
    }
    py::list spans;
    for (const Masker::Span& span : masker.spans()) {
        const auto count = static_cast<std::size_t>(span.end - span.begin);
        ListOfIntegers index(count), label(count);
        for (std::int32_t i = span.begin; i < span.end; ++i) {
            const std::int32_t place = places[static_cast<std::size_t>(i)];
            index.append(place);
            label.append(tokens[static_cast<std::size_t>(place)]);
        }
        spans.append(py::make_tuple(index.take(), label.take()));
    }
    return py::make_tuple(list_of(output), positions.take(), labels.take(), boundaries.take(), spans,
                          list_of(masker.replaced()));
}

py::array_t<std::int64_t> ngram_lengths(const MaskingSettings& settings, const Doubles& uniforms) {
    py::array_t<std::int64_t> lengths(uniforms.size());
    const NgramLengths of(settings, settings.geometric);
    for (py::ssize_t i = 0; i < uniforms.size(); ++i) {
        lengths.mutable_data()[i] = static_cast<std::int64_t>(of.of(uniforms.data()[i]));
    }
    return lengths;
}

}  // namespace

void register_masking(py::module_& module) {
    py::class_<MaskingSettings>(module, "MaskingSettings", "The options of a masking, checked by the caller.")
        .def(py::init(&settings_of), py::kw_only(), py::arg("cls_id"), py::arg("sep_id"), py::arg("mask_id"),
             py::arg("masked_lm_prob"), py::arg("cumulative"), py::arg("do_whole_word_mask"), py::arg("do_permutation"),
             py::arg("geometric_dist"), py::arg("always_mask"), py::arg("vocabulary_size"), py::arg("vocabulary") = py::none());
    module.def("ngram_lengths", &ngram_lengths, py::kw_only(), py::arg("settings"), py::arg("uniforms"),
               "The length of an n-gram that each double of [0, 1) draws.");
    // The interpreter lock is kept: the work on one sequence takes less time than giving it up and getting it back.
    module.def("mask_sequence", &mask_sequence, py::kw_only(), py::arg("tokens"), py::arg("starts"), py::arg("budget"),
               py::arg("settings"), py::arg("generator"), py::arg("permutation_generator"),
               "Mask one sequence, drawing from numpy bit generators whose locks the caller holds. Returns tokens, "
               "positions, labels, boundaries, spans as (places, labels), and the places where the number of a drawn "
               "id stands instead of the id.");
}

// preprocess._native.WordPieceEngine: texts as Python holds them, threads, and calls back into the reference.
#include "wordpiece_binding.hpp"

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "binding_memory.hpp"
#include "json_spans.hpp"
#include "text_batch.hpp"
#include "wordpiece.hpp"

namespace py = pybind11;

namespace {

// The reference as two Python functions. Called by threads that do not hold the interpreter lock.
class PythonReference : public Reference {
public:
    PythonReference(py::function learn, py::function encode) : learn_(std::move(learn)), encode_(std::move(encode)) {}

    Effect learn(std::uint32_t code_point) override {
        const py::gil_scoped_acquire acquire;
        const auto answer = learn_(code_point).cast<std::pair<py::bytes, bool>>();
        return {std::string(answer.first), answer.second};
    }

    void encode(const char* begin, const char* end, std::vector<std::int32_t>& ids) override {
        const py::gil_scoped_acquire acquire;
        const py::str text(begin, static_cast<std::size_t>(end - begin));
        for (const py::handle id : encode_(text)) ids.push_back(id.cast<std::int32_t>());
    }

private:
    py::function learn_;
    py::function encode_;
};

// Texts by address: the strings are immutable and the list that is passed in holds them, so threads may read them
// while the interpreter lock is free.
std::vector<TextView> views_of(const py::list& texts) {
    std::vector<TextView> views;
    views.reserve(texts.size());
    for (const py::handle text : texts) {
        PyObject* object = text.ptr();
        if (PyUnicode_Check(object)) {
#if PY_VERSION_HEX < 0x030c0000
            if (PyUnicode_READY(object) < 0) throw py::error_already_set();
#endif
            const int width = PyUnicode_IS_ASCII(object) ? 0 : static_cast<int>(PyUnicode_KIND(object));
            views.push_back({PyUnicode_DATA(object), static_cast<std::size_t>(PyUnicode_GET_LENGTH(object)), width});
        } else if (PyBytes_Check(object)) {
            views.push_back({PyBytes_AS_STRING(object), static_cast<std::size_t>(PyBytes_GET_SIZE(object)), 0});
        } else {
            throw py::type_error("text " + std::to_string(views.size()) + " is a " +
                                 std::string(Py_TYPE(object)->tp_name) + "; a text is str or bytes (UTF-8)");
        }
    }
    return views;
}

void check_signals() {
    const py::gil_scoped_acquire acquire;  // so that Ctrl-C stops a long batch
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

class Engine {
public:
    Engine(py::function learn, py::function encode, const WordPieceSettings& settings)
        : reference_(std::move(learn), std::move(encode)), model_(create(settings)), workers_(*model_) {}

    py::tuple encode_batch(const py::list& texts, unsigned threads, std::uint64_t sample_one_in) {
        // A copy, since another thread may change the list while the interpreter lock is free.
        const py::list held(texts[py::slice(py::none(), py::none(), py::none())]);
        const std::vector<TextView> views = views_of(held);
        EncodedBatch batch;
        {
            const py::gil_scoped_release release;
            batch = workers_.encode(views, threads, sample_one_in, check_signals);
        }
        const std::size_t count = batch.ids.size();
        return py::make_tuple(adopt(batch.ids.release(), count),
                              py::array_t<std::int32_t>(static_cast<py::ssize_t>(batch.lengths.size()),
                                                        batch.lengths.data()),
                              batch.sampled);
    }

    // One text through the same kernel, from the inside of a JSON string.
    py::object encode_json(const py::bytes& content) {
        const std::string_view view = content;
        WordPieceWorker worker(*model_);
        TokenBuffer ids;
        bool done = false;
        try {
            const py::gil_scoped_release release;
            done = worker.encode_json(view.data(), view.data() + view.size(), ids);
        } catch (const InvalidUtf8& error) {
            throw BadTextError("invalid UTF-8", 0, static_cast<std::size_t>(error.position - view.data()));
        }
        if (!done) return py::none();
        const std::size_t count = ids.size();
        return adopt(ids.release(), count);
    }

    py::tuple encode_json_spans(const py::object& data, const py::array& spans, int itemsize,
                                std::uint64_t sample_one_in) {
        if (!py::isinstance<py::array_t<std::int64_t, py::array::c_style>>(spans) || spans.ndim() != 2 ||
            spans.shape(1) != 2 || (spans.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) {
            throw py::value_error("spans must be a C-contiguous array int64[n, 2]");
        }
        if (itemsize == 2) return encode_spans<std::uint16_t>(data, spans, sample_one_in);
        if (itemsize == 4) return encode_spans<std::int32_t>(data, spans, sample_one_in);
        throw py::value_error("itemsize " + std::to_string(itemsize) + "; ids take 2 or 4 bytes");
    }

private:
    template <typename Id>
    py::tuple encode_spans(const py::object& data, const py::array& spans, std::uint64_t sample_one_in) {
        const HeldBytes bytes(data);
        EncodedSpans<Id> found;
        {
            const py::gil_scoped_release release;
            found = ::encode_json_spans<Id>(workers_, bytes.begin(), bytes.size(),
                                            static_cast<const std::int64_t*>(spans.data()),
                                            static_cast<std::size_t>(spans.shape(0)), sample_one_in, check_signals);
        }
        const std::size_t count = found.ids.size();
        const auto rows = static_cast<py::ssize_t>(found.lengths.size());
        return py::make_tuple(adopt(found.ids.release(), count), adopt(std::move(found.lengths), {rows}),
                              found.sampled);
    }

    std::unique_ptr<WordPieceModel> create(const WordPieceSettings& settings) {
        const py::gil_scoped_release release;  // the constructor asks the reference about ASCII
        return std::make_unique<WordPieceModel>(reference_, settings);
    }

    PythonReference reference_;
    std::unique_ptr<WordPieceModel> model_;
    WordPieceWorkers workers_;
};

std::unique_ptr<Engine> create_engine(const py::dict& vocabulary, const std::string& continuing_prefix,
                                      std::int32_t unknown_id, std::uint32_t max_code_points,
                                      std::vector<std::string> literals, py::function learn, py::function encode) {
    WordPieceSettings settings;
    settings.opening.reserve(vocabulary.size());
    for (const auto& item : vocabulary) {
        const auto piece = item.first.cast<std::string>();
        const auto id = item.second.cast<std::int32_t>();
        if (id < 0) throw py::value_error("token '" + piece + "' has the id " + std::to_string(id));
        settings.opening.emplace_back(piece, id);
        if (piece.compare(0, continuing_prefix.size(), continuing_prefix) == 0) {
            settings.continuing.emplace_back(piece.substr(continuing_prefix.size()), id);
        }
    }
    settings.unknown_id = unknown_id;
    settings.max_code_points = max_code_points;
    settings.literals = std::move(literals);
    return std::make_unique<Engine>(std::move(learn), std::move(encode), settings);
}

}  // namespace

void register_wordpiece(py::module_& module) {
    static py::exception<BadTextError> bad_text(module, "BadTextError", PyExc_ValueError);
    py::register_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const BadTextError& bad) {
            PyErr_SetObject(bad_text.ptr(), py::make_tuple(bad.what(), bad.index, bad.place).ptr());
        }
    });
    py::class_<Engine>(module, "WordPieceEngine",
                       "WordPiece by table, with the reference for all that the tables do not settle.")
        .def(py::init(&create_engine), py::kw_only(), py::arg("vocabulary"), py::arg("continuing_prefix"),
             py::arg("unknown_id"), py::arg("max_code_points"), py::arg("literals"), py::arg("learn"),
             py::arg("encode"),
             "learn(code_point) -> (UTF-8 with 0xff for each word break, whether a mark that may be reordered stays); "
             "encode(text) -> ids. ValueError when the reference does not treat ASCII as BERT does.")
        .def("encode_batch", &Engine::encode_batch, py::arg("texts"), py::kw_only(), py::arg("threads"),
             py::arg("sample_one_in"),
             "A list of str or UTF-8 bytes -> (ids, lengths, indices of the texts to compare with the reference).")
        .def("encode_json", &Engine::encode_json, py::arg("content"),
             "The bytes between the quotes of a JSON string -> ids, or None where they must be unescaped first.")
        .def("encode_json_spans", &Engine::encode_json_spans, py::arg("data"), py::arg("spans"), py::kw_only(),
             py::arg("itemsize"), py::arg("sample_one_in"),
             "Texts inside JSON strings: bytes and int64[n, 2] of begin and end -> (ids, uint16 for itemsize 2 or int32 "
             "for 4; lengths; indices of the spans to compare with the reference). A length of -1: invalid "
             "UTF-8, a bad escape or half a surrogate pair. (-1, -1) stands for nothing and has the length 0.");
}

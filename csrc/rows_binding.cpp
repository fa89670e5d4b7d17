// maskgen._native: rows of documents. maskgen/rows/ makes the arguments; whatever they could do to memory is checked here.
#include "rows_binding.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>

#include "binding_memory.hpp"
#include "packing.hpp"
#include "row_gather.hpp"

namespace py = pybind11;

namespace {

template <typename Value>
using Array = py::array_t<Value, py::array::c_style>;
using Integers = Array<std::int64_t>;

constexpr std::int64_t kLongestRow = 1 << 24;
constexpr std::size_t kPieceBytes = 64;  // of all arrays together while a plan is made; measured: at most 56

PackingStrategy strategy_of(const std::string& name) {
    if (name == "alone") return PackingStrategy::alone;
    if (name == "sequential") return PackingStrategy::sequential;
    if (name == "best-fit") return PackingStrategy::best_fit;
    throw py::value_error("strategy is " + name + "; expected alone, sequential or best-fit");
}

py::tuple plan_rows(const Integers& sizes, std::int64_t seq_length, std::int64_t specials, bool split_long,
                    const std::string& strategy, std::uint64_t memory_limit) {
    if (seq_length < 1 || seq_length > kLongestRow || specials < 0 || specials >= seq_length) {
        throw py::value_error("seq_length is " + std::to_string(seq_length) + " with " + std::to_string(specials) +
                              " special tokens; expected 1 to 2^24, and more than the special tokens");
    }
    if (sizes.ndim() != 1) throw py::value_error("sizes must have one dimension");
    const PackingSettings settings{seq_length, specials, split_long, strategy_of(strategy)};
    const auto count = static_cast<std::size_t>(sizes.size());
    PackedRows packed;
    {
        const py::gil_scoped_release release;  // the array is held by the caller
        const std::size_t most = static_cast<std::size_t>(memory_limit / kPieceBytes);
        if (count_pieces(sizes.data(), count, settings) <= most) packed = pack(sizes.data(), count, settings);
    }
    if (packed.row_starts.empty()) {
        PyErr_Format(PyExc_MemoryError, "a plan of that many pieces takes more than the %llu bytes of this machine: "
                     "raise seq_length, or plan some of the documents at a time", static_cast<unsigned long long>(memory_limit));
        throw py::error_already_set();
    }
    const auto pieces = static_cast<py::ssize_t>(packed.pieces.size() / 2), rows = static_cast<py::ssize_t>(packed.row_starts.size());
    return py::make_tuple(adopt(std::move(packed.pieces), {pieces, 2}), adopt(std::move(packed.row_starts), {rows}));
}

Field field_of(const py::dict& out, const char* name, py::ssize_t rows, py::ssize_t columns) {
    auto array = out[name].cast<py::array>();
    const bool right_shape = columns < 0 ? array.ndim() == 1 && array.shape(0) == rows
                                         : array.ndim() == 2 && array.shape(0) == rows && array.shape(1) == columns;
    const bool right_type = array.dtype().kind() == 'i' && (array.itemsize() == 4 || array.itemsize() == 8);
    if (!right_shape || !right_type || !(array.flags() & py::array::c_style) || !array.writeable()) {
        throw py::value_error("out[" + std::string(name) + "] is " + py::str(array.dtype()).cast<std::string>() + " of shape " +
                              py::str(py::tuple(array.attr("shape"))).cast<std::string>() +
                              "; expected a contiguous int32 or int64 array for the rows that may be written");
    }
    return {array.mutable_data(), static_cast<std::size_t>(array.itemsize()), columns < 0 ? 1 : static_cast<std::size_t>(columns)};
}

// A wrong call must not make a thread read or write elsewhere.
void check_pieces(const RowPieces& pieces, std::int64_t count, std::int64_t tokens, std::int64_t columns) {
    std::int64_t piece = 0;
    for (std::size_t row = 0; row < pieces.rows; ++row) {
        const std::int64_t last = pieces.row_starts[row + 1];
        if (pieces.row_starts[row] != piece || last < piece || last > count) {
            throw py::value_error("row_starts of row " + std::to_string(row) + " are not the pieces from " + std::to_string(piece) + " on");
        }
        std::int64_t room = columns;
        for (; piece < last; ++piece) {
            const std::int64_t start = pieces.starts[piece], length = pieces.counts[piece];
            if (start < 0 || length < 0 || length > tokens || start > tokens - length) {
                throw py::value_error("piece " + std::to_string(piece) + " is " + std::to_string(length) + " tokens from " +
                                      std::to_string(start) + " on; the dataset has " + std::to_string(tokens));
            }
            room -= length + special_count(pieces.specials[piece]);
            if (room < 0) throw py::value_error("row " + std::to_string(row) + " is longer than " + std::to_string(columns));
        }
    }
    if (piece != count) throw py::value_error("the rows have " + std::to_string(piece) + " of " + std::to_string(count) + " pieces");
}

std::int64_t gather(const py::array& tokens, const Integers& row_starts, const Integers& starts, const Integers& counts,
                    const Array<std::uint8_t>& specials, const SpecialIds& ids, std::int32_t pad_id, const py::dict& out,
                    std::size_t threads) {
    if (tokens.ndim() != 1 || !(tokens.flags() & py::array::c_style)) throw py::value_error("tokens must be contiguous");
    if (row_starts.ndim() != 1 || row_starts.size() < 1) throw py::value_error("row_starts must have one value more than there are rows");
    if (starts.ndim() != 1 || starts.size() != counts.size() || starts.size() != specials.size()) {
        throw py::value_error("starts, counts and specials must have one value for each piece");
    }
    const py::ssize_t rows = row_starts.size() - 1;
    const auto matrix = out["tokens"].cast<py::array>();
    const py::ssize_t columns = matrix.ndim() == 2 ? matrix.shape(1) : 0;
    RowFields fields{field_of(out, "tokens", rows, columns), field_of(out, "lengths", rows, -1), {}, {}};
    if (out.contains("document_ids")) {
        fields.document_ids = field_of(out, "document_ids", rows, columns);
        fields.positions = field_of(out, "positions", rows, columns);
    }
    const TokenRun run{static_cast<const unsigned char*>(tokens.data()), static_cast<std::size_t>(tokens.itemsize()),
                       copy_of(tokens.dtype().kind(), static_cast<std::size_t>(tokens.itemsize()))};
    const RowPieces pieces{row_starts.data(), static_cast<std::size_t>(rows), starts.data(), counts.data(), specials.data()};
    check_pieces(pieces, starts.size(), tokens.size(), columns);
    const py::gil_scoped_release release;  // every array is held by the caller's arguments
    return gather_rows(run, pieces, ids, pad_id, fields, threads);
}

}  // namespace

void register_rows(py::module_& module) {
    module.def("plan_rows", &plan_rows, py::kw_only(), py::arg("sizes").noconvert(), py::arg("seq_length"),
               py::arg("specials"), py::arg("split_long"), py::arg("strategy"), py::arg("memory_limit"),
               "maskgen.rows.packing.plan_rows: (pieces, row_starts). MemoryError beyond `memory_limit` bytes.");
    module.def("gather_rows", &gather, py::kw_only(), py::arg("tokens"), py::arg("row_starts").noconvert(),
               py::arg("starts").noconvert(), py::arg("counts").noconvert(), py::arg("specials").noconvert(),
               py::arg("ids"), py::arg("pad_id"), py::arg("out"), py::arg("threads"),
               "Fills the arrays of `out`. Returns the first piece with a token that is no id, or -1.");
}

// maskgen._native.SampleBuilder: rows of a mapping, or plain rows of tokens, to batches in the caller's arrays.
#include "samples_binding.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "samples.hpp"

namespace py = pybind11;

namespace {

template <typename Value>
using Array = py::array_t<Value, py::array::c_style | py::array::forcecast>;
using Seeds = Array<std::uint32_t>;
using Counts = Array<std::int64_t>;

std::string shape_of(const py::array& array) {
    return py::str(py::tuple(array.attr("shape"))).cast<std::string>();
}

// The arrays of a batch by name, checked for what a thread will write into them.
class Output {
public:
    Output(const py::dict& arrays, std::size_t rows) : arrays_(arrays), rows_(rows) {}

    Field matrix(const char* name) const {
        const py::array array = checked(name, 2);
        if (static_cast<std::size_t>(array.shape(0)) < rows_) refuse(name, array, "at least " + std::to_string(rows_) + " rows");
        return field(array, static_cast<std::size_t>(array.shape(1)));
    }

    Field column(const char* name) const {
        const py::array array = checked(name, 1);
        if (static_cast<std::size_t>(array.size()) < rows_) refuse(name, array, "at least " + std::to_string(rows_) + " values");
        return field(array, 1);
    }

    PackedPredictions packed() const {
        PackedPredictions packed{per_row("masked_positions"), per_row("masked_labels"), column("masked_counts")};
        packed.positions.columns = packed.labels.columns = std::min(packed.positions.columns, packed.labels.columns);
        return packed;
    }

private:
    Field per_row(const char* name) const {
        const py::array array = checked(name, 1);
        return field(array, rows_ == 0 ? 0 : static_cast<std::size_t>(array.size()) / rows_);
    }

    py::array checked(const char* name, py::ssize_t dimensions) const {
        if (!arrays_.contains(name)) throw py::value_error("out has no array " + std::string(name));
        const auto array = arrays_[name].cast<py::array>();
        const char kind = array.dtype().kind();
        if (array.ndim() != dimensions) refuse(name, array, std::to_string(dimensions) + " dimensions");
        if (!(array.flags() & py::array::c_style)) refuse(name, array, "rows that are contiguous in memory");
        if (!array.writeable()) refuse(name, array, "an array that may be written");
        if ((kind != 'i' && kind != 'u' && kind != 'b') || array.dtype().attr("isnative").cast<bool>() == false) {
            refuse(name, array, "integers of this machine");
        }
        return array;
    }

    static Field field(const py::array& array, std::size_t columns) {
        return {const_cast<void*>(array.data()), static_cast<std::size_t>(array.itemsize()), columns};
    }

    [[noreturn]] static void refuse(const char* name, const py::array& array, const std::string& expected) {
        throw py::value_error("out[" + std::string(name) + "] is " + py::str(array.dtype()).cast<std::string>() + " of shape " +
                              shape_of(array) + "; expected " + expected);
    }

    const py::dict& arrays_;
    std::size_t rows_;
};

void require_row(const char* name, const py::array& array, const char* kinds, py::ssize_t width) {
    const bool right_type = std::string(kinds).find(array.dtype().kind()) != std::string::npos && (width == 0 || array.itemsize() == width);
    if (array.ndim() != 1 || !(array.flags() & py::array::c_style) || !right_type) {
        throw py::value_error(std::string(name) + " is " + py::str(array.dtype()).cast<std::string>() + " of shape " + shape_of(array) +
                              "; expected the contiguous array of an indexed dataset");
    }
}

// Where the tokens of a dataset are. The caller's arguments hold the arrays; the index was checked when it was opened.
TokenSource source_of(const py::array& tokens, const py::array& pointers, const py::array& lengths) {
    require_row("tokens", tokens, "iu", 0);
    require_row("pointers", pointers, "i", 8);
    require_row("lengths", lengths, "i", 4);
    if (pointers.size() != lengths.size()) throw py::value_error("pointers and lengths differ in their number of sequences");
    return {tokens.data(),   tokens.dtype().kind(), static_cast<std::size_t>(tokens.itemsize()),
            pointers.data(), lengths.data(),        static_cast<std::size_t>(lengths.size())};
}

// A wrong call must not make a thread read elsewhere, so the sequences of each row are looked at.
void require_inside(const TokenSource& source, const std::vector<SampleRow>& rows, const py::array& tokens) {
    for (const SampleRow& row : rows) {
        for (std::size_t sequence = row.first; sequence < row.last; ++sequence) {
            const std::int64_t start = source.pointer(sequence), length = static_cast<std::int64_t>(source.length(sequence));
            if (start < 0 || length < 0 || length > (tokens.nbytes() - start) / tokens.itemsize()) {
                throw py::value_error("sequence " + std::to_string(sequence) + " is not inside the tokens");
            }
        }
    }
}

std::vector<std::uint32_t> seeds_of(const Seeds& seeds, py::ssize_t rows) {
    if (seeds.ndim() != 1 || seeds.size() != rows) {
        throw py::value_error("seeds has the shape " + shape_of(seeds) + "; expected one seed for each of " + std::to_string(rows) + " rows");
    }
    return {seeds.data(), seeds.data() + seeds.size()};
}

std::vector<SampleRow> rows_of(const Counts& rows, std::size_t sequences) {
    if (rows.ndim() != 2 || rows.shape(1) != 3) throw py::value_error("rows has the shape " + shape_of(rows) + "; expected (rows, 3)");
    std::vector<SampleRow> checked(static_cast<std::size_t>(rows.shape(0)));
    for (std::size_t i = 0; i < checked.size(); ++i) {
        const std::int64_t* row = rows.data() + 3 * i;
        if (row[0] < 0 || row[1] <= row[0] || static_cast<std::uint64_t>(row[1]) > sequences || row[2] < 0) {
            throw py::value_error("row " + std::to_string(i) + " is (" + std::to_string(row[0]) + ", " + std::to_string(row[1]) +
                                  ", " + std::to_string(row[2]) + "); expected sequences of " + std::to_string(sequences));
        }
        checked[i] = {static_cast<std::size_t>(row[0]), static_cast<std::size_t>(row[1]), static_cast<std::size_t>(row[2])};
    }
    return checked;
}

class SampleBuilder {
public:
    SampleBuilder(const MaskingSettings& masking, const Array<bool>& starts, std::int32_t pad_id, std::int32_t bos_id,
                  std::int32_t eos_id, const Array<std::int32_t>& sentinels, bool binary_head) {
        settings_.masking = masking;
        settings_.starts.assign(starts.data(), starts.data() + starts.size());
        settings_.pad_id = pad_id;
        settings_.bos_id = bos_id;
        settings_.eos_id = eos_id;
        settings_.sentinels.assign(sentinels.data(), sentinels.data() + sentinels.size());
        settings_.binary_head = binary_head;
        if (settings_.starts.size() > std::numeric_limits<std::int32_t>::max()) {
            throw py::value_error("starts has " + std::to_string(settings_.starts.size()) + " values; expected at most 2^31 - 1");
        }
    }

    py::tuple bert_batch(const py::array& tokens, const py::array& pointers, const py::array& lengths,
                         const Counts& rows, const Seeds& seeds, const py::dict& out, unsigned threads, bool next_doubles) const {
        const TokenSource source = source_of(tokens, pointers, lengths);
        const std::vector<SampleRow> sample_rows = rows_of(rows, source.sequences());
        require_inside(source, sample_rows, tokens);
        const Output output(out, sample_rows.size());
        const BertFields fields{masked_fields(output), output.matrix("types"), output.matrix("padding_mask"),
                                output.column("is_random"), output.column("truncated"), output.column("lengths")};
        require_equal({fields.masked.text, fields.masked.labels, fields.masked.loss_mask, fields.types, fields.padding_mask});
        return run(seeds_of(seeds, rows.shape(0)), fields.masked.packed, threads, next_doubles,
                   [&](bool leave_stream) { return std::make_unique<BertRows>(settings_, source, sample_rows, fields, leave_stream); });
    }

    py::tuple t5_batch(const py::array& tokens, const py::array& pointers, const py::array& lengths, const Counts& rows,
                       const Seeds& seeds, const py::dict& out, unsigned threads, bool next_doubles) const {
        const TokenSource source = source_of(tokens, pointers, lengths);
        const std::vector<SampleRow> sample_rows = rows_of(rows, source.sequences());
        require_inside(source, sample_rows, tokens);
        const Output output(out, sample_rows.size());
        const T5Fields fields{output.matrix("text_enc"), output.matrix("padding_mask"), output.matrix("text_dec"),
                              output.matrix("labels"), output.matrix("loss_mask"), output.column("truncated"),
                              output.column("lengths"), output.column("lengths_dec"), output.packed()};
        require_equal({fields.text_enc, fields.padding_mask});
        require_equal({fields.text_dec, fields.labels, fields.loss_mask});
        return run(seeds_of(seeds, rows.shape(0)), fields.packed, threads, next_doubles,
                   [&](bool leave_stream) { return std::make_unique<T5Rows>(settings_, source, sample_rows, fields, leave_stream); });
    }

    py::tuple plain_batch(const py::array& tokens, const Counts& lengths, const Array<double>& max_predictions,
                          const Seeds& seeds, const py::dict& out, unsigned threads, bool next_doubles) const {
        if (tokens.ndim() != 2 || !(tokens.flags() & py::array::c_style)) {
            throw py::value_error("tokens has the shape " + shape_of(tokens) + "; expected contiguous rows");
        }
        const auto count = static_cast<std::size_t>(tokens.shape(0));
        if (static_cast<std::size_t>(lengths.size()) != count || static_cast<std::size_t>(max_predictions.size()) != count) {
            throw py::value_error("lengths and max_predictions must have one value for each of " + std::to_string(count) + " rows");
        }
        std::vector<PlainRow> plain_rows(count);
        for (std::size_t i = 0; i < count; ++i) {
            const std::int64_t length = lengths.data()[i];
            if (length < 0 || length > tokens.shape(1)) {
                throw py::value_error("the length of row " + std::to_string(i) + " is " + std::to_string(length) +
                                      "; expected at most the " + std::to_string(tokens.shape(1)) + " columns");
            }
            const auto* start = static_cast<const unsigned char*>(tokens.data()) + static_cast<py::ssize_t>(i) * tokens.strides(0);
            plain_rows[i] = {start, static_cast<std::size_t>(length), max_predictions.data()[i]};
        }
        const CopyIds copy = copy_of(tokens.dtype().kind(), static_cast<std::size_t>(tokens.itemsize()));
        const Output output(out, count);
        const MaskedFields fields = masked_fields(output);
        require_equal({fields.text, fields.labels, fields.loss_mask});
        return run(seeds_of(seeds, tokens.shape(0)), fields.packed, threads, next_doubles,
                   [&](bool leave_stream) { return std::make_unique<PlainRows>(settings_, copy, plain_rows, fields, leave_stream); });
    }

private:
    static MaskedFields masked_fields(const Output& output) {
        return {output.matrix("text"), output.matrix("labels"), output.matrix("loss_mask"), output.packed()};
    }

    static void require_equal(const std::vector<Field>& fields) {
        for (const Field& field : fields) {
            if (field.columns != fields[0].columns) throw py::value_error("the arrays of out differ in their number of columns");
        }
    }

    template <typename MakeBuilder>
    static py::tuple run(const std::vector<std::uint32_t>& seeds, const PackedPredictions& packed, unsigned threads,
                         bool next_doubles, MakeBuilder make_builder) {
        std::vector<std::unique_ptr<RowBuilder>> owned;
        std::vector<RowBuilder*> builders;
        const std::size_t useful = std::max<std::size_t>(1, std::min<std::size_t>(threads, seeds.size()));
        for (std::size_t i = 0; i < useful; ++i) {
            owned.push_back(make_builder(next_doubles));
            builders.push_back(owned.back().get());
        }
        Array<double> doubles(next_doubles ? static_cast<py::ssize_t>(seeds.size()) : 0);
        double* values = next_doubles ? doubles.mutable_data() : nullptr;
        BatchResult result;
        {
            const py::gil_scoped_release release;  // every array is held by the caller's arguments
            result = build_batch(builders, seeds, packed, values);
        }
        return py::make_tuple(result.failed_row, result.predictions, doubles);
    }

    SampleSettings settings_;
};

}  // namespace

void register_samples(py::module_& module) {
    py::class_<SampleBuilder>(module, "SampleBuilder",
                              "Builds batches into the arrays of `out`, each row from its own seed. Every method returns "
                              "(the first row that could not be built or -1, the number of packed predictions, the "
                              "doubles that the rows' generators would draw next if these were asked for).")
        .def(py::init<const MaskingSettings&, const Array<bool>&, std::int32_t, std::int32_t, std::int32_t,
                      const Array<std::int32_t>&, bool>(),
             py::kw_only(), py::arg("masking"), py::arg("starts"), py::arg("pad_id"), py::arg("bos_id"), py::arg("eos_id"),
             py::arg("sentinels"), py::arg("binary_head"))
        .def("bert_batch", &SampleBuilder::bert_batch, py::kw_only(), py::arg("tokens"), py::arg("pointers"), py::arg("lengths"),
             py::arg("rows"), py::arg("seeds"), py::arg("out"), py::arg("threads"), py::arg("next_doubles") = false)
        .def("t5_batch", &SampleBuilder::t5_batch, py::kw_only(), py::arg("tokens"), py::arg("pointers"), py::arg("lengths"),
             py::arg("rows"), py::arg("seeds"), py::arg("out"), py::arg("threads"), py::arg("next_doubles") = false)
        .def("plain_batch", &SampleBuilder::plain_batch, py::kw_only(), py::arg("tokens"), py::arg("lengths"),
             py::arg("max_predictions"), py::arg("seeds"), py::arg("out"), py::arg("threads"), py::arg("next_doubles") = false);
}

// maskgen._native: sample mappings and blending. maskgen/mapping/ has looked at types, shapes and single numbers;
// whatever an array's content could do to memory is checked here, where it is read.
#include "mapping_binding.hpp"

#include <pybind11/numpy.h>

#include <utility>

#include "blending.hpp"
#include "mapping.hpp"
#include "sample_index.hpp"

namespace py = pybind11;

namespace {

template <typename Value>
using Array = py::array_t<Value, py::array::c_style>;

template <typename Value, std::size_t kColumns>
py::array adopt_rows(RowBuffer<Value, kColumns>& rows) {
    const auto count = static_cast<py::ssize_t>(rows.count());
    Value* data = rows.release();
    const py::capsule owner(data, [](void* memory) { std::free(memory); });
    return py::array_t<Value>({count, static_cast<py::ssize_t>(kColumns)}, data, owner);
}

template <typename Number>
const Loose<Number>* loose(const Array<Number>& array) {
    return reinterpret_cast<const Loose<Number>*>(array.data());
}

// Room for `count` values, refused before it is taken when the machine does not have it.
template <typename Value>
Array<Value> room_for(std::uint64_t count, std::uint64_t memory_limit) {
    if (count > memory_limit / sizeof(Value)) {
        throw MemoryShortage(static_cast<double>(count), sizeof(Value), memory_limit);
    }
    return Array<Value>(static_cast<py::ssize_t>(count));
}

// The same for the two arrays of a blend together.
template <typename Index>
std::pair<Array<Index>, Array<std::int64_t>> room_for_blend(std::uint64_t count, std::uint64_t memory_limit) {
    constexpr std::size_t kRowBytes = sizeof(Index) + sizeof(std::int64_t);
    if (count > memory_limit / kRowBytes) throw MemoryShortage(static_cast<double>(count), kRowBytes, memory_limit);
    return {Array<Index>(static_cast<py::ssize_t>(count)), Array<std::int64_t>(static_cast<py::ssize_t>(count))};
}

Sentences sentences_of(const Array<std::int64_t>& documents, const Array<std::int32_t>& sizes) {
    return Sentences(loose(documents), static_cast<std::size_t>(documents.size()), loose(sizes),
                     static_cast<std::size_t>(sizes.size()));
}

template <typename Value>
py::array mapping_of(const Array<std::int64_t>& documents, const Array<std::int32_t>& sizes, Repetition repetition,
                     MappingSettings settings) {
    MappingRows<Value> rows(repetition.memory_limit);
    {
        const py::gil_scoped_release release;  // the arrays are held by the caller
        const Sentences sentences = sentences_of(documents, sizes);
        rows.reserve(sentences.most_rows(settings.min_num_sent));
        build_mapping(sentences, repetition, settings, rows);
    }
    return adopt_rows(rows);
}

py::array any_mapping(const Array<std::int64_t>& documents, const Array<std::int32_t>& sizes, std::uint64_t num_epochs,
                      std::uint64_t max_num_samples, std::uint32_t max_seq_length, double short_seq_prob,
                      std::uint32_t seed, std::uint64_t min_num_sent, std::uint64_t memory_limit, bool wide) {
    if (max_seq_length < 2) throw py::value_error("max_seq_length must be 2 or more");
    if (!(short_seq_prob >= 0 && short_seq_prob <= 1)) throw py::value_error("short_seq_prob must be 0 to 1");
    if (min_num_sent < 1) throw py::value_error("min_num_sent must be 1 or more");
    const Repetition repetition{num_epochs, max_num_samples, memory_limit};
    const MappingSettings settings{max_seq_length, short_seq_prob, seed, min_num_sent};
    return wide ? mapping_of<std::uint64_t>(documents, sizes, repetition, settings)
                : mapping_of<std::uint32_t>(documents, sizes, repetition, settings);
}

template <typename Value>
py::array blocks_of(const Array<std::int64_t>& documents, const Array<std::int32_t>& sizes,
                    const Array<std::int32_t>& title_sizes, Repetition repetition, BlockSettings settings) {
    BlockRows<Value> rows(repetition.memory_limit);
    {
        const py::gil_scoped_release release;
        const Sentences sentences = sentences_of(documents, sizes);
        rows.reserve(sentences.most_rows(settings.use_one_sent_blocks ? 1 : 2));
        build_blocks_mapping(sentences, loose(title_sizes), repetition, settings, rows);
    }
    return adopt_rows(rows);
}

py::array any_blocks_mapping(const Array<std::int64_t>& documents, const Array<std::int32_t>& sizes,
                             const Array<std::int32_t>& title_sizes, std::uint64_t num_epochs,
                             std::uint64_t max_num_samples, std::uint32_t max_seq_length, std::uint32_t seed,
                             bool use_one_sent_blocks, std::uint64_t memory_limit, bool wide) {
    if (max_seq_length < 2) throw py::value_error("max_seq_length must be 2 or more");
    if (title_sizes.size() + 1 < documents.size()) throw py::value_error("title_sizes is shorter than the documents");
    const Repetition repetition{num_epochs, max_num_samples, memory_limit};
    const BlockSettings settings{max_seq_length, seed, use_one_sent_blocks};
    return wide ? blocks_of<std::uint64_t>(documents, sizes, title_sizes, repetition, settings)
                : blocks_of<std::uint32_t>(documents, sizes, title_sizes, repetition, settings);
}

template <typename Size, typename Index>
std::int64_t tokens_of(const Array<Size>& sizes, const Array<Index>& document_idx) {
    const py::gil_scoped_release release;
    return count_tokens(loose(sizes), static_cast<std::size_t>(sizes.size()), loose(document_idx),
                        static_cast<std::size_t>(document_idx.size()));
}

template <typename Out, typename Size, typename Index>
py::array walk(const Array<Size>& sizes, const Array<Index>& document_idx, SampleLength sample, std::int64_t samples,
               std::uint64_t memory_limit) {
    Array<Out> rows = room_for<Out>(2 * (static_cast<std::uint64_t>(samples) + 1), memory_limit);
    Out* data = rows.mutable_data();
    {
        const py::gil_scoped_release release;
        build_sample_index(loose(sizes), loose(document_idx), static_cast<std::size_t>(document_idx.size()), sample,
                           samples, data);
    }
    return rows.reshape({static_cast<py::ssize_t>(samples + 1), py::ssize_t{2}});
}

template <typename Size, typename Index>
py::array sample_index_of(const Array<Size>& sizes, const Array<Index>& document_idx, std::int64_t seq_length,
                          std::int64_t extra, std::int64_t num_epochs, std::int64_t tokens_per_epoch,
                          bool drop_last_partial_sequence, std::uint64_t memory_limit, bool wide) {
    if (seq_length < 1 || seq_length == INT64_MAX) throw py::value_error("seq_length must be 1 to 2^63 - 2");
    if (extra < 0 || extra > 1) throw py::value_error("add_extra_token_to_sequence must be 0 or 1");
    if (num_epochs < 1) throw py::value_error("num_epochs must be 1 or more");
    const std::int64_t tokens = tokens_of(sizes, document_idx);
    if (tokens % num_epochs != 0 || tokens / num_epochs != tokens_per_epoch) {
        throw py::value_error("tokens_per_epoch is " + std::to_string(tokens_per_epoch) + " and num_epochs " +
                              std::to_string(num_epochs) + "; document_idx has " + std::to_string(tokens) +
                              " tokens in all, which is not their product");
    }
    const std::int64_t to_cut = tokens < extra ? 0 : tokens - extra;
    const bool partial = !drop_last_partial_sequence && to_cut % seq_length != 0;
    const std::int64_t samples = to_cut / seq_length + (partial ? 1 : 0);
    const SampleLength sample{seq_length, extra};
    return wide ? walk<std::int64_t>(sizes, document_idx, sample, samples, memory_limit)
                : walk<std::int32_t>(sizes, document_idx, sample, samples, memory_limit);
}

template <typename Index>
py::tuple blending_of(const Array<double>& weights, std::uint64_t size, std::uint64_t memory_limit,
                      std::size_t tournament_from) {
    auto [dataset_index, sample_index] = room_for_blend<Index>(size, memory_limit);
    Index* datasets = dataset_index.mutable_data();
    std::int64_t* samples = sample_index.mutable_data();
    {
        const py::gil_scoped_release release;
        build_blending_indices(weights.data(), static_cast<std::size_t>(weights.size()), size, datasets, samples,
                               tournament_from);
    }
    return py::make_tuple(std::move(dataset_index), std::move(sample_index));
}

template <typename Index>
py::tuple exhaustive_blending_of(const Array<std::int64_t>& sizes, std::uint64_t total, std::uint64_t memory_limit,
                                std::size_t tournament_from) {
    auto [dataset_index, sample_index] = room_for_blend<Index>(total, memory_limit);
    Index* datasets = dataset_index.mutable_data();
    std::int64_t* samples = sample_index.mutable_data();
    {
        const py::gil_scoped_release release;
        build_exhaustive_blending_indices(sizes.data(), static_cast<std::size_t>(sizes.size()), total, datasets,
                                          samples, tournament_from);
    }
    return py::make_tuple(std::move(dataset_index), std::move(sample_index));
}

py::tuple any_blending(const Array<double>& weights, std::uint64_t size, std::uint64_t memory_limit, bool wide,
                       std::size_t tournament_from) {
    if (weights.size() < 1) throw py::value_error("weights must not be empty");
    for (py::ssize_t i = 0; i < weights.size(); ++i) {
        if (!(weights.at(i) >= 0 && weights.at(i) <= 1.7976931348623157e308)) {
            throw py::value_error("weights[" + std::to_string(i) + "] must be finite and 0 or more");
        }
    }
    return wide ? blending_of<std::int32_t>(weights, size, memory_limit, tournament_from)
                : blending_of<std::int16_t>(weights, size, memory_limit, tournament_from);
}

py::tuple any_exhaustive_blending(const Array<std::int64_t>& sizes, std::uint64_t memory_limit, bool wide,
                                  std::size_t tournament_from) {
    std::uint64_t total = 0;
    for (py::ssize_t i = 0; i < sizes.size(); ++i) {
        const std::int64_t size = sizes.at(i);
        if (size < 0 || static_cast<std::uint64_t>(size) > INT64_MAX - total) {
            throw py::value_error("sizes[" + std::to_string(i) + "] is " + std::to_string(size) +
                                  "; 0 or more is expected, and less than 2^63 in all");
        }
        total += static_cast<std::uint64_t>(size);
    }
    return wide ? exhaustive_blending_of<std::int32_t>(sizes, total, memory_limit, tournament_from)
                : exhaustive_blending_of<std::int16_t>(sizes, total, memory_limit, tournament_from);
}

template <typename Size, typename Index>
void register_sample_index(py::module_& module) {
    module.def("build_sample_idx", &sample_index_of<Size, Index>, py::kw_only(), py::arg("sizes").noconvert(),
               py::arg("document_idx").noconvert(), py::arg("seq_length"), py::arg("add_extra_token_to_sequence"),
               py::arg("num_epochs"), py::arg("tokens_per_epoch"), py::arg("drop_last_partial_sequence"),
               py::arg("memory_limit"), py::arg("wide"),
               "maskgen.mapping.build_sample_idx; `wide` gives int64. ValueError for what is out of range.");
}

}  // namespace

void register_mapping(py::module_& module) {
    module.def("build_mapping", &any_mapping, py::kw_only(), py::arg("documents").noconvert(),
               py::arg("sizes").noconvert(), py::arg("num_epochs"), py::arg("max_num_samples"),
               py::arg("max_seq_length"), py::arg("short_seq_prob"), py::arg("seed"), py::arg("min_num_sent"),
               py::arg("memory_limit"), py::arg("wide"),
               "maskgen.mapping.build_mapping; `wide` gives uint64. MemoryError beyond `memory_limit` bytes.");
    module.def("build_blocks_mapping", &any_blocks_mapping, py::kw_only(), py::arg("documents").noconvert(),
               py::arg("sizes").noconvert(), py::arg("title_sizes").noconvert(), py::arg("num_epochs"),
               py::arg("max_num_samples"), py::arg("max_seq_length"), py::arg("seed"), py::arg("use_one_sent_blocks"),
               py::arg("memory_limit"), py::arg("wide"),
               "maskgen.mapping.build_blocks_mapping; `wide` gives uint64. MemoryError beyond `memory_limit` bytes.");
    register_sample_index<std::int32_t, std::int32_t>(module);
    register_sample_index<std::int32_t, std::int64_t>(module);
    register_sample_index<std::int64_t, std::int32_t>(module);
    register_sample_index<std::int64_t, std::int64_t>(module);
    module.def("build_blending_indices", &any_blending, py::kw_only(), py::arg("weights").noconvert(), py::arg("size"),
               py::arg("memory_limit"), py::arg("wide"), py::arg("tournament_from") = kTournamentFrom,
               "maskgen.mapping.build_blending_indices; `wide` gives int32 instead of int16.");
    module.def("build_exhaustive_blending_indices", &any_exhaustive_blending, py::kw_only(),
               py::arg("sizes").noconvert(), py::arg("memory_limit"), py::arg("wide"),
               py::arg("tournament_from") = kTournamentFrom,
               "maskgen.mapping.build_exhaustive_blending_indices; `wide` gives int32 instead of int16.");
}

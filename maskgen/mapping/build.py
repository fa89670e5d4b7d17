"""The five functions that say which sentences, documents or datasets a sample is made of.

Each checks its arguments and hands them to an engine: ``native`` (csrc/) or ``reference``, the slow twin in
``maskgen/mapping/reference.py`` that is its definition. The results are the same to the bit, types included.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from maskgen import _native
from maskgen.mapping import reference
from maskgen.mapping.arguments import (
    LARGEST_LENGTH,
    UNLIMITED,
    MappingError,
    check_documents,
    check_sizes,
    check_titles,
    check_tokens,
    integers,
    memory_limit,
    probability,
    repetition,
    seed_number,
    weights_of,
    whole_number,
)

Engine = Literal["native", "reference"]
Rows = npt.NDArray[Any]
Blend = tuple[npt.NDArray[Any], npt.NDArray[np.int64]]


def build_mapping(
    documents: npt.ArrayLike,
    sizes: npt.ArrayLike,
    *,
    num_epochs: int | None = None,
    max_num_samples: int | None = None,
    max_seq_length: int,
    short_seq_prob: float,
    seed: int,
    min_num_sent: int,
    engine: Engine = "native",
) -> Rows:
    """Samples of whole sentences: rows (first sentence, one past the last, target length), shuffled.

    `documents` are boundaries: document d is sentences ``documents[d]`` to ``documents[d+1]``. Whole epochs are built
    until there are `max_num_samples` rows or `num_epochs` are done; one of the two may be None.
    """
    boundaries, sentence_sizes = integers("documents", documents, np.int64), integers("sizes", sizes, np.int32)
    epochs, samples = repetition(num_epochs, max_num_samples)
    arguments: dict[str, Any] = {
        "num_epochs": epochs,
        "max_num_samples": samples,
        "max_seq_length": whole_number("max_seq_length", max_seq_length, 2, LARGEST_LENGTH),
        "short_seq_prob": probability("short_seq_prob", short_seq_prob),
        "seed": seed_number(seed),
        "min_num_sent": whole_number("min_num_sent", min_num_sent, 1),
    }
    if is_reference(engine):
        check_documents(boundaries, len(sentence_sizes))
        check_sizes(sentence_sizes)
        rows = reference.build_mapping(boundaries.tolist(), sentence_sizes.tolist(), **arguments)
        return np.array(rows, mapping_dtype(len(sentence_sizes))).reshape(-1, 3)
    wide = mapping_dtype(len(sentence_sizes)).itemsize > 4
    return _native.build_mapping(
        documents=boundaries, sizes=sentence_sizes, memory_limit=memory_limit(), wide=wide, **arguments
    )


def build_blocks_mapping(
    documents: npt.ArrayLike,
    sizes: npt.ArrayLike,
    title_sizes: npt.ArrayLike,
    *,
    num_epochs: int | None = None,
    max_num_samples: int | None = None,
    max_seq_length: int,
    seed: int,
    use_one_sent_blocks: bool = False,
    engine: Engine = "native",
) -> Rows:
    """Blocks for ICT and REALM: rows (first sentence, one past the last, document, block number), shuffled.

    A block has room for its document's title; numbers count across documents and start again in each epoch.
    """
    boundaries, sentence_sizes = integers("documents", documents, np.int64), integers("sizes", sizes, np.int32)
    titles = integers("title_sizes", title_sizes, np.int32)
    check_titles(titles, max(len(boundaries) - 1, 0))
    epochs, samples = repetition(num_epochs, max_num_samples)
    arguments: dict[str, Any] = {
        "num_epochs": epochs,
        "max_num_samples": samples,
        "max_seq_length": whole_number("max_seq_length", max_seq_length, 2, LARGEST_LENGTH),
        "seed": seed_number(seed),
        "use_one_sent_blocks": bool(use_one_sent_blocks),
    }
    if is_reference(engine):
        check_documents(boundaries, len(sentence_sizes))
        check_sizes(sentence_sizes)
        lists = boundaries.tolist(), sentence_sizes.tolist(), titles.tolist()
        rows = reference.build_blocks_mapping(*lists, **arguments)
        return np.array(rows, mapping_dtype(len(sentence_sizes))).reshape(-1, 4)
    wide = mapping_dtype(len(sentence_sizes)).itemsize > 4
    return _native.build_blocks_mapping(
        documents=boundaries,
        sizes=sentence_sizes,
        title_sizes=titles,
        memory_limit=memory_limit(),
        wide=wide,
        **arguments,
    )


def build_sample_idx(
    sizes: npt.ArrayLike,
    document_idx: npt.ArrayLike,
    *,
    seq_length: int,
    num_epochs: int,
    tokens_per_epoch: int,
    drop_last_partial_sequence: bool = True,
    add_extra_token_to_sequence: int = 1,
    engine: Engine = "native",
) -> Rows:
    """Samples of `seq_length` tokens, documents laid end to end: rows (position in `document_idx`, offset), n + 1.

    `document_idx` has the documents of all epochs in the order in which they are read. Sample i starts at row i and
    takes one token more when `add_extra_token_to_sequence` is 1, the first of sample i + 1.
    """
    lengths = np.asarray(sizes)
    lengths = integers("sizes", sizes, np.int64 if lengths.dtype in (np.int64, np.uint64, np.uint32) else np.int32)
    order = np.asarray(document_idx)
    order = integers("document_idx", document_idx, np.int32 if order.dtype == np.int32 else np.int64)
    arguments: dict[str, Any] = {
        "seq_length": whole_number("seq_length", seq_length, 1, UNLIMITED - 1),
        "num_epochs": whole_number("num_epochs", num_epochs, 1),
        "tokens_per_epoch": whole_number("tokens_per_epoch", tokens_per_epoch, 0),
        "drop_last_partial_sequence": bool(drop_last_partial_sequence),
        "add_extra_token_to_sequence": whole_number(
            "add_extra_token_to_sequence",
            int(add_extra_token_to_sequence)
            if isinstance(add_extra_token_to_sequence, bool)
            else add_extra_token_to_sequence,
            0,
            1,
        ),
    }
    dtype = sample_idx_dtype(len(order), int(lengths.max(initial=0)))
    if is_reference(engine):
        check_sizes(lengths)
        check_tokens(lengths, order, arguments["num_epochs"], arguments["tokens_per_epoch"])
        return np.array(reference.build_sample_idx(lengths.tolist(), order.tolist(), **arguments), dtype)
    return _native.build_sample_idx(
        sizes=lengths, document_idx=order, memory_limit=memory_limit(), wide=dtype.itemsize > 4, **arguments
    )


def build_blending_indices(weights: npt.ArrayLike, size: int, *, engine: Engine = "native") -> Blend:
    """For each of `size` draws the dataset that is furthest behind its weight, and the number of its sample.

    The weights are taken as they are: they should add up to 1 (``maskgen.mapping.normalized``).
    """
    checked, steps = weights_of(weights), whole_number("size", size, 0)
    dtype = dataset_dtype(len(checked))
    if is_reference(engine):
        datasets, samples = reference.build_blending_indices(checked.tolist(), steps)
        return np.array(datasets, dtype), np.array(samples, np.int64)
    return _native.build_blending_indices(
        weights=checked, size=steps, memory_limit=memory_limit(), wide=dtype.itemsize > 2
    )


def build_exhaustive_blending_indices(sizes: npt.ArrayLike, *, engine: Engine = "native") -> Blend:
    """All samples of all datasets, mixed in proportion to their sizes; a size of 0 is allowed and never drawn."""
    checked = integers("sizes", sizes, np.int64)
    if not len(checked):
        raise MappingError("sizes is empty; one size for each dataset is expected")
    check_sizes(checked)
    dtype = dataset_dtype(len(checked))
    if is_reference(engine):
        datasets, samples = reference.build_exhaustive_blending_indices(checked.tolist())
        return np.array(datasets, dtype), np.array(samples, np.int64)
    return _native.build_exhaustive_blending_indices(
        sizes=np.require(checked, requirements="A"), memory_limit=memory_limit(), wide=dtype.itemsize > 2
    )


def mapping_dtype(sentences: int) -> np.dtype[Any]:
    """The type of a mapping over that many sentences."""
    return np.dtype(np.uint32 if sentences <= 0xFFFFFFFF else np.uint64)


def sample_idx_dtype(positions: int, largest_size: int) -> np.dtype[Any]:
    """The type of a sample index over that many entries of ``document_idx``."""
    return np.dtype(np.int32 if max(positions, largest_size) <= 0x7FFFFFFF else np.int64)


def dataset_dtype(datasets: int) -> np.dtype[Any]:
    """The type of the number of a dataset among that many."""
    return np.dtype(np.int16 if datasets <= 0x7FFF else np.int32)


def is_reference(engine: str) -> bool:
    """Whether the twin is asked for; an unknown engine is refused."""
    if engine not in ("native", "reference"):
        raise MappingError(f"engine is {engine!r}; native or reference is expected")
    return engine == "reference"

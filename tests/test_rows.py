"""Rows of documents: what every kind promises, in worked examples and as properties; hostile arguments."""

import itertools
import json
import pickle
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from helpers import write_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskgen.mapping.npy_file import MappedRows
from maskgen.rows import Chunks, Documents, PackedDocuments, RowBatch
from maskgen.rows.chunks import document_order
from preprocess import IndexedDataset, IndexedDatasetError
from preprocess.errors import MaskgenError

KINDS = {
    "chunks": Chunks,
    "best-fit": PackedDocuments,
    "sequential": lambda *a, **k: PackedDocuments(*a, strategy="sequential", **k),
    "documents": Documents,
}
BEGIN, END, ROW_BEGIN, ROW_END = 60001, 60002, 60003, 60004
ARRAYS = ("tokens", "lengths", "document_ids", "positions", "cumulative_lengths")

every_kind = pytest.mark.parametrize("kind", KINDS)


def numbered(sizes, sequences=1):
    """Documents of those sizes, in so many sequences each; every token says document * 100 + place."""
    documents = []
    for number, size in enumerate(sizes):
        tokens = [100 * number + place for place in range(size)]
        cuts = [size * each // sequences for each in range(sequences + 1)]
        documents.append([tokens[a:b] for a, b in itertools.pairwise(cuts)])
    return documents


def dataset_of(folder, sizes, sequences=1, dtype="uint16"):
    return IndexedDataset(write_dataset(folder / "corpus", numbered(sizes, sequences), dtype))


def everything(rows, **options):
    return rows.tokens(range(len(rows)), **options)


def same(one, other):
    for name in ARRAYS:
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype
        assert np.array_equal(left, right), name
    for name in ("row_starts", "documents", "starts", "counts", "specials"):
        assert np.array_equal(getattr(one.pieces, name), getattr(other.pieces, name)), name


# --- worked examples


def test_packed_documents_with_ids_positions_and_cumulative_lengths(tmp_path):
    rows = PackedDocuments(dataset_of(tmp_path, [3, 6, 4, 2]), 8, add_special=(BEGIN, END), pad_id=9)
    batch = everything(rows)
    # Entries of the pieces: 5, 8, 6, 4. The 6 is best alone; 5 does not fit beside it, and neither does 4 beside any.
    assert batch.tokens.tolist() == [
        [BEGIN, 0, 1, 2, END, 9, 9, 9],
        [BEGIN, 100, 101, 102, 103, 104, 105, END],
        [BEGIN, 200, 201, 202, 203, END, 9, 9],
        [BEGIN, 300, 301, END, 9, 9, 9, 9],
    ]
    rows = PackedDocuments(dataset_of(tmp_path, [3, 8, 5, 2, 2]), 8)
    batch = everything(rows)
    assert batch.tokens.tolist() == [
        [0, 1, 2, 200, 201, 202, 203, 204],
        [100, 101, 102, 103, 104, 105, 106, 107],
        [300, 301, 400, 401, 0, 0, 0, 0],
    ]
    assert batch.lengths.tolist() == [8, 8, 4]
    assert batch.document_ids.tolist() == [[0] * 3 + [1] * 5, [0] * 8, [0, 0, 1, 1, -1, -1, -1, -1]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 2, 3, 4], list(range(8)), [0, 1, 0, 1, 0, 0, 0, 0]]
    assert batch.cumulative_lengths.tolist() == [0, 3, 8, 16, 18, 20]
    assert batch.cumulative_lengths.dtype == np.int32
    assert batch.longest == 8
    assert batch.pieces.documents.tolist() == [0, 2, 1, 3, 4]
    assert batch.unpadded(batch.positions).tolist() == [0, 1, 2, 0, 1, 2, 3, 4, *range(8), 0, 1, 0, 1]
    assert rows.efficiency == 20 / 24


def test_sequential_packing_keeps_the_order(tmp_path):
    rows = PackedDocuments(dataset_of(tmp_path, [3, 0, 4, 2, 11, 1]), 8, strategy="sequential")
    assert [
        row[row >= 0].tolist() for row in np.where(everything(rows).document_ids < 0, -1, everything(rows).tokens)
    ] == [
        [0, 1, 2, 200, 201, 202, 203],
        [300, 301],
        [400, 401, 402, 403, 404, 405, 406, 407],
        [408, 409, 410, 500],
    ]
    assert (rows.empty_documents, rows.long_documents, rows.cut_documents, rows.dropped_tokens) == (1, 1, 1, 0)


def test_a_long_document_is_cut_only_if_nobody_objects(tmp_path):
    dataset = dataset_of(tmp_path, [3, 11])
    rows = Documents(dataset, 8, split_long=False)
    assert everything(rows).tokens.tolist() == [[0, 1, 2, 0, 0, 0, 0, 0], list(range(100, 108))]
    assert (rows.dropped_tokens, rows.long_documents, rows.cut_documents) == (3, 1, 0)
    assert rows.describe()["dropped_tokens"] == 3
    whole = Documents(dataset, 8)
    assert (whole.dropped_tokens, len(whole), whole.cut_documents) == (0, 3, 1)
    assert everything(whole).lengths.tolist() == [3, 8, 3]


def test_chunks_are_windows_of_one_stream(tmp_path):
    dataset = dataset_of(tmp_path, [3, 0, 7])
    rows = Chunks(dataset, 4)
    batch = everything(rows)
    assert batch.tokens.tolist() == [[0, 1, 2, 200], [201, 202, 203, 204], [205, 206, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 0], [0, 1, 2, 3], [0, 1, 0, 0]]
    assert (rows.dropped_entries, rows.cut_documents) == (0, 1)
    full = Chunks(dataset, 4, drop_last_partial_sequence=True)
    assert everything(full).tokens.tolist() == batch.tokens.tolist()[:2]
    assert (full.dropped_entries, full.efficiency) == (2, 1.0)


def test_specials_of_a_stream_and_of_rows(tmp_path):
    dataset = dataset_of(tmp_path, [2, 1, 0, 3])
    rows = Chunks(dataset, 6, add_special=(None, END), row_special=(ROW_BEGIN, ROW_END))
    batch = everything(rows)
    assert batch.tokens.tolist() == [
        [ROW_BEGIN, 0, 1, END, 100, ROW_END],
        [ROW_BEGIN, END, 300, 301, 302, ROW_END],
        [ROW_BEGIN, END, ROW_END, 0, 0, 0],
    ]
    # What stands around a row belongs to the pieces at its ends.
    assert batch.document_ids.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1], [0, 0, 0, -1, -1, -1]]
    assert batch.cumulative_lengths.tolist() == [0, 4, 6, 8, 12, 15]


def test_best_fit_wastes_less(tmp_path):
    random = np.random.RandomState(0)
    sizes = np.minimum(random.lognormal(2, 1, 60), 99).astype(int)
    dataset = dataset_of(tmp_path, sizes)
    by_kind = {kind: make(dataset, 32) for kind, make in KINDS.items()}
    assert by_kind["documents"].efficiency < by_kind["sequential"].efficiency < by_kind["best-fit"].efficiency
    least = -(-int(sizes.sum()) // 32)
    assert len(by_kind["chunks"]) == least <= len(by_kind["best-fit"]) <= least + 2


# --- properties


@st.composite
def cases(draw):
    """Sizes, sequences a document, and arguments of rows."""
    sizes = draw(st.lists(st.integers(0, 40), max_size=25))
    seq_length = draw(st.sampled_from([5, 6, 8, 13, 16, 64]))
    id_or_none = st.sampled_from([None, BEGIN, 0])
    special = draw(st.one_of(st.none(), st.tuples(id_or_none, id_or_none)))
    documents = None
    if sizes and draw(st.booleans()):
        numbers = st.integers(0, len(sizes) - 1)
        documents = draw(st.one_of(st.lists(numbers, max_size=12), st.builds(range, numbers, st.just(len(sizes)))))
    return sizes, draw(st.integers(1, 3)), seq_length, special, documents


def text_of(rows, batch):
    """For each piece its document, and its tokens without specials: the numbers that `numbered` wrote."""
    found = []
    ends = batch.cumulative_lengths
    flat = batch.unpadded()
    for piece, (begin, end) in enumerate(itertools.pairwise(ends)):
        bits = int(batch.pieces.specials[piece])
        before, after = bin(bits & 3).count("1"), bin(bits & 12).count("1")
        found.append((int(batch.pieces.documents[piece]), flat[begin + before : end - after].tolist()))
    return found


@every_kind
@given(case=cases())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_lost_or_repeated_and_engines_agree(tmp_path_factory, kind, case):
    sizes, sequences, seq_length, special, documents = case
    dataset = dataset_of(tmp_path_factory.mktemp("rows"), sizes, sequences)
    arguments = {"add_special": special, "documents": documents, "dtype": np.int32}
    if kind == "chunks":
        arguments["row_special"] = special
    rows = KINDS[kind](dataset, seq_length, **arguments)
    batch = everything(rows, threads=3)
    same(batch, everything(KINDS[kind](dataset, seq_length, engine="reference", **arguments)))
    chosen = list(range(len(sizes)) if documents is None else documents)
    expected = [token for number in chosen for token in numbered(sizes)[number][0]]
    text = text_of(rows, batch)
    if kind == "best-fit":
        assert Counter(token for _, tokens in text for token in tokens) == Counter(expected)
    else:
        assert [token for _, tokens in text for token in tokens] == expected
    around = (special or ()) and [id_ for id_ in special if id_ is not None]
    for document, tokens in text:
        assert all(token // 100 == document for token in tokens)
        assert tokens == list(range(tokens[0], tokens[0] + len(tokens))) if tokens else kind == "chunks"
    for row in range(len(rows)):
        length = batch.lengths[row]
        assert 0 < length <= seq_length
        assert (batch.tokens[row, length:] == 0).all()
        assert (batch.document_ids[row, length:] == -1).all()
        assert (np.diff(batch.document_ids[row, :length]) >= 0).all()
        ids, counts = np.unique(batch.document_ids[row, :length], return_counts=True)
        assert ids.tolist() == list(range(len(ids)))
        assert batch.positions[row, :length].tolist() == [place for count in counts for place in range(count)]
        if kind != "chunks":
            for begin in np.flatnonzero(batch.positions[row, :length] == 0):
                assert not special or special[0] is None or batch.tokens[row, begin] == special[0]
    assert rows.entries == batch.lengths.sum() == batch.cumulative_lengths[-1] == batch.padding_mask.sum()
    assert rows.efficiency == (rows.entries / batch.tokens.size if len(rows) else 1.0)
    pieces_of = Counter(document for document, tokens in text if tokens)
    if documents is None and not around:
        assert rows.cut_documents == sum(count > 1 for count in pieces_of.values())


@every_kind
@given(case=cases(), data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_does_not_depend_on_its_batch(tmp_path_factory, kind, case, data):
    sizes, sequences, seq_length, special, documents = case
    rows = KINDS[kind](
        dataset_of(tmp_path_factory.mktemp("rows"), sizes, sequences),
        seq_length,
        add_special=special,
        documents=documents,
    )
    whole = everything(rows)
    indices = data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), max_size=9)) if len(rows) else []
    threads = data.draw(st.integers(1, 4))
    batch = rows.tokens(indices, threads=threads)
    for name in ARRAYS[:-1]:
        assert np.array_equal(getattr(batch, name), getattr(whole, name)[np.array(indices, np.int64)])
    assert np.diff(batch.cumulative_lengths).tolist() == [
        length
        for index in indices
        for length in np.unique(whole.document_ids[index, : whole.lengths[index]], return_counts=True)[1]
    ]
    loaded = pickle.loads(pickle.dumps(rows))
    same(loaded.tokens(indices), batch)
    assert loaded.describe() == rows.describe()


@given(sizes=st.lists(st.integers(0, 30), max_size=12), seed=st.integers(0, 2**64 - 1), epochs=st.integers(1, 4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shuffled_chunks_have_every_document_once_an_epoch(tmp_path_factory, sizes, seed, epochs):
    dataset = dataset_of(tmp_path_factory.mktemp("rows"), sizes)
    rows = Chunks(dataset, 7, seed=seed, num_epochs=epochs)
    orders = [document_order(seed, epoch, len(sizes)) for epoch in range(epochs)]
    expected = [100 * number + place for order in orders for number in order for place in range(sizes[number])]
    assert everything(rows).unpadded().tolist() == expected
    assert all(sorted(order) == list(range(len(sizes))) for order in orders)


def test_orders_differ_between_seeds_and_epochs_and_stay_as_they_are():
    orders = [document_order(seed, epoch, 50).tolist() for seed in (0, 1, 2**32, 2**64 - 1) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 12
    assert document_order(1234, 0, 8).tolist() == EXPECTED_ORDERS[0]
    assert document_order(1234, 1, 8).tolist() == EXPECTED_ORDERS[1]


EXPECTED_ORDERS = [[0, 2, 5, 3, 4, 7, 6, 1], [6, 0, 5, 4, 3, 7, 1, 2]]


# --- arrays


@every_kind
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_arrays_of_the_caller(tmp_path, kind, dtype):
    rows = KINDS[kind](dataset_of(tmp_path, [5, 9, 30, 2, 0, 7]), 8, dtype=dtype)
    out = rows.allocate(2)
    for array in (out.tokens, out.lengths, out.document_ids, out.positions):
        assert array.dtype == dtype
        array.fill(77)
    batch = rows.tokens([1, 0], out)
    assert batch.tokens is out.tokens
    assert batch.positions is out.positions
    same(batch, rows.tokens([1, 0]))
    without = rows.tokens([1, 0], rows.allocate(2, np.int64, document_arrays=False))
    assert without.document_ids is None
    assert without.positions is None
    assert np.array_equal(without.tokens, batch.tokens)
    assert np.array_equal(without.cumulative_lengths, batch.cumulative_lengths)
    assert rows.tokens([]).tokens.shape == (0, 8)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "int64"])
def test_every_type_of_token(tmp_path, dtype):
    documents = [[[1, 2, 3]], [[100], [101, 102]]]
    dataset = IndexedDataset(write_dataset(tmp_path / "corpus", documents, dtype))
    assert everything(PackedDocuments(dataset, 6)).tokens.tolist() == [[1, 2, 3, 100, 101, 102]]


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(("dtype", "wrong"), [("int16", -5), ("int64", 2**31), ("int64", -(2**40))])
def test_what_is_no_id_is_named(tmp_path, engine, dtype, wrong):
    dataset = IndexedDataset(write_dataset(tmp_path / "corpus", [[[1, 2]], [[3, 4, wrong]]], dtype))
    with pytest.raises(ValueError, match=rf"corpus: document 1 holds the id {wrong}, token 4 .* expected ids from 0"):
        everything(Documents(dataset, 2, engine=engine), threads=2)


# --- what rows are


@every_kind
def test_descriptions_are_json_and_change_with_every_argument(tmp_path, kind):
    dataset = dataset_of(tmp_path, [5, 9, 30, 2, 0, 7])
    make = KINDS[kind]
    base = {"seq_length": 8}
    changes = [{"seq_length": 9}, {"documents": range(1, 6)}, {"documents": [1, 2]}, {"documents": [2, 1]}]
    changes += [{"add_special": (BEGIN, END)}, {"add_special": (END, BEGIN)}, {"pad_id": 1}]
    if kind == "chunks":
        changes += [{"seed": 1}, {"seed": 2}, {"num_epochs": 2}, {"row_special": (BEGIN, END)}]
        changes += [{"drop_last_partial_sequence": True}]
    else:
        changes += [{"split_long": False}]
    descriptions = [make(dataset, **base | change).describe() for change in [{}, *changes]]
    texts = [json.dumps(description, sort_keys=True) for description in descriptions]
    assert len(set(texts)) == len(texts)
    assert make(dataset, **base, engine="reference", dtype=np.int32).describe() == descriptions[0]
    assert f"{descriptions[0]['efficiency']:.1%} full" in repr(make(dataset, **base))


def test_a_cached_plan_is_the_same_and_is_mapped(tmp_path):
    dataset = dataset_of(tmp_path, [5, 9, 30, 2, 0, 7])
    plain = PackedDocuments(dataset, 8)
    for cache in (True, tmp_path / "plans"):
        made = PackedDocuments(dataset, 8, cache=cache)
        again = PackedDocuments(dataset, 8, cache=cache)
        assert isinstance(again.plan.pieces, MappedRows)
        same(everything(made), everything(plain))
        same(everything(again), everything(plain))
        same(everything(pickle.loads(pickle.dumps(again))), everything(plain))
        assert again.describe() == plain.describe()
        # Each set of arguments has its own files.
        same(everything(PackedDocuments(dataset, 9, cache=cache)), everything(PackedDocuments(dataset, 9)))
    names = sorted(path.name for path in (tmp_path / "plans").iterdir())
    assert len(names) == 5
    assert names[0] == "lock"
    empty = PackedDocuments(dataset, 8, documents=[], cache=True)
    assert len(PackedDocuments(dataset, 8, documents=[], cache=True)) == len(empty) == 0


@pytest.mark.parametrize("damage", ["place", "offset", "start", "row", "header", "short", "tokens"])
def test_a_damaged_plan_is_refused(tmp_path, damage):
    dataset = dataset_of(tmp_path, [5, 9, 30, 2, 0, 7])
    PackedDocuments(dataset, 8, cache=True)
    folder = tmp_path / "corpus.maskgen-cache"
    (pieces,), (starts,) = folder.glob("*pieces.npy"), folder.glob("*starts.npy")
    path = starts if damage in ("start", "row") else pieces
    content = bytearray(path.read_bytes())
    values = np.frombuffer(content, np.int64, offset=128)
    if damage == "place":
        values[2] = 99
    elif damage == "offset":
        values[3] = 3
    elif damage == "start":
        values[-1] += 1
    elif damage == "row":
        values[1] = values[2]
    elif damage == "tokens":
        values[0] = 3
    elif damage == "header":
        content[20] = 0
    if damage == "row":
        assert values[2] > 1
    del values
    path.write_bytes(content[:-8] if damage == "short" else content)
    with pytest.raises(MaskgenError, match=r"maskgen-cache.*expected .*built anew"):
        PackedDocuments(dataset, 8, cache=True)


def test_rows_are_gathered_by_many_threads_at_once(tmp_path):
    rows = PackedDocuments(dataset_of(tmp_path, list(range(40))), 16)
    expected = everything(rows)
    results = []

    def work():
        results.extend(everything(rows, threads=2) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    for result in results:
        same(result, expected)


@every_kind
def test_a_dataset_without_tokens_has_no_rows(tmp_path, kind):
    for sizes in ([], [0], [0, 0, 0]):
        rows = KINDS[kind](dataset_of(tmp_path, sizes), 8, add_special=(BEGIN, END))
        assert (len(rows), rows.entries, rows.efficiency) == (0, 0, 1.0)
        assert rows.tokens([]).cumulative_lengths.tolist() == [0]
        with pytest.raises(IndexError, match="0 of 0"):
            rows.tokens([0])
        json.dumps(rows.describe())


CUT = """
import sys
from preprocess import IndexedDataset, IndexedDatasetError
from maskgen.rows import Documents
rows = Documents(IndexedDataset(sys.argv[1]), 512)
rows.tokens([0])
with open(sys.argv[1] + ".bin", "r+b") as file:
    file.truncate(4096)
try:
    rows.tokens(range(len(rows)))
except IndexedDatasetError as error:
    print("refused:", error)
"""


def test_a_file_that_was_cut_is_an_error_and_no_crash(tmp_path):
    prefix = write_dataset(tmp_path / "corpus", [[list(range(500))] for _ in range(200)])
    done = subprocess.run([sys.executable, "-c", CUT, prefix], capture_output=True, text=True, timeout=60, check=False)
    assert "refused:" in done.stdout, done
    assert "a page that its file no longer has" in done.stdout


# --- hostile arguments

HOSTILE = [
    ({"seq_length": 0}, "seq_length is 0"),
    ({"seq_length": -3}, "seq_length is -3"),
    ({"seq_length": 2**24 + 1}, "seq_length is 16777217; expected 1 to 16777216"),
    ({"seq_length": 2.5}, "seq_length is 2.5"),
    ({"seq_length": True}, "seq_length is True"),
    ({"seq_length": None}, "seq_length is None"),
    ({"seq_length": 2, "add_special": (1, 2)}, "expected 3 to"),
    ({"add_special": 5}, "add_special is 5; expected None or two ids"),
    ({"add_special": (1,)}, "add_special is"),
    ({"add_special": (1, 2, 3)}, "add_special is"),
    ({"add_special": (-1, 2)}, "add_special is"),
    ({"add_special": (2**31, 2)}, "add_special is"),
    ({"add_special": ("a", 2)}, "add_special is"),
    ({"add_special": (True, 2)}, "add_special is"),
    ({"pad_id": -1}, "pad_id is -1"),
    ({"pad_id": 2**31}, "pad_id is 2147483648"),
    ({"pad_id": None}, "pad_id is None"),
    ({"dtype": np.int16}, "expected int32 or int64"),
    ({"dtype": "nonsense"}, "expected int32 or int64"),
    ({"dtype": float}, "expected int32 or int64"),
    ({"engine": "fast"}, "engine is 'fast'"),
    ({"documents": [0, 3]}, r"documents\[1\] is 3; expected 0 to 2"),
    ({"documents": [-1]}, r"documents\[0\] is -1"),
    ({"documents": range(1, 9)}, "documents are 1 to 9; expected 0 to 3"),
    ({"documents": range(-2, 1)}, "documents are -2 to 1"),
    ({"documents": [0.5]}, "documents are float64"),
    ({"documents": [[0], [1]]}, "documents are int64 of the shape"),
    ({"documents": [[0], [1, 2]]}, "documents are object"),
    ({"documents": "012"}, "documents is a str"),
    ({"documents": 2}, "documents is a int"),
    ({"documents": [True]}, "documents are bool"),
]
CHUNKS = [
    ({"seed": -1}, "seed is -1"),
    ({"seed": 2**64}, "seed is 18446744073709551616"),
    ({"seed": 1.5}, "seed is 1.5"),
    ({"num_epochs": 0}, "num_epochs is 0"),
    ({"num_epochs": 2**32}, "num_epochs is 4294967296"),
    ({"num_epochs": 2**32 - 1}, "lower num_epochs"),
    ({"row_special": (1, 2, 3)}, "row_special is"),
    ({"seq_length": 4, "row_special": (1, 2), "add_special": (3, 4)}, "expected 5 to"),
]
PLANNED = [({"cache": 5}, "cache is 5"), ({"cache": None}, "cache is None")]


@pytest.mark.parametrize(("kind", "arguments", "message"), [
    *[(kind, *case) for kind in KINDS for case in HOSTILE],
    *[("chunks", *case) for case in CHUNKS],
    *[("best-fit", *case) for case in PLANNED],
])  # fmt: skip
def test_hostile_arguments_are_explained(tmp_path, kind, arguments, message):
    dataset = dataset_of(tmp_path, [3, 4, 5])
    arguments = {"seq_length": 8, **arguments}
    with pytest.raises(ValueError, match=message) as caught:
        KINDS[kind](dataset, **arguments)
    assert isinstance(caught.value, MaskgenError)
    assert "expected" in str(caught.value)


def test_other_strategies_and_datasets_are_refused(tmp_path):
    dataset = dataset_of(tmp_path, [3])
    for strategy in ("alone", "worst-fit", None, []):
        with pytest.raises(ValueError, match=r"strategy is .*expected best-fit or sequential"):
            PackedDocuments(dataset, 8, strategy=strategy)
    with pytest.raises(ValueError, match="dataset is a str"):
        Chunks(dataset.prefix, 8)


@pytest.mark.parametrize(("indices", "error"), [
    ([99], IndexError), ([-4], IndexError), ([0.5], ValueError), ([[0]], ValueError), ([2**70], ValueError),
])  # fmt: skip
def test_hostile_indices(tmp_path, indices, error):
    rows = Documents(dataset_of(tmp_path, [3, 4, 5]), 8)
    with pytest.raises(error):
        rows.tokens(indices)


def test_hostile_arrays_and_threads(tmp_path):
    rows = Documents(dataset_of(tmp_path, [3, 4, 5]), 8)
    good = rows.allocate(2)
    with pytest.raises(ValueError, match="out is a dict; expected a RowBatch"):
        rows.tokens([0, 1], {"tokens": good.tokens})
    with pytest.raises(ValueError, match=r"out\['tokens'\] has the shape \(2, 8\); expected \(3, 8\)"):
        rows.tokens([0, 1, 2], good)
    with pytest.raises(ValueError, match="threads is 0"):
        rows.tokens([0, 1], good, threads=0)

    def bent(**changes):
        fields = {name: getattr(good, name) for name in RowBatch.__dataclass_fields__}
        return RowBatch(**fields | changes)

    frozen = good.tokens.copy()
    frozen.flags.writeable = False
    for changes, message in (
        ({"tokens": frozen}, "read-only"),
        ({"tokens": good.tokens.astype(np.float32)}, "expected integers"),
        ({"tokens": good.tokens.astype(np.int16)}, "wider type"),
        ({"tokens": good.tokens.astype(np.uint32)}, "expected int32 or int64"),
        ({"tokens": np.zeros((8, 2), np.int64).T}, "not contiguous"),
        ({"tokens": good.positions}, "share memory"),
        ({"tokens": good.tokens.tolist()}, "is a list"),
        ({"positions": None}, "both or neither"),
    ):
        with pytest.raises(ValueError, match=message):
            rows.tokens([0, 1], bent(**changes))
    for size in (-1, 1.5, None):
        with pytest.raises(ValueError, match="batch_size is"):
            rows.allocate(size)
    assert issubclass(IndexedDatasetError, MaskgenError)

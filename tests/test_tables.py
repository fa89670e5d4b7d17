"""Parquet files and Hugging Face datasets as corpora."""

import builtins
import os
import random
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_files import describe
from helpers import assert_explains

from preprocess import MaskgenError
from preprocess.corpora.errors import (
    CORRUPT_FILE,
    INVALID_UTF8,
    NOT_TEXT,
    NULL,
    RAW_KEPT,
    CorpusError,
    CorpusFileError,
)
from preprocess.corpora.inputs import find_inputs
from preprocess.corpora.tables import datasets_rows, parquet_row_groups, read_datasets, read_parquet


def parquet(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return describe(path, kind="parquet")


def collect(batches):
    """(documents of each key, row numbers, problems, rows, bytes) of all batches together."""
    batches = list(batches)
    keys = (
        [
            [as_text(document) for batch in batches for document in batch.documents[key]]
            for key in range(len(batches[0].documents))
        ]
        if batches
        else []
    )
    lines = [line for batch in batches for line in batch.lines.tolist()]
    problems = [problem for batch in batches for problem in batch.problems]
    assert all(len(key) == len(lines) for key in keys)
    return keys, lines, problems, sum(batch.lines_read for batch in batches), sum(b.bytes_read for b in batches)


def as_text(document):
    return document.decode() if isinstance(document, bytes) else document


def invalid_strings(values):
    """Text that is not UTF-8, as careless writers leave it in files."""
    array = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(values), array.buffers())


def test_row_groups_and_ranges_of_them(tmp_path):
    texts = [f"text {number} é\u2028\x00" for number in range(25)]
    file = parquet(tmp_path / "a.parquet", {"text": texts, "id": range(25)}, row_group_size=10)
    assert parquet_row_groups(file) == [10, 10, 5]
    keys, lines, problems, rows, bytes_read = collect(read_parquet(file, 0, 3, ["text"]))
    assert (keys, lines, problems, rows, bytes_read) == ([texts], list(range(25)), [], 25, file.bytes)
    keys, lines, _, rows, _ = collect(read_parquet(file, 1, 2, ["text"]))
    assert (keys, lines, rows) == ([texts[10:20]], list(range(10)), 10)
    assert sum(collect(read_parquet(file, group, group + 1, ["text"]))[4] for group in range(3)) == file.bytes
    assert list(read_parquet(file, 1, 1, ["text"])) == []


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_kinds_of_text(tmp_path, kind):
    array = pa.array(["é", None, "", "b" * 100, "é"], pa.string()).cast(kind)
    keys, lines, problems, _, _ = collect(read_parquet(parquet(tmp_path / "a", {"text": array}), 0, 1, ["text"]))
    assert (keys, lines) == ([["é", "", "b" * 100, "é"]], [0, 2, 3, 4])
    assert [(problem.reason, problem.line) for problem in problems] == [(NULL, 1)]


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.dictionary(pa.int8(), pa.string()))],
    ids=str,
)
def test_lists_are_documents_cut_into_sentences(tmp_path, kind):
    array = pa.array([["One.", "Two é."], [], None, ["a", None], ["Three."]], kind)
    keys, lines, problems, _, _ = collect(read_parquet(parquet(tmp_path / "a", {"s": array}), 0, 1, ["s"]))
    assert (keys, lines) == ([[["One.", "Two é."], [], ["Three."]]], [0, 1, 4])
    assert [(problem.reason, problem.line, problem.raw) for problem in problems] == [
        (NULL, 2, b""),
        (NOT_TEXT, 3, b'["a", null]'),
    ]


def test_nested_columns(tmp_path):
    rows = [{"b": {"c": "one"}, "d": 1}, None, {"b": None, "d": 2}, {"b": {"c": "two"}, "d": 3}]
    file = parquet(tmp_path / "a", {"a": rows, "a.d": ["literal"] * 4})
    keys, lines, problems, _, _ = collect(read_parquet(file, 0, 1, ["a.b.c", "a.d"]))
    assert (keys, lines) == ([["one", "two"], ["literal"] * 2], [0, 3])
    assert [(problem.reason, problem.line) for problem in problems] == [(NULL, 1), (NULL, 2)]


def test_a_record_is_dropped_for_any_of_its_keys(tmp_path):
    columns = {"title": ["a", None, "c", None], "text": [["w"], ["x"], ["y", None], None]}
    file = parquet(tmp_path / "a", columns)
    for names in (["title", "text"], ["text", "title"]):
        keys, lines, problems, rows, _ = collect(read_parquet(file, 0, 1, names))
        assert (dict(zip(names, keys, strict=True)), lines) == ({"title": ["a"], "text": [["w"]]}, [0])
        assert [(problem.line, problem.reason) for problem in problems] == [(1, NULL), (2, NOT_TEXT), (3, NULL)]
        assert rows == 4
    assert collect(read_parquet(file, 0, 1, ["title", "title"]))[0] == [["a", "c"], ["a", "c"]]


def test_case_10_invalid_utf8(tmp_path):
    strings = invalid_strings([b"good", b"caf\xe9", b"", b"\xed\xa0\x80", b"\xff" * (RAW_KEPT + 1)])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 3, 3, 5, 5], pa.int32()), strings)
    file = parquet(tmp_path / "a", {"text": strings, "lists": lists})
    keys, lines, problems, _, _ = collect(read_parquet(file, 0, 1, ["text"]))
    assert (keys, lines) == ([["good", ""]], [0, 2])
    assert {problem.reason for problem in problems} == {INVALID_UTF8}
    assert [(problem.line, problem.size, len(problem.raw)) for problem in problems] == [
        (1, 4, 4),
        (3, 3, 3),
        (4, RAW_KEPT + 1, RAW_KEPT),
    ]
    keys, lines, problems, _, _ = collect(read_parquet(file, 0, 1, ["lists"]))
    assert (keys, lines) == ([[["good"], [], []]], [0, 2, 4])
    assert [(problem.line, problem.reason) for problem in problems] == [(1, INVALID_UTF8), (3, INVALID_UTF8)]


def test_case_30_columns_that_are_missing_or_hold_no_text(tmp_path):
    columns = {
        "id": [1],
        "flag": [True],
        "raw": [b"bytes"],
        "numbers": [[1, 2]],
        "meta": [{"title": "x", "deep": {"n": 1}}],
        "body": ["text"],
    }
    file = parquet(tmp_path / "a.parquet", columns)
    for key in ("text", "meta.text", "meta.title.x", "body.x", "id", "flag", "raw", "numbers", "meta", "meta.deep.n"):
        with pytest.raises(CorpusError, match="body") as caught:
            list(read_parquet(file, 0, 1, [key]))
        assert_explains(caught.value, "a.parquet")
        assert "meta.title" in str(caught.value)
        assert not isinstance(caught.value, CorpusFileError)
    with pytest.raises(CorpusError, match="no text"):
        list(read_parquet(parquet(tmp_path / "b", {"id": [1]}), 0, 1, ["text"]))


def test_case_30_a_column_of_nulls(tmp_path):
    file = parquet(tmp_path / "a", {"text": pa.array([None, None])})
    _, lines, problems, _, _ = collect(read_parquet(file, 0, 1, ["text"]))
    assert lines == []
    assert [(problem.reason, problem.line) for problem in problems] == [(NULL, 0), (NULL, 1)]


@pytest.mark.parametrize("damage", ["empty", "magic", "footer", "truncated", "text"])
def test_case_30_a_corrupt_footer(tmp_path, damage):
    parquet(tmp_path / "a.parquet", {"text": ["a"] * 100})
    content = (tmp_path / "a.parquet").read_bytes()
    content = {
        "empty": b"",
        "magic": content[:-1] + b"x",
        "footer": content[:-208] + bytes(200) + content[-8:],
        "truncated": content[:-20],
        "text": b"only text\n" * 100,
    }[damage]
    (tmp_path / "a.parquet").write_bytes(content)
    file = describe(tmp_path / "a.parquet", kind="parquet")
    for read in (parquet_row_groups, lambda file: list(read_parquet(file, 0, 1, ["text"]))):
        with pytest.raises(CorpusFileError) as caught:
            read(file)
        assert caught.value.reason == CORRUPT_FILE
        assert_explains(caught.value, "a.parquet")


def test_case_30_a_corrupt_page(tmp_path):
    words = random.Random(4)
    texts = [words.randbytes(50).hex() for _ in range(1000)]
    path = tmp_path / "a.parquet"
    parquet(path, {"text": texts}, row_group_size=500, compression="snappy", write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 0xFF
    path.write_bytes(content)
    file = describe(path, kind="parquet")
    assert parquet_row_groups(file) == [500, 500]
    with pytest.raises(CorpusFileError, match="row group 0") as caught:
        list(read_parquet(file, 0, 2, ["text"]))
    assert caught.value.reason == CORRUPT_FILE
    assert collect(read_parquet(file, 1, 2, ["text"]))[0] == [texts[500:]]


def test_case_31_a_parquet_file_that_changes(tmp_path):
    file = parquet(tmp_path / "a.parquet", {"text": ["a"] * 40_000})
    batches = read_parquet(file, 0, 1, ["text"])
    next(batches)
    os.utime(tmp_path / "a.parquet", ns=(1, 1))
    with pytest.raises(CorpusError, match="changed during the run"):
        list(batches)
    with pytest.raises(CorpusError, match="changed during the run"):
        parquet_row_groups(file)


def test_memory_does_not_follow_the_row_group(tmp_path):
    text = "word " * 2000
    file = parquet(tmp_path / "a.parquet", {"text": [text] * 8000}, use_dictionary=False, compression="zstd")
    assert parquet_row_groups(file) == [8000]
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    most = rows = 0
    for records in read_parquet(file, 0, 1, ["text"]):
        rows += len(records)
        most = max(most, pa.total_allocated_bytes() - before)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 8000
    assert most + peak < 50 << 20  # of 80 MB


@pytest.fixture
def datasets(monkeypatch):
    return pytest.importorskip("datasets")


@pytest.fixture
def saved(tmp_path, datasets):
    rows = {"text": [f"text {number}" for number in range(2500)], "sentences": [["a.", "é."]] * 2500}
    rows["text"][7] = None
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "saved", num_shards=2)
    return find_inputs([str(tmp_path / "saved")]).files[0]


def test_saved_datasets(saved):
    assert datasets_rows(saved) == 2500
    keys, lines, problems, rows, bytes_read = collect(read_datasets(saved, 0, 2500, ["text", "sentences"]))
    assert keys[0] == [f"text {number}" for number in range(2500) if number != 7]
    assert keys[1] == [["a.", "é."]] * 2499
    assert [(problem.reason, problem.line) for problem in problems] == [(NULL, 7)]
    assert (lines[:8], rows, bytes_read) == ([0, 1, 2, 3, 4, 5, 6, 8], 2500, saved.bytes)
    keys, lines, problems, _, _ = collect(read_datasets(saved, 5, 1030, ["text"]))
    assert keys[0][:3] == ["text 5", "text 6", "text 8"]
    assert (lines[:3], problems[0].line, len(lines)) == ([0, 1, 3], 2, 1024)
    with pytest.raises(CorpusError, match="sentences") as caught:
        list(read_datasets(saved, 0, 1, ["body"]))
    assert_explains(caught.value, "saved")


def test_saved_datasets_of_chosen_rows_and_splits(tmp_path, datasets):
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c", "d"]})
    both = datasets.DatasetDict({"train": rows.select([3, 1]), "test": rows})
    both.save_to_disk(tmp_path / "saved")
    (file,) = find_inputs([str(tmp_path / "saved")], split="train").files
    assert datasets_rows(file) == 2
    assert collect(read_datasets(file, 0, 2, ["text"]))[0] == [["d", "b"]]


def test_damaged_and_changed_datasets(tmp_path, saved):
    (arrow, *_) = sorted((tmp_path / "saved").glob("*.arrow"))
    content = arrow.read_bytes()
    arrow.write_bytes(content[:100])
    with pytest.raises(CorpusError, match="changed during the run"):
        list(read_datasets(saved, 0, 10, ["text"]))
    (file,) = find_inputs([saved.path]).files
    with pytest.raises(CorpusFileError) as caught:
        datasets_rows(file)
    assert caught.value.reason == CORRUPT_FILE
    assert_explains(caught.value, "saved")


def test_datasets_on_the_hub(monkeypatch, datasets):
    asked = []

    def load_dataset(path, configuration, *, split):
        asked.append((path, configuration, split))
        rows = datasets.Dataset.from_dict({"text": ["a", "b"]})
        return rows if split else datasets.DatasetDict({"train": rows, "dev": rows})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    (file,) = find_inputs(["owner/name:en"], format="datasets", split="train").files
    assert datasets_rows(file) == 2
    assert collect(read_datasets(file, 1, 2, ["text"]))[0] == [["b"]]
    assert asked == [("owner/name", "en", "train")]
    (file,) = find_inputs(["owner/name"], format="datasets").files
    with pytest.raises(CorpusError, match="one of train, dev"):
        datasets_rows(file)

    def refuse(*arguments, **options):
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(CorpusError, match="no network") as caught:
        datasets_rows(find_inputs(["owner/other"], format="datasets").files[0])
    assert_explains(caught.value, "owner/other")


def test_without_the_packages(tmp_path, monkeypatch):
    file = parquet(tmp_path / "a.parquet", {"text": ["a"]})
    real = builtins.__import__

    def nothing(name, *arguments, **options):
        if name.split(".")[0] in ("pyarrow", "datasets"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", nothing)
    with pytest.raises(MaskgenError, match=r"a\.parquet: reading Parquet needs .* pip install pyarrow"):
        parquet_row_groups(file)
    with pytest.raises(MaskgenError, match="pip install datasets"):
        datasets_rows(find_inputs(["owner/absent"], format="datasets").files[0])

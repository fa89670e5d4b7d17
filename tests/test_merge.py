"""Merging: the same bytes as writing everything at once."""

import json
import os
import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from helpers import Index, assert_explains, contents, leftovers, read_all, write_dataset, write_files
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import IndexedDataset, IndexedDatasetError, IndexedDatasetWriter, merge_datasets, verify_dataset
from preprocess.indexed import partial
from preprocess.indexed.sidecar import InputFile, TokenizerInfo, read_sidecar

documents = st.lists(st.lists(st.lists(st.integers(0, 65_535), max_size=5), max_size=4), max_size=5)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(parts=st.lists(documents, min_size=1, max_size=5), with_modes=st.booleans(), forget=st.integers(0, 5))
def test_the_same_bytes_as_writing_at_once(tmp_path_factory, parts, with_modes, forget):
    folder = tmp_path_factory.mktemp("merge")

    def modes(part):
        return [[len(sequence) % 3 for sequence in document] for document in part] if with_modes else None

    prefixes = [write_dataset(folder / f"in{i}", part, modes=modes(part)) for i, part in enumerate(parts)]
    if forget < len(prefixes):  # as another program would have written it
        os.unlink(f"{prefixes[forget]}.json")
    everything = [document for part in parts for document in part]
    expected = write_dataset(folder / "expected", everything, modes=modes(everything))
    merge_datasets(prefixes, folder / "out")
    assert contents(folder / "out") == contents(expected)
    report = verify_dataset(folder / "out", full=True)
    assert report.ok
    assert report.not_checked == ["range of ids (give the vocabulary size or a tokenizer)"]


def test_digests_are_copied_and_not_read_again(tmp_path, monkeypatch):
    prefixes = [write_dataset(tmp_path / f"in{i}", [[[i, i + 1]]]) for i in range(3)]
    monkeypatch.setattr(partial.PartFile, "append", forbid_reading_tokens(partial.PartFile.append))
    merge_datasets(prefixes, tmp_path / "out")
    merged = read_sidecar(str(tmp_path / "out"))
    assert merged.bin == [part for prefix in prefixes for part in read_sidecar(prefix).bin]
    assert verify_dataset(tmp_path / "out", full=True).ok


def forbid_reading_tokens(append):
    def checked(self, data):
        assert not self.path.endswith(".bin.partial"), "tokens went through this process"
        append(self, data)

    return checked


@pytest.mark.parametrize("missing", [["copy_file_range"], ["copy_file_range", "sendfile"]])
def test_systems_without_in_kernel_copies(tmp_path, monkeypatch, missing):
    prefixes = [write_dataset(tmp_path / f"in{i}", [[list(range(i, 5000))]]) for i in range(3)]
    merge_datasets(prefixes, tmp_path / "expected")
    for name in missing:
        monkeypatch.delattr(os, name, raising=False)
    merge_datasets(prefixes, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_file_systems_that_refuse_in_kernel_copies_half_way(tmp_path, monkeypatch):
    prefixes = [write_dataset(tmp_path / f"in{i}", [[list(range(i, 5000))]]) for i in range(3)]
    merge_datasets(prefixes, tmp_path / "expected")
    calls = []
    original = os.copy_file_range

    def half_hearted(source, target, count, offset):
        calls.append(count)
        if len(calls) % 2 == 0:
            raise OSError(18, "Invalid cross-device link")
        return original(source, target, 100, offset)

    monkeypatch.setattr(os, "copy_file_range", half_hearted)
    monkeypatch.setattr(os, "sendfile", lambda *_: 0)
    merge_datasets(prefixes, tmp_path / "out")
    assert len(calls) == 6
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_an_input_that_shrinks_meanwhile(tmp_path, monkeypatch):
    prefix = write_dataset(tmp_path / "in", [[list(range(5000))]])
    original = partial.PartFile.append_file

    def cut_first(self, source, size, digest=None):
        os.truncate(source, 1000)
        original(self, source, size, digest)

    monkeypatch.setattr(partial.PartFile, "append_file", cut_first)
    with pytest.raises(IndexedDatasetError, match="found 1000 bytes, expected 10000") as caught:
        merge_datasets([prefix], tmp_path / "out")
    assert_explains(caught.value, "in.bin")
    assert not os.path.exists(tmp_path / "out.idx")
    assert leftovers(tmp_path) == []


def test_mixed_types_are_refused_or_widened(tmp_path):
    narrow = write_dataset(tmp_path / "narrow", [[[1, 60_000]], []])
    wide = write_dataset(tmp_path / "wide", [[[70_000], [2]]], "int32")
    with pytest.raises(IndexedDatasetError, match="--widen") as caught:
        merge_datasets([narrow, wide], tmp_path / "out")
    assert_explains(caught.value, "wide.idx")
    merge_datasets([narrow, wide], tmp_path / "out", widen=True)
    expected = write_dataset(tmp_path / "expected", [[[1, 60_000]], [], [[70_000], [2]]], "int32")
    assert contents(tmp_path / "out") == contents(expected)
    assert verify_dataset(tmp_path / "out", full=True).ok
    signed = write_dataset(tmp_path / "signed", [[[-1]]], "int8")
    merge_datasets([narrow, signed], tmp_path / "both", widen=True)
    assert IndexedDataset(tmp_path / "both").dtype == np.int32
    assert read_all(tmp_path / "both") == [[1, 60_000], [-1]]


def test_modes_must_agree(tmp_path):
    plain = write_dataset(tmp_path / "plain", [[[1]]])
    multimodal = write_dataset(tmp_path / "modes", [[[1]]], modes=[[1]])
    with pytest.raises(IndexedDatasetError, match="modes: found modes") as caught:
        merge_datasets([plain, multimodal], tmp_path / "out")
    assert_explains(caught.value, "modes.idx")
    empty = write_dataset(tmp_path / "empty", [[], []])
    merge_datasets([empty, multimodal], tmp_path / "out")
    assert IndexedDataset(tmp_path / "out").sequence_modes.tolist() == [1]
    assert IndexedDataset(tmp_path / "out").document_indices.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("case", ["none", "twice", "twice by a link", "output", "missing"])
def test_refused_lists_of_inputs(tmp_path, case):
    prefix = write_dataset(tmp_path / "a", [[[1]]])
    before = contents(prefix)
    for extension in ("bin", "idx"):
        os.symlink(f"{prefix}.{extension}", tmp_path / f"link.{extension}")
    inputs = {
        "none": [],
        "twice": [prefix, f"{prefix}.idx"],
        "twice by a link": [prefix, tmp_path / "link"],
        "output": [prefix],
        "missing": [prefix, tmp_path / "b"],
    }[case]
    output = tmp_path / ("a" if case == "output" else "out")
    with pytest.raises(IndexedDatasetError) as caught:
        merge_datasets(inputs, output)
    assert_explains(caught.value)
    assert contents(prefix) == before
    assert not os.path.exists(tmp_path / "out.idx")


def test_a_stale_sidecar_is_noticed(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1, 2, 3]]])
    write_files(prefix, Index([1, 2], [0, 2]).pack(), bytes(6))
    with pytest.raises(IndexedDatasetError, match="delete it if another program has rewritten") as caught:
        merge_datasets([prefix], tmp_path / "out")
    assert_explains(caught.value, "a.json")


def described(folder, name, tokenizer, settings_, file):
    with IndexedDatasetWriter(folder / name, "uint16") as writer:
        writer.add_document([1], [1])
        writer.tokenizer = tokenizer
        writer.settings = settings_
        writer.inputs = [InputFile(file, 1, "1" * 64)]
    return folder / name


def test_what_the_merged_sidecar_says(tmp_path):
    tokenizer = TokenizerInfo("wp", "a" * 64, 30)
    first = described(tmp_path, "a", tokenizer, {"append_eod": True}, "x")
    second = described(tmp_path, "b", tokenizer, {"append_eod": True}, "y")
    third = described(tmp_path, "c", tokenizer, {"append_eod": False}, "x")
    merge_datasets([first, second], tmp_path / "two")
    merged = read_sidecar(str(tmp_path / "two"))
    assert merged.tokenizer == tokenizer
    assert merged.settings == {"append_eod": True}
    assert [file.name for file in merged.inputs] == ["x", "y"]
    merge_datasets([first, second, third], tmp_path / "three")
    merged = read_sidecar(str(tmp_path / "three"))
    assert merged.settings == {"merged": [{"append_eod": True}, {"append_eod": False}]}
    assert [file.name for file in merged.inputs] == ["x", "y"]
    merge_datasets([first, write_dataset(tmp_path / "d", [[[1]]])], tmp_path / "unknown")
    assert read_sidecar(str(tmp_path / "unknown")).tokenizer is None


def test_two_tokenizers_are_refused(tmp_path):
    first = described(tmp_path, "a", TokenizerInfo("one", "a" * 64, 30), {}, "x")
    second = described(tmp_path, "b", TokenizerInfo("two", "b" * 64, 30), {}, "x")
    with pytest.raises(IndexedDatasetError, match=r"one .* and two ") as caught:
        merge_datasets([first, second], tmp_path / "out")
    assert_explains(caught.value)
    assert not os.path.exists(tmp_path / "out.idx")
    assert leftovers(tmp_path) == []


def test_a_merge_of_merges_has_the_same_digest(tmp_path):
    prefixes = [write_dataset(tmp_path / f"in{i}", [[[i]]]) for i in range(4)]
    merge_datasets(prefixes, tmp_path / "flat")
    merge_datasets(prefixes[:2], tmp_path / "left")
    merge_datasets(prefixes[2:], tmp_path / "right")
    merge_datasets([tmp_path / "left", tmp_path / "right"], tmp_path / "tree")
    assert contents(tmp_path / "tree") == contents(tmp_path / "flat")
    assert json.loads((tmp_path / "tree.json").read_text())["digest"] == verify_dataset(tmp_path / "flat").digest


def test_hundreds_of_datasets_with_few_descriptors(tmp_path):
    prefixes = [write_dataset(tmp_path / str(i), [[[i]]]) for i in range(300)]
    code = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
        from preprocess import merge_datasets
        merge_datasets({prefixes!r}, {str(tmp_path / "out")!r})
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)
    assert read_all(tmp_path / "out") == [[i] for i in range(300)]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 48


@pytest.mark.slow
def test_ten_thousand_datasets(tmp_path):
    prefixes = [write_dataset(tmp_path / str(i), [[[i]], [[1, 2]]]) for i in range(10_000)]
    merge_datasets(prefixes, tmp_path / "out")
    dataset = IndexedDataset(tmp_path / "out")
    assert [int(dataset[2 * i][0]) for i in range(10_000)] == list(range(10_000))
    assert dataset.document_indices.tolist() == list(range(20_001))
    assert verify_dataset(tmp_path / "out", full=True).ok

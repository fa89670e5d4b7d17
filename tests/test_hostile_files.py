"""Hostile files, one named test a numbered case: an error that explains itself, or a documented behaviour.

Numbers are those of the project's list of bad inputs: 1-21 index, 22-29 tokens and lifetime, 30-31 writer, 45-49
environment. (32-44 belong to mappings and their caches; text corpora have a list of their own.)
"""

import json
import os
import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from helpers import Index, assert_explains, read_all, touch, write_dataset, write_files

from preprocess import IndexedDataset, IndexedDatasetError, IndexedDatasetWriter, merge_datasets, verify_dataset

LENGTHS = [3, 1, 2, 4]
DOCUMENTS = [0, 2, 3, 4]
TOKENS = np.arange(10, dtype=np.uint16).tobytes()


def index(**changes):
    fields = {"lengths": list(LENGTHS), "documents": list(DOCUMENTS), **changes}
    return Index(**fields).pack()


def with_length(position, length):
    """One length changed, every pointer as before."""
    good = Index(LENGTHS, DOCUMENTS)
    good.lengths[position] = length
    return good.pack()


def with_pointer(position, pointer):
    good = Index(LENGTHS, DOCUMENTS)
    good.pointers[position] = pointer
    return good.pack()


def with_documents(*documents):
    return index(documents=list(documents))


# name: (bytes of .idx, part of the place, part of what was found)
INDEX_CASES = {
    "01_bad_magic": (index(magic=b"MMIDIDY\x00\x00"), "header, byte 0", "MMIDIDY"),
    "01_bad_magic_text": (b"hello, this is no index at all, honestly", "header, byte 0", "hello"),
    "02_version_0": (index(version=0), "header, byte 9", "version 0"),
    "02_version_2": (index(version=2), "header, byte 9", "version 2"),
    "03_dtype_0": (index(code=0), "header, byte 17", "dtype code 0"),
    "03_dtype_99": (index(code=99), "header, byte 17", "dtype code 99"),
    "03_dtype_float_6": (index(code=6), "header, byte 17", "floating-point"),
    "03_dtype_float_7": (index(code=7), "header, byte 17", "floating-point"),
    "04_dtype_changed_to_uint8": (index(code=1), "size", "20 bytes"),
    "04_dtype_changed_to_int32": (index(code=4), "size", "20 bytes"),
    "05_header_cut": (index()[:20], "header", "20 bytes"),
    "05_header_cut_in_magic": (index()[:4], "header", "4 bytes"),
    "06_empty": (b"", "header", "0 bytes"),
    "07_count_2_to_the_40": (index(sequence_count=2**40), "size", ""),
    "07_documents_2_to_the_40": (index(document_count=2**40), "size", ""),
    "08_count_2_to_the_63": (index(sequence_count=2**63), "size", ""),
    "08_count_2_to_the_64_less_1": (index(sequence_count=2**64 - 1, document_count=2**64 - 1), "size", ""),
    "09_count_too_small": (index(sequence_count=3), "size", ""),
    "09_count_0": (index(sequence_count=0), "size", ""),
    "10_document_count_0": (index(document_count=0), "header, byte 26", "0 document indices"),
    "10_document_count_too_small": (index(document_count=3), "size", ""),
    "11_arrays_truncated": (index()[:-1], "size", ""),
    "11_arrays_truncated_to_header": (index()[:34], "size", ""),
    "12_trailing_junk": (index() + b"junk!", "size", ""),
    "13_length_minus_1": (with_length(1, -1), "length of sequence 1", "-1"),
    "13_length_minus_2_first": (with_length(0, -2), "length of sequence 0", "-2"),
    "13_length_minus_1_last": (with_length(3, -1), "size", "20 bytes"),
    "14_length_overlaps_neighbour": (with_length(0, 4), "pointer of sequence 1", "6"),
    "14_length_leaves_a_gap": (with_length(2, 1), "pointer of sequence 3", "12"),
    "15_length_past_the_bin": (with_length(2, 2**31 - 1), "pointer of sequence 3", "12"),
    "15_last_length_past_the_bin": (with_length(3, 2**31 - 1), "size", "20 bytes"),
    "16_misaligned_pointer": (with_pointer(1, 5), "pointer of sequence 1", "5"),
    "17_negative_pointer": (with_pointer(2, -8), "pointer of sequence 2", "-8"),
    "17_first_pointer_negative": (with_pointer(0, -2), "pointer of sequence 0", "-2"),
    "18_pointer_past_the_end": (with_pointer(1, 10**12), "pointer of sequence 1", str(10**12)),
    "18_pointer_at_the_largest_integer": (with_pointer(1, 2**63 - 2), "pointer of sequence 1", str(2**63 - 2)),
    "19_documents_start_at_1": (with_documents(1, 2, 3, 4), "document_indices[0]", "1"),
    "20_documents_not_monotone": (with_documents(0, 3, 2, 4), "document_indices[2]", "2"),
    "20_documents_end_early": (with_documents(0, 2, 3, 3), "document_indices[3], the last", "3"),
    "20_documents_end_late": (with_documents(0, 2, 3, 5), "document_indices[3]", "5"),
    "21_middle_document_1e9": (with_documents(0, 10**9, 3, 4), "document_indices[", "3"),
    "21_middle_documents_1e9": (with_documents(0, 10**9, 10**9, 10**9), "document_indices[1]", "1000000000"),
    "21_middle_document_minus_7": (with_documents(0, -7, 3, 4), "document_indices[1]", "-7"),
}


@pytest.mark.parametrize("case", INDEX_CASES)
def test_index(tmp_path, case):
    content, place, found = INDEX_CASES[case]
    prefix = write_files(tmp_path / "bad", content, TOKENS)
    with pytest.raises(IndexedDatasetError) as caught:
        read_all(prefix)
    assert_explains(caught.value, str(tmp_path / "bad"))
    assert place in caught.value.place
    assert found in caught.value.found
    report = verify_dataset(prefix)
    assert str(report.findings[0]) == str(caught.value)


@pytest.mark.parametrize("case", INDEX_CASES)
def test_nothing_else_takes_a_bad_index(tmp_path, case):
    content, _, _ = INDEX_CASES[case]
    prefix = write_files(tmp_path / "bad", content, TOKENS)
    good = write_dataset(tmp_path / "good", [[[1]]])
    with pytest.raises(IndexedDatasetError):
        merge_datasets([good, prefix], tmp_path / "out")
    assert not os.path.exists(tmp_path / "out.idx")
    for access in ("sequence_lengths", "document_indices"):
        with pytest.raises(IndexedDatasetError):
            getattr(IndexedDataset(prefix), access)


def test_12_junk_as_long_as_modes_is_modes(tmp_path):
    """Documented: nothing in the format tells modes from a byte of junk a sequence; the sidecar's digest does."""
    prefix = write_dataset(tmp_path / "a", [[[1], [2]]])
    with open(f"{prefix}.idx", "ab") as file:
        file.write(b"\7\7")
    assert read_all(prefix) == [[1], [2]]
    assert IndexedDataset(prefix).sequence_modes.tolist() == [7, 7]
    assert {finding.place for finding in verify_dataset(prefix).findings} == {"has_modes", "idx.bytes", "idx.sha256"}


def test_errors_far_into_an_index_are_found(tmp_path):
    lengths = [1] * 200_000
    for where, place in ((65_535, 65_535), (65_536, 65_536), (131_071, 131_071), (199_999, 199_999)):
        bad = Index(list(lengths), [0, 200_000])
        bad.pointers[where] += 2
        prefix = write_files(tmp_path / f"bad{where}", bad.pack(), bytes(400_000))
        with pytest.raises(IndexedDatasetError) as caught:
            read_all(prefix)
        if where < 199_999:  # the last one already contradicts the size of .bin
            assert caught.value.place == f"pointer of sequence {place}"
    bad = Index(list(lengths), list(range(200_001)))
    bad.documents[65_536], bad.documents[65_537] = bad.documents[65_537], bad.documents[65_536]
    with pytest.raises(IndexedDatasetError, match=r"document_indices\[65537\]"):
        read_all(write_files(tmp_path / "documents", bad.pack(), bytes(400_000)))


@pytest.mark.parametrize(
    ("case", "tokens"), [("22_truncated", TOKENS[:-1]), ("23_empty", b""), ("24_longer", TOKENS + b"\0\0")]
)
def test_bin(tmp_path, case, tokens):
    prefix = write_files(tmp_path / "bad", index(), tokens)
    with pytest.raises(IndexedDatasetError) as caught:
        IndexedDataset(prefix)
    assert_explains(caught.value, "bad.bin")
    assert caught.value.found == f"{len(tokens)} bytes"
    assert caught.value.expected.startswith("20")


def test_25_stale_index_beside_an_equal_sized_bin(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1, 2, 3]]])
    write_dataset(tmp_path / "b", [[[4, 5, 6]]])
    os.replace(tmp_path / "b.bin", f"{prefix}.bin")
    assert verify_dataset(prefix).ok
    report = verify_dataset(prefix, full=True)
    assert [finding.place for finding in report.findings] == ["bytes 0 to 6 (part 0)"]
    assert_explains(report.findings[0], "a.bin")


def test_26_file_truncated_while_mapped(tmp_path):
    """test_file_map.py has the details; here that the process lives and learns of it."""
    prefix = write_dataset(tmp_path / "a", [[list(range(30_000))]])
    code = f"""
        import os
        from preprocess import IndexedDataset, IndexedDatasetError
        sequence = IndexedDataset({prefix!r})[0]
        os.truncate({prefix!r} + ".bin", 0)
        try:
            sequence.sum()
        except IndexedDatasetError:
            print("survived")
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    assert subprocess.run(run, capture_output=True, timeout=60, check=True).stdout == b"survived\n"


def test_27_array_outlives_its_dataset(tmp_path):
    array = IndexedDataset(write_dataset(tmp_path / "a", [[list(range(30_000))]]))[0]
    assert int(array.sum()) == 449_985_000


def test_28_empty_dataset_can_be_reopened(tmp_path):
    prefix = write_dataset(tmp_path / "a", [])
    assert os.path.getsize(f"{prefix}.bin") == 0
    assert read_all(prefix) == []
    assert verify_dataset(prefix, full=True).ok


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_29_token_beyond_the_vocabulary(tmp_path, dtype):
    prefix = write_dataset(tmp_path / "a", [[[1, 2], []], [[3, 30_522, 30_523]]], dtype)
    assert verify_dataset(prefix, vocabulary_size=30_524).ok
    report = verify_dataset(prefix, vocabulary_size=30_522)
    assert len(report.findings) == 1
    finding = report.findings[0]
    assert_explains(finding, "a.bin")
    assert (finding.place, finding.found) == ("sequence 2, token 1", "id 30522 (and 1 more outside)")
    assert finding.expected == "0 to 30521"


def test_29_negative_token(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1, -1]]], "int32")
    assert verify_dataset(prefix, vocabulary_size=10).findings[0].place == "sequence 0, token 1"


def test_30_70000_into_uint16(tmp_path):
    with IndexedDatasetWriter(tmp_path / "a", np.uint16) as writer, pytest.raises(IndexedDatasetError) as caught:
        writer.add_document(np.array([70_000]), [1])
    assert_explains(caught.value)
    assert "token_dtype" in caught.value.remedy


def test_31_lengths_that_do_not_sum(tmp_path):
    with IndexedDatasetWriter(tmp_path / "a", np.uint16) as writer, pytest.raises(IndexedDatasetError) as caught:
        writer.add_document([1, 2, 3], [1, 1])
    assert_explains(caught.value)


@pytest.mark.parametrize("extension", ["idx", "bin"])
@pytest.mark.parametrize("kind", ["fifo", "directory", "dangling link", "looping link", "missing"])
def test_45_not_a_file(tmp_path, extension, kind):
    prefix = write_files(tmp_path / "a", index(), TOKENS)
    path = f"{prefix}.{extension}"
    os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "dangling link":
        os.symlink("nowhere", path)
    elif kind == "looping link":
        os.symlink(path, path)
    with pytest.raises(IndexedDatasetError) as caught:
        IndexedDataset(prefix)
    assert_explains(caught.value, path)
    if "link" in kind:
        assert "mend the symbolic link" in caught.value.remedy
    with pytest.raises(IndexedDatasetError):
        merge_datasets([prefix], tmp_path / "out")


def test_45_links_to_files_are_followed(tmp_path):
    prefix = write_files(tmp_path / "a", index(), TOKENS)
    for extension in ("idx", "bin"):
        os.symlink(f"{prefix}.{extension}", tmp_path / f"link.{extension}")
    assert read_all(tmp_path / "link") == read_all(prefix)


def test_46_paths_in_a_sidecar_are_never_followed(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1]]])
    facts = json.loads(open_text(f"{prefix}.json"))
    facts["inputs"] = [{"name": "../../../etc/hostname", "bytes": 1, "sha256": "0" * 64}]
    facts["settings"] = {"output": "/etc/hostname", "shards": ["../../hostname"]}
    with open(f"{prefix}.json", "w", encoding="utf-8") as file:
        json.dump(facts, file)
    code = f"""
        import sys
        from preprocess import merge_datasets, verify_dataset
        opened = []
        sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
        assert verify_dataset({prefix!r}, full=True).ok
        merge_datasets([{prefix!r}], {str(tmp_path / "out")!r})
        assert {prefix + ".json"!r} in opened
        assert not [path for path in opened if "hostname" in path]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=60, check=True)


def test_47_a_sidecar_beyond_all_measure_is_not_read(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1]]])
    os.truncate(f"{prefix}.json", 10 << 30)  # sparse: takes no room
    assert read_all(prefix) == [[1]]
    finding = verify_dataset(prefix).findings[0]
    assert_explains(finding, "a.json")
    assert finding.found == f"{10 << 30} bytes"


def test_48_no_space_left(tmp_path):
    """A real limit of the kernel on the size of a file; test_crash.py has a full disk at every single write."""
    prefix = write_dataset(tmp_path / "old", [[[1, 2, 3]]])
    code = f"""
        import os, resource, signal
        import numpy as np
        from preprocess import IndexedDatasetError, IndexedDatasetWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        try:
            with IndexedDatasetWriter({prefix!r}, "uint16") as writer:
                writer.add_document(np.zeros(5_000_000, np.uint16), [5_000_000])
        except IndexedDatasetError as error:
            print(error)
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    message = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "old.bin.partial: write 10000000 bytes at byte 0: found File too large" in message
    assert "make room there" in message
    assert sorted(os.listdir(tmp_path)) == ["old.bin", "old.idx", "old.json"]
    assert read_all(prefix) == [[1, 2, 3]]


def test_49_600_datasets_open_at_once(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    prefixes = [write_dataset(tmp_path / str(number), [[[number]]]) for number in range(600)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limit[1]), limit[1]))
        datasets = [IndexedDataset(prefix) for prefix in prefixes]
        assert [int(dataset[0][0]) for dataset in datasets] == list(range(600))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def open_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_permission_denied_is_an_error_with_a_name(tmp_path):
    prefix = write_files(tmp_path / "a", index(), TOKENS)
    os.chmod(f"{prefix}.idx", 0)
    touch(f"{prefix}.idx")
    if os.geteuid() == 0:
        assert read_all(prefix)
        return
    with pytest.raises(IndexedDatasetError, match="Permission denied") as caught:
        IndexedDataset(prefix)
    assert_explains(caught.value, "a.idx")

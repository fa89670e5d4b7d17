"""Verify: what it reports, and that it trusts nothing it could check. Damage of all kinds is in test_damage.py."""

import os

from helpers import GOLDEN, Index, touch, write_dataset, write_files

from preprocess import IndexedDataset, IndexedDatasetWriter, verify_dataset
from preprocess.indexed import verify as verify_module
from preprocess.indexed.sidecar import TokenizerInfo


def test_a_good_dataset(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1, 2], [3]]])
    quick, full = verify_dataset(prefix), verify_dataset(f"{prefix}.idx", full=True)
    assert quick.ok
    assert quick.checked == ["sizes", "index", "sidecar"]
    assert full.ok
    assert full.checked == ["sizes", "index", "sidecar", "digests"]
    assert (full.documents, full.sequences, full.tokens) == (1, 2, 3)
    assert "1 documents, 2 sequences, 3 tokens; checked: sizes, index, sidecar, digests" in full.summary()
    assert full.as_dict()["findings"] == []


def test_without_a_sidecar_it_says_what_it_cannot_check():
    report = verify_dataset(GOLDEN / "indexed_plain", full=True, vocabulary_size=30_522)
    assert report.ok
    assert report.checked == ["sizes", "index", "range of ids"]
    assert report.not_checked == [f"digests (there is no {GOLDEN / 'indexed_plain.json'})"]


def test_the_vocabulary_comes_from_the_sidecar(tmp_path):
    with IndexedDatasetWriter(tmp_path / "a", "uint16") as writer:
        writer.add_document([1, 29, 30], [3])
        writer.tokenizer = TokenizerInfo("wp", "a" * 64, 30)
    assert [finding.found for finding in verify_dataset(tmp_path / "a", full=True).findings] == ["id 30"]
    assert verify_dataset(tmp_path / "a", vocabulary_size=31).ok


def test_what_this_process_has_checked_before_is_checked_again(tmp_path):
    prefix = write_files(tmp_path / "a", Index([1, 1], [0, 1, 2]).pack(), bytes(4))
    assert IndexedDataset(prefix)[0].tolist() == [0]
    status = os.stat(f"{prefix}.idx")
    with open(f"{prefix}.idx", "r+b") as file:
        file.write(Index([1, 1], [0, 3, 2]).pack())
    os.utime(f"{prefix}.idx", ns=(status.st_mtime_ns, status.st_mtime_ns))  # a change that hides its time
    assert [finding.place for finding in verify_dataset(prefix).findings] == ["document_indices[2]"]


def test_every_part_is_compared(tmp_path):
    from preprocess import merge_datasets

    prefixes = [write_dataset(tmp_path / f"in{i}", [[[i, i]]]) for i in range(3)]
    merge_datasets(prefixes, tmp_path / "out")
    with open(tmp_path / "out.bin", "r+b") as file:
        file.seek(5)
        file.write(b"\x55")
        file.seek(11)
        file.write(b"\x55")
    places = [finding.place for finding in verify_dataset(tmp_path / "out", full=True).findings]
    assert places == ["bytes 4 to 8 (part 1)", "bytes 8 to 12 (part 2)"]


def test_tokens_are_read_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(verify_module, "COPY_CHUNK", 6)
    prefix = write_dataset(tmp_path / "a", [[[1, 2, 3, 4]], [[5, 99, 7], [98]]])
    assert verify_dataset(prefix, full=True).ok
    report = verify_dataset(prefix, vocabulary_size=90)
    assert [(f.place, f.found) for f in report.findings] == [("sequence 1, token 1", "id 99 (and 1 more outside)")]


def test_a_damaged_sidecar_does_not_hide_the_rest(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1, 2, 3]]])
    with open(f"{prefix}.json", "w", encoding="utf-8") as file:
        file.write("{")
    with open(f"{prefix}.idx", "r+b") as file:
        file.write(b"X")
    touch(f"{prefix}.idx")
    findings = verify_dataset(prefix, full=True).findings
    assert [os.path.basename(finding.path) for finding in findings] == ["a.json", "a.idx"]

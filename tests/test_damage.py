"""Any damage to a small dataset: an error, identical content, or a finding of verify. Never anything else."""

import json
from pathlib import Path

import pytest
from helpers import IndexedDatasetError, assert_explains, contents, read_all, write_dataset, write_files
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import IndexedDataset, verify_dataset

DOCUMENTS = [[[1, 2, 3], [40_000]], [], [[5, 6], [], [7, 65_535, 9, 10]]]
MODES = [[0, 1], [], [1, 0, 1]]
UNDAMAGED = [sequence for document in DOCUMENTS for sequence in document]


class Victim:
    """A dataset whose files can be replaced one by one."""

    def __init__(self, folder, modes):
        write_dataset(folder / "a", DOCUMENTS, modes=modes)
        self.prefix = str(folder / "a")
        self.bin, self.idx = contents(self.prefix)
        self.json = Path(f"{self.prefix}.json").read_bytes()
        dataset = IndexedDataset(self.prefix)
        self.documents = dataset.document_indices.tolist()
        self.modes = None if modes is None else dataset.sequence_modes.tolist()

    def examine(self, *, idx=None, bin=None, sidecar=None):  # noqa: A002 - the file's own name
        """Damage, read, verify; fail unless the damage is harmless or is named."""
        write_files(self.prefix, self.idx if idx is None else idx, self.bin if bin is None else bin)
        Path(f"{self.prefix}.json").write_bytes(self.json if sidecar is None else sidecar)
        report = verify_dataset(self.prefix, full=True)
        for finding in report.findings:
            assert_explains(finding, self.prefix)
        try:
            sequences = read_all(self.prefix)
        except IndexedDatasetError as error:
            assert_explains(error, self.prefix)
            assert not report.ok
            return
        dataset = IndexedDataset(self.prefix)
        modes = None if dataset.sequence_modes is None else dataset.sequence_modes.tolist()
        same = (sequences, dataset.document_indices.tolist(), modes) == (UNDAMAGED, self.documents, self.modes)
        assert same or not report.ok


@pytest.fixture(params=[None, MODES], ids=["plain", "modes"])
def victim(tmp_path, request):
    return Victim(tmp_path, request.param)


def flipped(content, position, mask):
    return content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_byte_of_the_index_flipped(victim, mask):
    for position in range(len(victim.idx)):
        victim.examine(idx=flipped(victim.idx, position, mask))


def test_every_dtype_code(victim):
    for code in range(256):
        victim.examine(idx=victim.idx[:17] + bytes([code]) + victim.idx[18:])


def test_the_index_truncated_at_every_offset_and_lengthened(victim):
    for length in range(len(victim.idx)):
        victim.examine(idx=victim.idx[:length])
    for extra in range(1, 20):
        victim.examine(idx=victim.idx + bytes(extra))
        victim.examine(idx=victim.idx + b"\xff" * extra)


def test_every_byte_of_the_tokens_flipped_and_every_truncation(victim):
    for position in range(len(victim.bin)):
        victim.examine(bin=flipped(victim.bin, position, 0x01))
        victim.examine(bin=victim.bin[:position])
    victim.examine(bin=victim.bin + b"\0\0")


def test_every_byte_of_the_sidecar_flipped_and_every_truncation(victim):
    for position in range(len(victim.json)):
        victim.examine(sidecar=flipped(victim.json, position, 0x01))
        victim.examine(sidecar=flipped(victim.json, position, 0x80))
        victim.examine(sidecar=victim.json[:position])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{}",
        b"1" * 10_000,
        b"{} {}",
        b'{"format": "maskgen-sidecar", "version": 2}',
        b'{"format": "maskgen-sidecar", "version": true}',
    ],
)
def test_sidecars_of_all_sorts(victim, content):
    victim.examine(sidecar=content)
    findings = verify_dataset(victim.prefix).findings
    assert len(findings) == 1
    assert findings[0].path.endswith(".json")


@pytest.mark.parametrize("key", ["dtype", "documents", "sequences", "tokens", "has_modes", "bin", "idx", "digest"])
@pytest.mark.parametrize("value", [None, -1, True, "x", [], {}, [1], 1.5, [{"bytes": "1", "sha256": "0" * 64}]])
def test_sidecars_with_one_wrong_value(victim, key, value):
    facts = json.loads(victim.json)
    if facts[key] == value and type(facts[key]) is type(value):
        value = "another"
    facts[key] = value
    victim.examine(sidecar=json.dumps(facts).encode())
    assert not verify_dataset(victim.prefix).ok


@settings(derandomize=True, deadline=None, max_examples=400)
@given(
    patches=st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=9)), min_size=1, max_size=3),
    cut=st.one_of(st.none(), st.integers(0, 10_000)),
)
def test_random_damage_to_the_index(tmp_path_factory, patches, cut):
    victim = Victim(tmp_path_factory.mktemp("damage"), None)
    index = bytearray(victim.idx)
    for position, patch in patches:
        start = position % len(index)
        index[start : start + len(patch)] = patch
    victim.examine(idx=bytes(index if cut is None else index[: cut % len(index)]))

"""Fingerprints: the same whatever cannot change a result, another one for whatever can, and what a check says."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from sample_files import TOY, toy_dataset, toy_tokenizer

from maskgen import cli
from maskgen.fingerprint import STAGES, FingerprintError, Manner, Request, check, fingerprint, read_fingerprint, to_json
from maskgen.fingerprint import tokens as tokens_module
from maskgen.fingerprint.stages import samples_stage
from maskgen.samples import BertSamples, SampleError, T5Samples
from maskgen.samples.opening import SampleChoice, scheme_options
from preprocess import IndexedDataset, IndexedDatasetError

KINDS = ("bert", "t5")
SMALL = Request(num=25, steps=())

# What each option of a scheme is changed to, from its default. A new option has to be added here.
OTHER_OPTIONS = {
    "bert": {
        "masked_lm_prob": 0.2,
        "binary_head": False,
        "max_ngrams": 2,
        "do_whole_word_mask": False,
        "favor_longer_ngram": True,
        "do_permutation": True,
        "geometric_dist": True,
        "masking_style": "t5",
        "replacement_ids": TOY.ordinary_ids,
    },
    "t5": {
        "max_seq_length_dec": 25,
        "masked_lm_prob": 0.2,
        "max_ngrams": 2,
        "do_whole_word_mask": False,
        "favor_longer_ngram": True,
        "geometric_dist": False,
    },
}


@pytest.fixture
def prefix(tmp_path):
    return tmp_path / "toy"


@pytest.fixture
def toy(prefix):
    """Makes samples of one small dataset, of its files as they are then."""
    _, rows = toy_dataset(prefix)

    def make(kind="bert", *, path=prefix, rows=rows, vocab=TOY, **options):
        options = {"max_seq_length": 29, **options}
        if kind == "t5":
            return T5Samples(IndexedDataset(path), rows, vocab, **{"max_seq_length_dec": 24, **options})
        return BertSamples(IndexedDataset(path), rows, vocab, **options)

    return make


def first_difference(samples, other, request=SMALL, manner=None):
    """The stage at which a check fails, and what it says; the digests must say the same."""
    known = fingerprint(samples, request, manner)
    result = check(known, other, manner)
    assert result.ok == (fingerprint(other, request, manner)["digest"] == known["digest"])
    return result.stage, result.what


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_cannot_change_a_result_shows(kind, toy):
    expected = fingerprint(toy(kind), SMALL)
    assert tuple(expected["stages"]) == STAGES[: len(expected["stages"])]
    for engine in ("native", "reference"):
        for threads in (0, 1, 4):
            samples = toy(kind, engine=engine)
            assert fingerprint(samples, SMALL, Manner(threads=threads)) == expected
    assert fingerprint(samples, SMALL, Manner(full=True)) == expected


def test_where_the_files_are_does_not_show(tmp_path, toy, prefix):
    expected = fingerprint(toy(), SMALL)
    (tmp_path / "elsewhere").mkdir()
    for extension in ("bin", "idx", "json"):
        shutil.copy(f"{prefix}.{extension}", f"{tmp_path}/elsewhere/other.{extension}")
    samples = toy(path=tmp_path / "elsewhere/other")
    assert to_json(fingerprint(samples, SMALL)) == to_json(expected)
    assert str(tmp_path) not in to_json(expected).decode()


def test_the_digest_is_that_of_the_sidecar(toy, prefix):
    samples = toy()
    sidecar = json.loads(Path(f"{prefix}.json").read_text())
    for full in (False, True):
        assert fingerprint(samples, SMALL, Manner(full=full))["stages"]["tokens"]["digest"] == sidecar["digest"]
    os.unlink(f"{prefix}.json")  # a dataset written in one go has one part: its digest can be made again
    assert fingerprint(samples, SMALL)["stages"]["tokens"]["digest"] == sidecar["digest"]


def flip(prefix, token):
    """Change one token of a dataset to another one, in place."""
    with open(f"{prefix}.bin", "r+b") as file:
        file.seek(2 * token)
        old = file.read(2)[0]
        file.seek(2 * token)
        file.write(bytes([20 + (old - 20 + 1) % 40]))


@pytest.mark.parametrize("sidecar", [True, False])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_one_token(sidecar, where, toy, prefix):
    known = fingerprint(toy(), SMALL)
    if not sidecar:
        os.unlink(f"{prefix}.json")
        without = fingerprint(toy(), SMALL)
        assert without == known
    size = os.path.getsize(f"{prefix}.bin") // 2
    flip(prefix, {"first": 0, "middle": size // 2, "last": size - 1}[where])
    changed = toy()
    result = check(known, changed)
    assert (result.stage, result.same) == ("tokens", ())
    assert result.what.startswith("look: " if sidecar else "digest: ")
    assert fingerprint(changed, SMALL)["digest"] != known["digest"]
    assert check(known, changed, Manner(full=True)).what.startswith("digest: ")


def test_one_token_that_the_sidecar_hides(monkeypatch, toy, prefix):
    """In a large dataset a changed token may be nowhere that is looked at: reading all finds it, and so do samples."""
    monkeypatch.setattr(tokens_module, "PROBES", 1)
    monkeypatch.setattr(tokens_module, "PROBE_BYTES", 2)
    samples = toy()
    known, full = fingerprint(samples, SMALL), fingerprint(samples, SMALL, Manner(full=True))
    assert known == full
    shown = np.flatnonzero(samples.batch(range(1, 10))["truncated"] == 0)  # of these every token is in the sample
    first, _, _ = samples.sample_map[1 + shown[0]].tolist()
    flip(prefix, int(samples.dataset.sequence_pointers[first]) // 2 + 1)
    result = check(known, toy())
    assert result.stage == "samples"
    assert result.what.startswith("the first 1 agree, the first 10 do not; fields that differ: text")
    assert check(known, toy(), Manner(full=True)).stage == "tokens"


def test_a_sidecar_of_another_dataset(tmp_path, toy, prefix):
    samples = toy()
    facts = json.loads(Path(f"{prefix}.json").read_text())
    toy_dataset(tmp_path / "longer", documents=31)
    shutil.copy(tmp_path / "longer.json", f"{prefix}.json")
    assert facts["digest"] != json.loads(Path(f"{prefix}.json").read_text())["digest"]
    with pytest.raises(IndexedDatasetError, match=r"toy\.bin: size: found .*maskgen verify"):
        fingerprint(samples, SMALL)


@pytest.mark.parametrize("kind", KINDS)
def test_all_options_are_tried(kind):
    assert set(OTHER_OPTIONS[kind]) == set(scheme_options(kind))


@pytest.mark.parametrize(("kind", "option"), [(kind, name) for kind in KINDS for name in OTHER_OPTIONS[kind]])
def test_each_option_shows(kind, option, toy):
    value = OTHER_OPTIONS[kind][option]
    samples = toy(kind)
    stage, what = first_difference(samples, toy(kind, **{option: value}))
    assert stage == "settings"
    assert what.startswith(f"options.{option}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_seed_length_and_vocabulary_show(kind, toy):
    samples = toy(kind)
    assert first_difference(samples, toy(kind, seed=1235)) == (
        "settings",
        "seed: 1234 and 1235",
    )
    stage, what = first_difference(samples, toy(kind, max_seq_length=30))
    assert (stage, what) == ("settings", "options.max_seq_length: 29 and 30")
    vocab = type(TOY)([*TOY.pieces[:-1], "w60"], cls_id=2, sep_id=3, mask_id=4, pad_id=0, bos_id=5, eos_id=6,
                      sentinel_ids=range(7, 20), special_ids=[1])  # fmt: skip
    assert first_difference(samples, toy(kind, vocab=vocab))[0] == "vocabulary"


def test_rows_show(toy):
    samples = toy()
    rows = samples.sample_map
    changed = rows.copy()
    changed[-1, 2] -= 1
    for other in (changed, rows[:-1], rows[::-1]):
        assert first_difference(samples, toy(rows=other))[0] == "rows"


@pytest.mark.parametrize(
    "change",
    [
        {"short_seq_prob": 0.5},
        {"num_epochs": 2},
        {"max_num_samples": 60},
        {"split": "1,1"},
        {"split": "1,1", "part": "valid"},
        {"roles": {"bos": "[CLS]"}},
        {"sentinel_ids": range(7, 12)},
        {"seed": 8},
        {"max_seq_length": 23},
        {"scheme": "t5"},
    ],
    ids=str,
)
def test_each_choice_of_a_command_shows(tmp_path, change):
    toy_dataset(tmp_path / "toy")
    choice = {"prefix": str(tmp_path / "toy"), "tokenizer": toy_tokenizer(tmp_path / "t.json"), "max_seq_length": 24}
    choice["seed"] = 7
    samples, other = SampleChoice(**choice).open(), SampleChoice(**{**choice, **change}).open()
    assert first_difference(samples, other)[0] in ("settings", "rows", "vocabulary")


@pytest.mark.parametrize("num", [0, 1, 9, 10, 11, 25, 30])
def test_first_samples(num, monkeypatch, toy):
    """The digests say which samples are the first to differ; how many are looked at together does not show."""
    samples = toy()
    found = samples_stage(samples, num, 1)
    assert list(found["first"]) == [str(mark) for mark in (1, 10) if mark < num] + [str(num)] * (num > 0)
    monkeypatch.setattr("maskgen.fingerprint.stages.ROWS", 4)
    assert samples_stage(samples, num, 3) == found
    assert samples_stage(samples, 99, 1)["num"] == len(samples) == 30


def test_the_file_is_the_same_bytes(tmp_path, toy):
    samples = toy()
    found = fingerprint(samples, SMALL)
    content = to_json(found)
    assert to_json(json.loads(content)) == content == to_json(fingerprint(samples, SMALL))
    (tmp_path / "f.json").write_bytes(content)
    assert read_fingerprint(tmp_path / "f.json") == json.loads(content)


def test_versions_are_shown_and_not_compared(toy):
    samples = toy()
    known = fingerprint(samples, SMALL)
    assert {"maskgen", "numpy", "python", "tokenizers"} <= set(known["versions"])
    known["versions"] = {"numpy": "0.1"}
    assert check(known, samples).ok


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"format": "maskgen-fingerprint", "version": 2}',
        b'{"format": "maskgen-fingerprint", "version": 1, "stages": {}, "digest": ""}',
        b'{"format": "maskgen-fingerprint", "version": 1, "stages": [], "digest": ""}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_fingerprint(tmp_path, content):
    (tmp_path / "f.json").write_bytes(content)
    with pytest.raises(FingerprintError, match=r"f\.json: found (something else than )?a fingerprint"):
        read_fingerprint(tmp_path / "f.json")


def test_a_fingerprint_that_was_changed(tmp_path, toy):
    found = fingerprint(toy(), SMALL)
    found["stages"]["settings"]["seed"] = 5
    (tmp_path / "f.json").write_bytes(to_json(found))
    with pytest.raises(FingerprintError, match="one that was changed"):
        read_fingerprint(tmp_path / "f.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num": -1}, "num is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"steps": (-1,)}, "steps is -1"),
        ({"steps": (2, 1)}, r"steps are \[2, 1\]; expected rising"),
    ],
)
def test_wrong_requests(options, message):
    with pytest.raises(SampleError, match=message):
        Request(**options)


@pytest.fixture
def command(tmp_path, capsys):
    """Runs ``maskgen fingerprint`` on a small dataset; returns exit code, output, error."""
    toy_dataset(tmp_path / "toy")
    tokenizer = toy_tokenizer(tmp_path / "tokenizer.json")

    def run(*flags, seed=7):
        base = ["fingerprint", str(tmp_path / "toy"), "--tokenizer", tokenizer, "--max-seq-length", "24"]
        code = cli.main([*base, "--seed", str(seed), *map(str, flags)])
        return code, *capsys.readouterr()

    return run


def test_command(tmp_path, command):
    code, out, _ = command("--num", 12, "--steps", "none")
    assert code == 0
    assert json.loads(out)["stages"]["samples"]["num"] == 12
    file = tmp_path / "f.json"
    assert command("--num", 12, "--steps", "none", "--output", file)[:2] == (
        0,
        f"{file}: {json.loads(out)['digest']}\n",
    )
    assert file.read_text() == out

    code, out, _ = command("--check", file, "--engine", "reference", "--threads", 3)
    assert code == 0
    lines = out.splitlines()
    assert [line.split() for line in lines[:5]] == [[name, "same"] for name in STAGES[:5]]
    assert lines[5].startswith("versions    maskgen ")
    assert lines[-1] == f"ok: as in {file}"
    assert command("--check", file, "--quiet")[:2] == (0, f"ok: as in {file}\n")

    code, out, _ = command("--check", file, seed=8)
    assert code == 1
    assert out.splitlines()[-1] == f"different from {file}, first in settings: seed: 7 and 8"
    assert "settings    DIFFERENT" in out
    known = json.loads(file.read_text())
    known["versions"] = {"numpy": "0.1", "other": "7"}
    file.write_text(json.dumps(known))
    code, out, _ = command("--check", file)
    assert code == 0
    assert f"numpy {np.__version__} (then 0.1)" in out
    assert "other none (then 7)" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--steps", "1,x"], "--steps 1,x; expected numbers of steps"),
        (["--steps", ""], "--steps ; expected numbers"),
        (["--num", -1], "num is -1"),
        (["--threads", -1], "threads is -1"),
        (["--ranks", 0], "ranks is 0"),
        (["--check", "nothing"], "nothing: read it"),
        (["--check", __file__], "found something else than a fingerprint"),
        (["--check", "nothing", "--num", 3], "--num with --check"),
        (["--output", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_wrong_flags_are_one_line(command, flags, message):
    steps = [] if "--steps" in flags or "--check" in flags else ["--steps", "none"]
    code, _, err = command(*flags, *steps)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert Path(__file__).exists()

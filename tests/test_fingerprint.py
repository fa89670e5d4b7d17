"""Fingerprints: the same whatever cannot change a result, another one for whatever can, and what a check says."""

import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import contents, write_dataset
from sample_files import TOY, TOY_PIECES, toy_dataset, toy_tokenizer

from maskgen import cli
from maskgen.batches import BatchSource
from maskgen.fingerprint import STAGES, FingerprintError, Manner, Request, check, fingerprint, read_fingerprint, to_json
from maskgen.fingerprint import tokens as tokens_module
from maskgen.fingerprint.batches import joined
from maskgen.fingerprint.digests import batch_digest
from maskgen.fingerprint.stages import samples_stage
from maskgen.fingerprint.view import comparison_lines
from maskgen.identity import settings_digest
from maskgen.samples import BertSamples, SampleError, T5Samples
from maskgen.samples.opening import SampleChoice, scheme_options
from maskgen.schemes import SCHEMES
from maskgen.schemes.ngrams import NGrams
from preprocess import IndexedDataset, IndexedDatasetError, merge_datasets

KINDS = ("bert", "t5")
SMALL = Request(num=25, steps=())
WHOLE = Request(num=25, steps=(0, 1, 3, 7), batch_size=8)  # of 30 samples an epoch: the last two cross an end
EVERYWHERE = {
    "bert": "3c3f273101775311d7980508b2ab2624a2487fc76280fff135e417e92a6b2f92",
    "t5": "8bf43da4c7502c3937e1e9efe616d2f00264cfe0de02d6313022f9cf56b7deee",
}

NEEDED = {  # options that have no default, or none that fits, by scheme
    "pmi": {"ngrams": NGrams([(20, 22), (23, 25, 26)], TOY)},
    "bart": {"sentence_end_ids": [25, 40]},
}

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
    expected = fingerprint(toy(kind), WHOLE)
    assert tuple(expected["stages"]) == STAGES
    for engine in ("native", "reference"):
        for threads in (0, 1, 4):
            for ranks in (1, 3):
                assert fingerprint(toy(kind, engine=engine), WHOLE, Manner(threads, ranks)) == expected
    assert fingerprint(toy(kind), WHOLE, Manner(ranks=11, full=True)) == expected  # some ranks get nothing


@pytest.mark.parametrize("scheme", SCHEMES)
def test_of_any_scheme(tmp_path, prefix, toy, scheme):
    choice = {"prefix": str(prefix), "tokenizer": toy_tokenizer(tmp_path / "t.json"), "max_seq_length": 24}
    choice |= {"scheme": scheme, "seed": 7, "options": NEEDED.get(scheme, {})}
    samples = SampleChoice(**choice).open()
    expected = fingerprint(samples, WHOLE)
    for engine, threads, ranks in (("native", 4, 3), ("reference", 0, 2)):
        other = SampleChoice(**choice, engine=engine).open()
        assert fingerprint(other, WHOLE, Manner(threads, ranks)) == expected
    assert first_difference(samples, SampleChoice(**{**choice, "seed": 8}).open()) == ("settings", "seed: 7 and 8")
    stage, what = first_difference(
        samples, SampleChoice(**choice | {"options": {"rate": 0.2, **choice["options"]}}).open()
    )
    assert (stage, what.split(":")[0]) == ("settings", "options.rate")
    for change in ({"rows": "best-fit"}, {"rows": "documents"}, {"add_special": True}, {"split": "2,1"}):
        assert first_difference(samples, SampleChoice(**{**choice, **change}).open())[0] == "rows"


def test_of_pairs(tmp_path, prefix, toy):
    choice = {"prefix": str(prefix), "tokenizer": toy_tokenizer(tmp_path / "t.json"), "max_seq_length": 24}
    choice |= {"scheme": "roberta", "seed": 7, "rows": "pairs"}
    samples = SampleChoice(**choice).open()
    assert fingerprint(samples, WHOLE, Manner(4, 3)) == fingerprint(samples, WHOLE)
    assert first_difference(samples, SampleChoice(**choice, short_seq_prob=0.5).open())[0] == "rows"
    stage, _ = first_difference(samples, SampleChoice(**choice, options={"random_share": 0.4}).open())
    assert stage in ("settings", "rows")


def test_of_batches_with_documents(tmp_path, prefix, toy):
    """They have arrays of their own, which ranks put together, too."""
    choice = SampleChoice(
        str(prefix), toy_tokenizer(tmp_path / "t.json"), 24, 7, "roberta", {"documents": True}, rows="best-fit"
    )
    expected = fingerprint(choice.open(), WHOLE)
    assert fingerprint(choice.open(), WHOLE, Manner(ranks=3)) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resume_at", range(9))
def test_after_save_and_resume(toy, kind, resume_at):
    """The batches of a run that is saved at any step, and goes on with other ranks, are those of the fingerprint."""
    samples = toy(kind)
    request = Request(num=0, steps=tuple(range(10)), batch_size=7)
    expected = fingerprint(samples, request)["stages"]["batches"]["steps"]
    state, found = None, {}
    for ranks, steps in ((2, range(resume_at)), (3, range(resume_at, 10))):
        sources = [
            BatchSource(toy(kind), batch_size=7, seed=1234, rank=rank, world_size=ranks) for rank in range(ranks)
        ]
        for source in sources:
            if state is not None:
                source.load_state_dict(json.loads(state))
        for step in steps:
            found[str(step)] = batch_digest(joined([source.next_batch() for source in sources], samples.fields))
        state = json.dumps(sources[-1].state_dict())
    assert found == {step: digests["arrays"] for step, digests in expected.items()}


def test_the_same_on_every_machine(toy):
    """Digests that were made with numpy 2.4 on x86-64; other versions and machines must give them, too."""
    for kind, expected in EVERYWHERE.items():
        assert fingerprint(toy(kind), WHOLE)["digest"] == expected


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (("samples", "first", "25"), "the first 10 agree, the first 25 do not; fields that differ: "),
        (("batches", "steps", "1", "order"), "step 1 holds other samples, or in another order"),
        (("batches", "steps", "7", "arrays"), "step 7 holds the same samples with other arrays"),
        (("batches", "order", "version"), "order.version: 0 and 1"),
        (("rows", "samples"), "samples: 0 and 30"),
        (("rows", "mapping"), "other --num-epochs, --max-num-samples, --short-seq-prob, --split or --part"),
    ],
)
def test_what_a_difference_is_said_to_be(toy, place, what):
    samples = toy()
    known = fingerprint(samples, WHOLE)
    *path, last = place
    facts = known["stages"]
    for name in path:
        facts = facts[name]
    facts[last] = 0
    result = check(known, samples)
    assert (result.ok, result.stage) == (False, place[0])
    assert what in result.what
    assert result.same == STAGES[: STAGES.index(place[0])]


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


def test_the_same_tokens_in_other_parts(tmp_path, toy, prefix):
    """The digest is made of the parts: that the files may be the same is said, and not that tokens are others."""
    known = fingerprint(toy(), SMALL)
    dataset = IndexedDataset(prefix)
    bounds = dataset.document_indices.tolist()
    documents = [[each.tolist() for each in dataset[begin:end]] for begin, end in itertools.pairwise(bounds)]
    parts = [write_dataset(tmp_path / "a", documents[:15]), write_dataset(tmp_path / "b", documents[15:])]
    merge_datasets(parts, tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(prefix)
    result = check(known, toy(path=tmp_path / "merged"))
    assert result.stage == "tokens"
    assert "the same in other parts (another --shard-bytes, or the sidecar is not beside" in result.what


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
    monkeypatch.setattr("preprocess.probing.PROBE_BYTES", 2)
    monkeypatch.setattr(tokens_module, "READ_IN_CHECKS", 0)
    samples = toy()
    known, full = fingerprint(samples, SMALL), fingerprint(samples, SMALL, Manner(full=True))
    assert known == full
    verdict = comparison_lines(check(known, samples), "f", {})[-1]
    assert verdict.startswith("ok: as in f, the tokens by the sidecar and a look")
    assert comparison_lines(check(known, samples, Manner(full=True)), "f", {})[-1] == "ok: as in f"
    shown = np.flatnonzero(samples.batch(range(1, 10))["truncated"] == 0)  # of these every token is in the sample
    first, _, _ = samples.sample_map[1 + shown[0]].tolist()
    flip(prefix, int(samples.dataset.sequence_pointers[first]) // 2 + 1)
    result = check(known, toy())
    assert result.stage == "samples"
    assert result.what.startswith("the first 1 agree, the first 10 do not; fields that differ: text")
    assert check(known, toy(), Manner(full=True)).stage == "tokens"


def test_a_check_reads_all_tokens_where_that_is_quick(monkeypatch, toy, prefix):
    monkeypatch.setattr(tokens_module, "PROBES", 1)
    monkeypatch.setattr("preprocess.probing.PROBE_BYTES", 2)
    samples = toy()
    known, sidecar = fingerprint(samples, SMALL), Path(f"{prefix}.json").read_bytes()
    assert comparison_lines(check(known, samples), "f", {})[-1] == "ok: as in f"
    flip(prefix, os.path.getsize(f"{prefix}.bin") // 4)
    result = check(known, toy())
    assert (result.stage, result.same) == ("tokens", ())
    assert result.what.startswith("digest: ")
    assert result.what.endswith("tokens were changed after they were written; maskgen verify --full says where")
    assert Path(f"{prefix}.json").read_bytes() == sidecar


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


@pytest.mark.parametrize("value", [None, 5, "x", [], [["a", "b"]], {}, {"0": 5}, {"0": {}}, 1e400])
@pytest.mark.parametrize(
    "path",
    [
        ("versions",), ("stages", "samples"), ("stages", "samples", "fields"), ("stages", "samples", "first"),
        ("stages", "samples", "num"), ("stages", "batches"), ("stages", "batches", "steps"),
        ("stages", "batches", "steps", "0"), ("stages", "batches", "batch_size"), ("stages", "rows"), ("version",),
        ("stages", "settings"), ("stages", "tokens"), ("stages", "vocabulary"),
    ],
)  # fmt: skip
def test_hostile_values_that_the_digest_covers(tmp_path, toy, path, value):
    found = json.loads(to_json(fingerprint(toy(), Request(num=5, steps=(0,), batch_size=4))))
    place = found
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    found["digest"] = settings_digest(found["stages"])
    (tmp_path / "f.json").write_text(json.dumps(found))
    try:
        known = read_fingerprint(tmp_path / "f.json")
    except FingerprintError:
        return
    comparison_lines(check(known, toy()), "f.json", known["versions"])


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
    code, out, _ = command("--num", 12, "--steps", "0,2", "--batch-size", 8)
    assert code == 0
    assert list(json.loads(out)["stages"]["batches"]["steps"]) == ["0", "2"]
    assert json.loads(out)["stages"]["samples"]["num"] == 12
    file = tmp_path / "f.json"
    assert command("--num", 12, "--steps", "2,0", "--batch-size", 8, "--output", file)[:2] == (
        0,
        f"{file}: {json.loads(out)['digest']}\n",
    )
    assert file.read_text() == out

    code, out, _ = command("--check", file, "--engine", "reference", "--threads", 3, "--ranks", 3)
    assert code == 0
    lines = out.splitlines()
    assert [line.split() for line in lines[:6]] == [[name, "same"] for name in STAGES]
    assert lines[6].startswith("versions    maskgen ")
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


def moved_shards(tmp_path):
    """The same shards in another order, under the same name."""
    dataset = IndexedDataset(tmp_path / "toy")
    bounds = dataset.document_indices.tolist()
    documents = [[each.tolist() for each in dataset[begin:end]] for begin, end in itertools.pairwise(bounds)]
    parts = [write_dataset(tmp_path / "b", documents[15:]), write_dataset(tmp_path / "a", documents[:15])]
    merge_datasets(parts, tmp_path / "moved")
    for kind in ("bin", "idx", "json"):
        shutil.copy(tmp_path / f"moved.{kind}", tmp_path / f"toy.{kind}")


@pytest.mark.parametrize(
    ("change", "stage", "what"),
    [
        (lambda path: flip(path / "toy", 77), "tokens", "tokens were changed after they were written"),
        (moved_shards, "tokens", "other tokens, or the same documents in another order"),
        (
            lambda path: toy_tokenizer(path / "tokenizer.json", TOY_PIECES[::-1]),
            "vocabulary",
            "another tokenizer, or other --role",
        ),
        (8, "settings", "seed: 7 and 8"),
    ],
    ids=["token", "shard", "tokenizer", "seed"],
)
def test_a_check_names_what_was_changed(tmp_path, command, change, stage, what):
    file = tmp_path / "f.json"
    assert command("--num", 12, "--steps", "none", "--output", file)[0] == 0
    if callable(change):
        change(tmp_path)
    code, out, _ = command("--check", file, seed=7 if callable(change) else change)
    assert code == 1
    assert out.splitlines()[-1].startswith(f"different from {file}, first in {stage}: ")
    assert what in out.splitlines()[-1]


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
        (["--steps", "0", "--batch-size", 10**12], "batch_size is 1000000000000; expected a batch that fits"),
    ],
)
def test_wrong_flags_are_one_line(command, flags, message):
    steps = [] if "--steps" in flags or "--check" in flags else ["--steps", "none"]
    code, _, err = command(*flags, *steps)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert Path(__file__).exists()

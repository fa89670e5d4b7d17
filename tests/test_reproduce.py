"""``maskgen reproduce``: the same from the same, and every kind of difference by its name."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import contents
from pipeline_runs import documents, run, vocabulary, write_gzip, write_jsonl, write_lines
from tokenizer_files import small_vocabulary, write_vocabulary

from maskgen import cli
from maskgen.input_places import InputPlaces, parse_places
from maskgen.reproduction import ReproductionError, Request, read_recipe, reproduce
from maskgen.reproduction.after import first_difference
from maskgen.reproduction.documents import place_of, same_documents
from preprocess import IndexedDataset, MaskgenError, merge_datasets
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.run import Manner, tokenize

STAGES = ["inputs", "tokenizer", "options", "tokens", "index", "statistics"]
TEXTS = [text and f"{text} {number}" for number, text in enumerate(documents(300))]  # no two alike but empty ones


@pytest.fixture
def corpus(tmp_path):
    return write_jsonl(tmp_path / "corpus.jsonl", TEXTS)


def made(corpus, tmp_path, name="out", **options):
    return run(corpus, tmp_path / name, Options(**options)).prefixes[0]


def again(prefix, *flags, capsys=None):
    """Exit code and lines of the command."""
    tokenizer = [] if "--tokenizer" in flags else ["--tokenizer", vocabulary(Path(prefix).parent)]
    code = cli.main(["reproduce", f"{prefix}.json", "--workers", "0", *tokenizer, *map(str, flags)])
    captured = capsys.readouterr()
    return code, captured.out.splitlines() if code != 2 else captured.err


def difference(prefix, request=None):
    """The first stage that differs, and what differs there."""
    request = request or Request(tokenizer=vocabulary(Path(prefix).parent), workers=0)
    stages = list(reproduce(read_recipe(prefix), request))
    assert all(stage.what is None for stage in stages[:-1])
    return stages[-1].name, stages[-1].what


def edit(prefix, change):
    facts = json.loads(Path(f"{prefix}.json").read_text())
    change(facts)
    Path(f"{prefix}.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle_seed": 3},
        {"split_sentences": True, "keep_newlines": True, "shard_bytes": 900},
        {"append_eod": True, "add_special_tokens": True},
        {"max_documents": 77, "shard_bytes": 900},
        {"provenance": True, "shuffle_seed": 1},
        {"format": "text", "text_documents": "block"},
    ],
    ids=str,
)
def test_the_same_again(corpus, tmp_path, capsys, options):
    if options.get("append_eod"):
        write_vocabulary(tmp_path, [*small_vocabulary(), "<|endoftext|>"])
    prefix = made(corpus, tmp_path, **options)
    before = sorted(os.listdir(tmp_path))
    code, lines = again(prefix, "--work-dir", tmp_path, capsys=capsys)
    assert code == 0, lines
    names = [*STAGES, "provenance"] if options.get("provenance") else STAGES
    assert [line.split(":")[0].split() for line in lines[:-2]] == [[name, "same"] for name in names]
    assert lines[-2].startswith("versions    maskgen ")
    assert lines[-1] == f"ok: made again as {prefix}.json says, digest {read_sidecar(prefix).digest}"
    assert sorted(os.listdir(tmp_path)) == before
    for kind in ("bin", "idx"):
        os.unlink(f"{prefix}.{kind}")  # the sidecar is enough
    assert again(prefix, "--quiet", capsys=capsys) == (0, lines[-1:])


def test_what_is_kept(corpus, tmp_path, capsys):
    prefix = made(corpus, tmp_path, shuffle_seed=2)
    assert again(prefix, "--output-prefix", tmp_path / "kept", capsys=capsys)[0] == 0
    assert contents(tmp_path / "kept_text_document") == contents(prefix)
    assert read_sidecar(tmp_path / "kept_text_document").settings == read_sidecar(prefix).settings
    code, error = again(prefix, "--output-prefix", tmp_path / "kept", capsys=capsys)
    assert (code, error.count("\n")) == (2, 1)
    assert "kept_text_document, expected a free name" in error
    assert again(prefix, "--output-prefix", "memory://x", capsys=capsys)[0] == 2


def test_with_workers(corpus, tmp_path):
    prefix = made(corpus, tmp_path, shard_bytes=2000)
    stages = reproduce(read_recipe(prefix), Request(tokenizer=vocabulary(tmp_path), workers=2))
    assert [stage.name for stage in stages] == STAGES


def flip(prefix, token):
    with open(f"{prefix}.bin", "r+b") as file:
        file.seek(2 * token)
        old = file.read(2)[0]
        file.seek(2 * token)
        file.write(bytes([old ^ 1]))


@pytest.mark.parametrize("where", [0, 1234, -1])
def test_one_changed_token(corpus, tmp_path, where):
    prefix = made(corpus, tmp_path, shard_bytes=3000)
    dataset = IndexedDataset(prefix)
    token = where % len(dataset.tokens)
    place, id_ = place_of(dataset, 2 * token), int(dataset.tokens[token])
    flip(prefix, token)
    stage, what = difference(prefix)
    assert stage == "tokens"
    assert what.startswith(f"{prefix}.bin is not what its sidecar says: part ")
    assert f"{place}: id {id_ ^ 1} there, {id_} made again (from {corpus}, line {place.document + 1})" in what


def test_one_changed_token_that_the_sidecar_knows(corpus, tmp_path):
    """Somebody has made the digests anew: the sidecar is then of the changed tokens, and the dataset is not."""
    prefix = made(corpus, tmp_path, shard_bytes=3000)
    original = contents(prefix)
    flip(prefix, 1234)

    def change(facts):
        import hashlib

        content, at = Path(f"{prefix}.bin").read_bytes(), 0
        for part in facts["bin"]:
            part["sha256"] = hashlib.sha256(content[at : at + part["bytes"]]).hexdigest()
            at += part["bytes"]
        parts = [[part["bytes"], part["sha256"]] for part in facts["bin"]]
        idx = [facts["idx"]["bytes"], facts["idx"]["sha256"]]
        statement = json.dumps({"bin": parts, "idx": idx}, separators=(",", ":"))
        facts["digest"] = hashlib.sha256(statement.encode()).hexdigest()

    edit(prefix, change)
    stage, what = difference(prefix)
    assert stage == "tokens"
    assert what.startswith("part ")
    assert ": id " in what
    Path(f"{prefix}.bin").write_bytes(original[0])
    assert difference(prefix)[1].startswith("the sidecar has digests of other tokens than")
    os.unlink(f"{prefix}.bin")
    stage, what = difference(prefix)
    assert stage == "tokens"
    assert "has another digest; with" in what
    first, last = (int(text) for text in what.split("documents ")[1].split(")")[0].split(" to "))
    document = place_of(IndexedDataset(made(corpus, tmp_path, "whole")), 2468).document
    assert first <= document <= last


def test_another_seed(corpus, tmp_path):
    """Of the dataset beside the sidecar, and in the sidecar itself."""
    one, two = (made(corpus, tmp_path, name, shuffle_seed=seed) for name, seed in (("one", 1), ("two", 2)))
    sidecar = Path(f"{two}.json").read_text()
    shutil.copy(f"{one}.json", f"{two}.json")
    stage, what = difference(two)
    assert stage == "tokens"
    assert "the same documents in another order: another --seed of --shuffle" in what
    Path(f"{two}.json").write_text(sidecar)
    edit(two, lambda facts: facts["settings"]["options"].update(shuffle_seed=1))
    assert difference(two) == (
        "options",
        "not those of the sidecar's own digest: shuffle_seed was 2 and not 1 when the dataset was made",
    )


@pytest.mark.parametrize("change", [{"append_eod": True}, {"split_sentences": True}, {"max_documents": 5}], ids=str)
def test_another_option(corpus, tmp_path, change):
    prefix = made(corpus, tmp_path)
    edit(prefix, lambda facts: facts["settings"]["options"].update(change))
    stage, what = difference(prefix)
    (name, value), *_ = change.items()
    assert stage == "options"
    assert f"{name} was {False if value is True else None} and not {value} when the dataset was made" in what


def test_an_input_by_another_name_in_the_sidecar(corpus, tmp_path):
    prefix = made(corpus, tmp_path)
    shutil.copy(corpus, tmp_path / "other.jsonl")
    edit(prefix, lambda facts: facts["inputs"][0].update(name=str(tmp_path / "other.jsonl")))
    stage, what = difference(prefix)
    assert (stage, "one of them was changed, or the name of an input" in what) == ("options", True)


def test_another_tokenizer(corpus, tmp_path, capsys):
    prefix = made(corpus, tmp_path)
    (tmp_path / "other").mkdir()
    pieces = small_vocabulary()
    other = write_vocabulary(tmp_path / "other", [*pieces[:-2], pieces[-1], pieces[-2]])
    code, lines = again(prefix, "--tokenizer", other, capsys=capsys)
    assert code == 1
    assert lines[1].startswith("tokenizer   DIFFERENT")
    assert lines[-1].startswith(f"different from {prefix}.json, first in tokenizer: sha256: ")
    assert f"({other} is another tokenizer than vocab.txt was)" in lines[-1]


@pytest.mark.parametrize("flags", [(True, None), (False, None), (True, False)])
@pytest.mark.parametrize("early", [False, True])
def test_how_a_tokenizer_is_read(corpus, tmp_path, flags, early):
    choice = TokenizerChoice(vocabulary(tmp_path), *flags, {"eod": "[SEP]"})
    options = Options(append_eod=True)
    prefix = tokenize([corpus], choice, str(tmp_path / "out"), options, Manner(workers=0)).prefixes[0]
    if early:  # a sidecar of an earlier release does not say
        edit(prefix, lambda facts: facts["settings"].pop("command"))
    assert difference(prefix) == ("statistics", None)


@pytest.mark.parametrize("sidecar", ["now", "early"])
def test_a_changed_input(corpus, tmp_path, sidecar):
    """With the digests of an input's look it is named; a sidecar of an earlier release leaves its tokens to tell."""
    prefix = made(corpus, tmp_path)
    if sidecar == "early":

        def change(facts):
            facts["settings"].pop("command")
            facts["inputs"][0].pop("look")

        edit(prefix, change)
    content = Path(corpus).read_bytes()
    Path(corpus).write_bytes(content.replace(b"3.14", b"2.71", 1))
    stage, what = difference(prefix)
    if sidecar == "now":
        assert (stage, what) == ("inputs", f"{corpus}: as long as then, with another content")
    else:
        line = content[: content.index(b"3.14")].count(b"\n") + 1
        assert stage == "tokens"
        assert f"(from {corpus}, line {line})" in what
    Path(corpus).write_bytes(content + b"\n")
    size = len(content)
    assert difference(prefix) == ("inputs", f"{corpus}: {size:,} bytes then, {size + 1:,} now")
    Path(corpus).write_bytes(content)
    os.utime(corpus, ns=(5, 5))  # a copy
    assert difference(prefix)[1] is None


def test_a_reordered_shard(corpus, tmp_path):
    parts = run(corpus, tmp_path / "part", Options(shard_bytes=3000), keep_shards=True).prefixes
    parts = sorted(str(path.with_suffix("")) for path in tmp_path.glob("part_*.idx"))
    assert len(parts) > 3
    prefix = made(corpus, tmp_path, shard_bytes=3000)
    merge_datasets([*parts[2:], *parts[:2]], tmp_path / "moved")
    for kind in ("bin", "idx"):
        shutil.copy(f"{tmp_path}/moved.{kind}", f"{prefix}.{kind}")
    stage, what = difference(prefix)
    assert (stage, "part 0 begins with part 2: shards in another order" in what) == ("tokens", True)


def test_documents_in_another_order(corpus, tmp_path):
    """Where the parts do not tell it: one part in all, two documents exchanged."""
    prefix = made(corpus, tmp_path)
    lines = Path(corpus).read_bytes().splitlines()
    other = write_lines(tmp_path / "other.jsonl", *lines[:7], lines[9], lines[8], lines[7], *lines[10:])
    moved = made(other, tmp_path, "moved")
    assert same_documents(moved, IndexedDataset(prefix))
    for kind in ("bin", "idx"):
        shutil.copy(f"{moved}.{kind}", f"{prefix}.{kind}")
    stage, what = difference(prefix)
    assert stage == "tokens"
    assert "the same documents in another order" in what
    flip(prefix, 5)
    assert "in another order" not in difference(prefix)[1]


def test_hashes_of_documents(tmp_path, corpus, monkeypatch):
    prefix = made(corpus, tmp_path)
    dataset = IndexedDataset(prefix)
    for tokens, at_once in ((1, 1), (7, 3), (100, 1000)):
        monkeypatch.setattr("maskgen.reproduction.documents.TOKENS", tokens)
        monkeypatch.setattr("maskgen.reproduction.documents.DOCUMENTS", at_once)
        assert same_documents(prefix, dataset)
    assert not same_documents(str(tmp_path / "none"), dataset)


def test_another_index(corpus, tmp_path):
    prefix = made(corpus, tmp_path)
    other = made(corpus, tmp_path, split_sentences=True)
    assert contents(prefix)[0] == contents(other)[0]
    content = Path(f"{prefix}.idx").read_bytes()
    shutil.copy(f"{other}.idx", f"{prefix}.idx")
    stage, what = difference(prefix)
    assert stage == "index"
    assert f"{prefix}.idx is not what its sidecar says, from byte " in what
    lengths = np.frombuffer(content, np.int32, 2, 34)
    changed = bytearray(content)
    changed[34:42] = (lengths + np.array([1, -1])).astype(np.int32).tobytes()
    Path(f"{prefix}.idx").write_bytes(changed)
    assert difference(prefix)[0] == "index"


def test_other_statistics(corpus, tmp_path):
    prefix = made(corpus, tmp_path)
    edit(prefix, lambda facts: facts["statistics"].update(unknown_tokens=5))
    assert difference(prefix)[0] == "statistics"
    assert difference(prefix)[1].startswith("unknown_tokens: 5 and ")


def test_other_lines(corpus, tmp_path):
    prefix = made(corpus, tmp_path, provenance=True)
    path = Path(f"{prefix}.lines.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    stage, what = difference(prefix)
    assert (stage, what) == ("provenance", f"{path}: another line from byte {path.stat().st_size - 1:,} on")


def test_other_versions_are_named_and_do_not_fail(corpus, tmp_path, capsys):
    prefix = made(corpus, tmp_path)
    edit(prefix, lambda facts: facts.update(versions={"numpy": "0.1", "other": "7"}))
    code, lines = again(prefix, capsys=capsys)
    assert code == 0
    assert f"numpy {np.__version__} (then 0.1)" in lines[-2]
    assert "other none (then 7)" in lines[-2]


def test_bad_records_are_left_out_again(tmp_path):
    corpus = write_lines(tmp_path / "c.jsonl", *[b'{"text": "the world"}'] * 200, b"junk", b'{"text": "hello"}')
    prefix = run(corpus, tmp_path / "out", Options(on_error="skip")).prefixes[0]
    assert difference(prefix) == ("statistics", None)
    (tmp_path / "c.jsonl").write_bytes((tmp_path / "c.jsonl").read_bytes().replace(b"junk", b"kunj"))
    edit(prefix, lambda facts: facts["inputs"][0].pop("look"))
    assert difference(prefix) == ("statistics", None)  # bad then, bad now
    prefix = run(corpus, tmp_path / "quarantined", Options(on_error="quarantine")).prefixes[0]
    assert difference(prefix) == ("statistics", None)


def test_inputs_that_have_moved(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkdir("raw")
    write_jsonl("raw/a.jsonl", TEXTS[:50])
    write_gzip("raw/b.jsonl.gz", Path(write_jsonl("x", TEXTS[50:90])).read_bytes())
    prefix = run(["raw"], tmp_path / "out").prefixes[0]
    os.makedirs("elsewhere/deep")
    os.rename("raw", "elsewhere/deep/raw")
    code, error = again(prefix, capsys=capsys)
    assert code == 2
    assert "raw/a.jsonl: found nothing, expected the input raw/a.jsonl of" in error
    assert "--input=raw/a.jsonl=PATH or --root DIR" in error
    for flags in (
        ["--root", "elsewhere/deep"],
        ["--root", "elsewhere/deep/raw"],
        ["--input", "raw=elsewhere/deep/raw"],
        ["--input", "raw/=elsewhere/deep/raw/"],
        ["--input", "raw/a.jsonl=elsewhere/deep/raw/a.jsonl", "--root", "elsewhere/deep"],
    ):
        assert again(prefix, *flags, capsys=capsys)[0] == 0, flags
    os.rename("elsewhere/deep/raw/a.jsonl", "elsewhere/no-extension")
    flags = ["--input", "raw/a.jsonl=elsewhere/no-extension", "--root", "elsewhere/deep"]
    assert again(prefix, *flags, capsys=capsys)[0] == 0
    for flags in (["--input", "raw"], ["--root", "nowhere"]):
        assert again(prefix, *flags, capsys=capsys)[0] == 2


def test_places():
    places = InputPlaces({"a/b": "x", "c": "y"})
    assert [places.path(name) for name in ("a/b", "a/b/d", "a/bd", "c/e/f")] == ["x", "x/d", "a/bd", "y/e/f"]
    assert parse_places(["a=b=c"], None).path("a") == "b=c"
    with pytest.raises(MaskgenError, match="expected OLD=NEW"):
        parse_places(["=b"], None)


def test_standard_input(tmp_path, monkeypatch, corpus, capsys):
    with open(corpus) as file:
        monkeypatch.setattr("sys.stdin", file)
        prefix = made("-", tmp_path)
    code, error = again(prefix, capsys=capsys)
    assert (code, "expected standard input of" in error) == (2, True)
    other = write_lines(tmp_path / "other.txt", b"no JSON")
    code, error = again(prefix, f"--input=-={other}", capsys=capsys)
    assert (code, "--format" in error) == (2, False)  # there is no such flag here
    assert "no file that is a corpus, expected standard input of" in error
    copy = shutil.copy(corpus, tmp_path / "stdin")
    assert again(prefix, f"--input=-={copy}", capsys=capsys)[0] == 0
    Path(copy).write_bytes(Path(corpus).read_bytes().replace(b"3.14", b"2.71"))
    code, lines = again(prefix, f"--input=-={copy}", capsys=capsys)
    assert (code, "sha256" in lines[-1]) == (1, True)


def test_tables_and_saved_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"text": TEXTS[:40]})
    table.to_parquet(tmp_path / "a.parquet")
    table.save_to_disk(tmp_path / "saved")
    prefix = run([tmp_path / "a.parquet", tmp_path / "saved"], tmp_path / "out").prefixes[0]
    assert difference(prefix) == ("statistics", None)


def test_several_keys(tmp_path):
    lines = [json.dumps({"title": f"hello {i}", "body": text}).encode() for i, text in enumerate(TEXTS[:50])]
    corpus = write_lines(tmp_path / "c.jsonl", *lines)
    for prefix in run(corpus, tmp_path / "out", Options(json_keys=("title", "body"))).prefixes:
        assert difference(prefix) == ("statistics", None)
        flip(prefix, 3)
        assert difference(prefix)[0] == "tokens"


def test_an_empty_corpus(tmp_path):
    prefix = made(write_lines(tmp_path / "c.jsonl", b""), tmp_path)
    assert difference(prefix) == ("statistics", None)


def refusal(prefix):
    with pytest.raises(ReproductionError) as caught:
        read_recipe(prefix)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_made_again(corpus, tmp_path, capsys):
    assert "found nothing, expected the sidecar" in refusal(str(tmp_path / "none"))
    (tmp_path / "x.json").write_text("{}")
    assert "found another kind of file" in refusal(str(tmp_path / "x.json"))
    run(corpus, tmp_path / "part", Options(shard_bytes=9000), keep_shards=True)
    parts = sorted(str(path.with_suffix("")) for path in tmp_path.glob("part_*.idx"))
    assert "one of several datasets of --keep-shards" in refusal(parts[0])
    for kind in ("bin", "idx", "json"):
        shutil.copy(f"{parts[0]}.{kind}", f"{tmp_path}/renamed.{kind}")
    assert "one of several datasets of --keep-shards" in refusal(str(tmp_path / "renamed"))
    prefix = made(corpus, tmp_path)
    code, error = again(prefix, "--tokenizer", tmp_path / "nowhere", capsys=capsys)
    assert code == 2
    assert "say where it is with --tokenizer PATH" in error


HOSTILE = [
    (("settings", "options"), [None, 5, [], {"json_keys": 5}, {"json_keys": [5]}, {"new": 1}, {"append_eod": 1}]),
    (("settings", "options", "shuffle_seed"), ["x", True, -1, [1], 1.5]),
    (("settings", "options", "split_sentences"), [None, 1, "yes"]),
    (("settings", "options", "text_documents"), [None, "page"]),
    (("settings", "command"), [None, 5, {"new": 1}, {"roles": 5}, {"roles": {"eod": 5}}, {"shard_bytes": True}]),
    (("settings", "tokenizer"), [None, 5, {}, {"name": 5, "sha256": ""}]),
    (("settings", "key"), [None, 5, "other", []]),
    (("inputs",), [[]]),
]


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in HOSTILE for value in values], ids=str)
def test_hostile_sidecars(corpus, tmp_path, path, value):
    prefix = made(corpus, tmp_path)

    def change(facts):
        for name in path[:-1]:
            facts = facts[name]
        facts[path[-1]] = value

    edit(prefix, change)
    with pytest.raises(MaskgenError) as caught:
        read_recipe(prefix)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["key", "options", "tokenizer", "plan", "identity"])
def test_what_a_sidecar_lacks_is_said(corpus, tmp_path, name):
    prefix = made(corpus, tmp_path)
    edit(prefix, lambda facts: facts["settings"].pop(name))
    assert f"settings: found no {name}, expected those of maskgen tokenize" in refusal(prefix)


def test_first_difference(tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    for left, right, expected in (
        (b"", b"", None),
        (b"abcdef", b"abcdef", None),
        (b"abcdef", b"abcxef", 3),
        (b"abc", b"abcd", 3),
        (b"", b"a", 0),
    ):
        one.write_bytes(left)
        two.write_bytes(right)
        for chunk in (1, 2, 100):
            monkeypatch.setattr("maskgen.reproduction.after.CHUNK", chunk)
            assert first_difference(one, two) == expected

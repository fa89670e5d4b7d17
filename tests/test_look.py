"""``maskgen inspect``: searches against brute force, origins of samples, raw lines, colours, pages."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import write_dataset
from pipeline_runs import documents, run, vocabulary, write_gzip, write_jsonl, write_lines
from sample_files import toy_dataset, toy_tokenizer

from maskgen import cli
from maskgen.input_places import InputPlaces
from maskgen.look import search as search_module
from maskgen.look.raw_lines import SHOWN, beginning
from maskgen.look.sample_parts import sample_parts
from maskgen.look.search import Hit, patterns_of, search
from maskgen.samples.opening import SampleChoice
from preprocess import IndexedDataset, MaskgenError, load_tokenizer
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.options import Options
from preprocess.pipeline.provenance import origins

TEXTS = documents(60)
ESCAPES = re.compile(r"\x1b\[\d+m")


def inspect(*arguments, capsys):
    code = cli.main(["inspect", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out if code == 0 else captured.err


def brute_force(dataset, patterns, chosen=None):
    hits = []
    bounds = dataset.document_indices.tolist()
    for document in range(len(bounds) - 1) if chosen is None else sorted(set(chosen)):
        for sequence in range(bounds[document], bounds[document + 1]):
            ids = dataset[sequence].tolist()
            for token in range(len(ids)):
                fitting = [len(each) for each in patterns if tuple(ids[token : token + len(each)]) == each]
                if fitting:
                    hits.append(Hit(document, sequence, token, max(fitting)))
    return hits


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 10_000])
def test_search_finds_what_brute_force_finds(tmp_path, monkeypatch, chunk, dtype):
    monkeypatch.setattr(search_module, "CHUNK", chunk)
    rng = np.random.RandomState(chunk)
    texts = [[rng.randint(0, 3, rng.randint(0, 6)).tolist() for _ in range(rng.randint(0, 4))] for _ in range(40)]
    dataset = IndexedDataset(write_dataset(tmp_path / "a", texts, dtype))
    for patterns in ([(1,)], [(1, 2)], [(0, 0)], [(2, 1, 0)], [(1,), (1, 2), (2, 2, 2)], [(70_000,)], [(-1,)]):
        for chosen in (None, [3], [39, 0, 5, 5, 6]):
            expected = brute_force(dataset, patterns, chosen)
            found = search(dataset, patterns, 1000, chosen)
            assert found.first == expected
            assert (found.places, found.documents) == (len(expected), len({hit.document for hit in expected}))
            few = search(dataset, patterns, 2, chosen)
            assert (few.first, few.places) == (expected[:2], len(expected))


def test_search_in_an_empty_dataset(tmp_path, capsys):
    prefix = write_dataset(tmp_path / "a", [])
    assert inspect(prefix, "--search", "5", capsys=capsys) == (0, "'5' is ids 5\n0 places in 0 of 0 documents\n")


def test_patterns(tmp_path):
    tokenizer = load_tokenizer(vocabulary(tmp_path), engine="reference")
    ids = tokenizer.vocabulary
    assert patterns_of("##s", tokenizer) == [(ids["##s"],), (ids["#"], ids["#"], ids["s"])]
    assert patterns_of("##ово", tokenizer)[0] == (ids["##ово"],)
    assert patterns_of("[MASK]", tokenizer) == [(ids["[MASK]"],)]
    assert patterns_of("Hello worlds", tokenizer) == [(ids["hello"], ids["world"], ids["##s"])]
    assert patterns_of(" 5, 7 ", None) == [(5, 7)]
    for text, known in (("hello", None), ("", None), ("", tokenizer), (" ", tokenizer)):
        with pytest.raises(MaskgenError, match="--search: found"):
            patterns_of(text, known)


def test_patterns_of_a_byte_level_tokenizer(tmp_path):
    """A word in a text has another piece than one at its beginning: both are found."""
    from tokenizer_files import write_bpe

    write_bpe(tmp_path)
    tokenizer = load_tokenizer(tmp_path, engine="reference")
    ids = tokenizer.vocabulary
    assert set(patterns_of("he", tokenizer)) == {(ids["he"],), (ids["Ġ"], ids["he"])}


@pytest.fixture
def corpus(tmp_path):
    return write_jsonl(tmp_path / "corpus.jsonl", TEXTS)


@pytest.fixture
def prefix(corpus, tmp_path):
    return run(corpus, tmp_path / "out", Options(provenance=True, shuffle_seed=3)).prefixes[0]


def test_search_as_a_command(prefix, corpus, tmp_path, capsys):
    tokenizer = load_tokenizer(vocabulary(tmp_path), engine="reference")
    flags = ["--tokenizer", vocabulary(tmp_path), "--search", "unaffable tokenization", "--num", 2]
    code, out = inspect(prefix, *flags, capsys=capsys)
    assert code == 0
    expected = brute_force(IndexedDataset(prefix), patterns_of("unaffable tokenization", tokenizer))
    lines = out.splitlines()
    holding = len({hit.document for hit in expected})
    assert lines[1] == f"{len(expected)} places in {holding} of 60 documents"
    assert out.count("«un##aff##able token##ization»".replace("##", "")) == 2
    first = expected[0]
    line = origins(prefix, [first.document])[0].line
    place = f"document {first.document}, sequence {first.sequence}, token {first.token} ({corpus}, line {line})"
    assert lines[3] == place
    _, out = inspect(prefix, first.document, *flags, capsys=capsys)
    assert " of 1 documents\n" in out
    assert inspect(prefix, first.document, first.document, first.document - 60, *flags, capsys=capsys)[1] == out
    assert inspect(prefix, 60, *flags, capsys=capsys)[0] == 2
    _, out = inspect(prefix, *flags, "--pieces", capsys=capsys)
    assert "«un ##aff ##able token ##ization»" in out
    _, out = inspect(prefix, "--search", "1", "--num", 0, capsys=capsys)
    assert out.count("\n") == 2


def test_another_tokenizer_is_said_to_be_one(prefix, tmp_path, capsys):
    assert cli.main(["inspect", prefix, "0", "--tokenizer", vocabulary(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main(["inspect", prefix, "0", "--tokenizer", toy_tokenizer(tmp_path / "tokenizer.json")]) == 0
    error = capsys.readouterr().err
    assert (error.count("\n"), "tokenizer.json is another one, or read otherwise" in error) == (1, True)


def test_documents_say_where_they_came_from_and_how_the_line_begins(prefix, corpus, tmp_path, capsys):
    lines = Path(corpus).read_text().splitlines()
    for document, origin in enumerate(origins(prefix, range(60))):
        code, out = inspect(prefix, document, capsys=capsys)
        assert code == 0
        raw = lines[origin.line - 1]
        expected = raw if len(raw) <= SHOWN else raw[:SHOWN] + "…"
        expected = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in expected)
        assert out.splitlines()[-2:] == [f"  from {corpus}, line {origin.line}", f"    {expected}"]
    os.rename(corpus, tmp_path / "moved.jsonl")
    assert f"({corpus} is not there; --root DIR or --input OLD=NEW say" in inspect(prefix, 0, capsys=capsys)[1]
    flags = ["--input", f"{corpus}={tmp_path}/moved.jsonl"]
    assert '    {"' in inspect(prefix, 0, *flags, capsys=capsys)[1]
    (tmp_path / "moved.jsonl").write_text("{}\n")
    assert "is another file now, of 3 bytes and not" in inspect(prefix, 0, *flags, capsys=capsys)[1]


def raw_lines(tmp_path, name, **options):
    """What is shown of each document's line."""
    prefix = run(tmp_path / name, tmp_path / f"of-{name}", Options(provenance=True, **options)).prefixes[0]
    sidecar = read_sidecar(prefix)
    return [beginning(sidecar, each, InputPlaces()) for each in origins(prefix, range(sidecar.documents))]


def test_lines_of_other_kinds_of_files(tmp_path):
    line = json.dumps({"text": "hello"}).encode()
    write_gzip(tmp_path / "a.jsonl.gz", line + b"\n\n" + line)
    assert raw_lines(tmp_path, "a.jsonl.gz") == [line.decode()] * 2
    write_lines(tmp_path / "b.txt", b"one\ttwo\r", b"three", b"", b"four")
    assert raw_lines(tmp_path, "b.txt", text_documents="block") == ["one\\ttwo", "four"]
    long = b"x" * (3 << 20)
    write_lines(tmp_path / "c.txt", b"a", long, b"\x1b[1mb")
    assert raw_lines(tmp_path, "c.txt") == ["a", "x" * SHOWN + "…", "\\x1b[1mb"]


def test_rows_of_tables_have_no_lines(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"text": ["hello"]}), tmp_path / "a.parquet")
    assert raw_lines(tmp_path, "a.parquet") == ["(a row, not a line)"]


def test_a_file_with_fewer_lines_than_it_had(tmp_path):
    prefix = run(write_lines(tmp_path / "a.txt", b"a", b"b", b"c"), tmp_path / "o", Options(provenance=True)).prefixes[
        0
    ]
    (tmp_path / "a.txt").write_bytes(b"abcde\n")
    assert "is another file now: it has no line 2" in beginning(
        read_sidecar(prefix), origins(prefix, [1])[0], InputPlaces()
    )
    (tmp_path / "a.txt").unlink()
    write_gzip(tmp_path / "a.txt", b"")
    assert "is another file now" in beginning(read_sidecar(prefix), origins(prefix, [1])[0], InputPlaces())


KINDS = [
    {"scheme": "bert"},
    {"scheme": "bert", "options": {"binary_head": False}},
    {"scheme": "t5"},
    {"scheme": "roberta"},
    {"scheme": "roberta", "rows": "best-fit", "add_special": True},
    {"scheme": "roberta", "rows": "documents"},
    {"scheme": "roberta", "rows": "pairs"},
    {"scheme": "span-corruption", "rows": "sequential"},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_sample_is_made_of_the_parts_that_are_named(tmp_path, kind):
    dataset, _ = toy_dataset(tmp_path / "toy")
    choice = SampleChoice(str(tmp_path / "toy"), toy_tokenizer(tmp_path / "t.json"), 24, 7, **kind)
    samples = choice.open()
    bounds = dataset.document_indices.tolist()
    for index in range(len(samples)):
        parts = sample_parts(samples, index)
        sample = samples[index]
        if "text_dec" in sample:
            seen = set(sample["text_enc"].tolist()) | set(sample["text_dec"].tolist())
        else:
            seen = set(np.where(sample["loss_mask"] == 1, sample["labels"], sample["text"]).tolist())
        made_of = []
        for part in parts:
            assert bounds[part.document] <= part.sequences[0] < part.sequences[-1] + 1 <= bounds[part.document + 1]
            tokens = dataset.tokens[part.start : part.start + part.tokens].tolist()
            whole = np.concatenate(dataset[part.sequences[0] : part.sequences[-1] + 1]).tolist()
            assert "".join(f" {id_}" for id_ in tokens) in "".join(f" {id_}" for id_ in whole)
            made_of += tokens
        assert {id_ for id_ in seen if id_ >= 20} <= set(made_of)
        if "rows" in kind and kind["rows"] in ("best-fit", "documents", "sequential"):
            assert {id_ for id_ in seen if id_ >= 20} == set(made_of)


def test_samples_as_a_command(corpus, tmp_path, capsys):
    prefix = run(corpus, tmp_path / "out", Options(provenance=True, split_sentences=True)).prefixes[0]
    flags = ["--tokenizer", vocabulary(tmp_path), "--max-seq-length", 48, "--seed", 7]
    code, out = inspect(prefix, *flags, "--sample", 0, -1, capsys=capsys)
    assert code == 0
    assert out.count("\nsample ") == 2
    for document, line in re.findall(r"made of document (\d+), sequence.*\n    from \S+, line (\d+)\n      \{", out):
        assert int(line) == int(document) + 1
    cli.main(["sample", prefix, *map(str, flags), "--index", "0"])
    assert out.startswith(capsys.readouterr().out)
    for wrong, message in (
        (["--sample", 10**6], "found sample 1000000, expected 0 to "),
        (["--sample", 0, "--search", "a"], "found --search or documents beside it"),
    ):
        code, error = inspect(prefix, *flags, *wrong, capsys=capsys)
        assert (code, message in error, error.count("\n")) == (2, True, 1)
    code, error = inspect(prefix, "--sample", 0, "--seed", 1, capsys=capsys)
    assert (code, "found no --tokenizer, --max-seq-length, expected" in error) == (2, True)


def on_terminal(*arguments, **environment):
    """Exit code and output of the command on a terminal."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "PAGER", "LESS")}
    environment = {**inherited, "TERM": "xterm", **environment}
    terminal, inner = pty.openpty()
    command = [sys.executable, "-m", "maskgen.cli", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
    )
    os.close(inner)
    output = b""
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            break
        if not data:
            break
        output += data
    os.close(terminal)
    return process.wait(60), output.decode().replace("\r\n", "\n")


@pytest.fixture
def pager(tmp_path):
    """A program that keeps what it is given."""
    path = tmp_path / "pager"
    path.write_text(f"#!/bin/sh\necho paged\ncat > {tmp_path}/seen\n")
    path.chmod(0o700)
    return str(path)


def test_colours_and_pages_on_a_terminal(prefix, tmp_path, pager, capsys):
    arguments = ["inspect", prefix, "1", "2", "--tokenizer", vocabulary(tmp_path)]
    assert on_terminal(*arguments, PAGER=f"{pager} -x") == (0, "paged\n")
    seen = (tmp_path / "seen").read_text()
    assert "\x1b[1mdocument 1\x1b[0m: 1 sequences" in seen
    assert "\x1b[36m" in seen
    cli.main(arguments)
    plain = capsys.readouterr().out
    without = ESCAPES.sub("", seen)
    assert [line.split(":")[0] for line in without.splitlines()] == [line.split(":")[0] for line in plain.splitlines()]
    for environment in ({"PAGER": ""}, {"PAGER": "cat"}, {"PAGER": "/no/such/pager"}, {"PAGER": '"'}):
        assert on_terminal(*arguments, **environment) == (0, seen)
    assert on_terminal(*arguments, "--no-pager", PAGER=pager) == (0, seen)
    assert on_terminal(*arguments, PAGER=pager, NO_COLOR="1") == (0, "paged\n")
    assert (tmp_path / "seen").read_text() == plain
    assert on_terminal(*arguments, PAGER=pager, TERM="dumb") == (0, plain)


def test_errors_on_a_terminal_do_not_start_a_pager(prefix, pager):
    code, out = on_terminal("inspect", prefix, "99", PAGER=pager)
    assert code == 2
    assert out.startswith("maskgen inspect: error: ")


def test_a_pager_that_is_left_early(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[i]] for i in range(5000)])
    numbers = map(str, range(5000))
    code, out = on_terminal("inspect", prefix, *numbers, PAGER="head -n 1", NO_COLOR="1")
    assert (code, out) == (0, "document 0: 1 sequences, 1 tokens\n")


def test_ids_that_the_tokenizer_does_not_have(tmp_path, capsys):
    prefix = write_dataset(tmp_path / "a", [[[5, 60_000, 6]]])
    tokenizer = vocabulary(tmp_path)
    code, out = inspect(prefix, 0, "--tokenizer", tokenizer, "--pieces", capsys=capsys)
    assert code == 0
    assert "<60000>" in out
    code, out = on_terminal("inspect", prefix, "0", "--tokenizer", tokenizer, PAGER="")
    assert (code, "\x1b[31m<60000>\x1b[0m" in out) == (0, True)

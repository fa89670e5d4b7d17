"""The command: help, exit codes, one-line errors."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import GOLDEN, contents, read_all, write_dataset

from maskgen import cli
from preprocess import load_tokenizer
from preprocess.tokenization.training import TrainingSettings, save_tokenizer, train_tokenizer

HELP = """
import sys
from maskgen.cli import main
try:
    code = main({arguments})
except SystemExit as end:
    code = end.code
assert code == 0
heavy = {{"numpy", "torch", "tokenizers", "tqdm", "transformers", "preprocess._native"}} & set(sys.modules)
sys.exit(f"help loads {{heavy}}" if heavy else 0)
"""


def maskgen(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "maskgen.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_top_level_help(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    for name, summary in cli.COMMANDS.items():
        assert f"{name} " in out
        assert summary in out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_an_example_and_loads_nothing_for_it(name):
    code = HELP.format(arguments=[name, "--help"])
    environment = {**os.environ, "COLUMNS": "80"}
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert finished.returncode == 0, finished.stderr
    assert f"examples:\n  maskgen {name}" in finished.stdout
    assert max(map(len, finished.stdout.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_list_of_commands_loads_nothing_either(arguments):
    code = HELP.format(arguments=arguments)
    environment = {**os.environ, "COLUMNS": "80"}
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert finished.returncode == 0, finished.stderr
    assert max(map(len, finished.stdout.splitlines())) <= 80


def test_help_fits_into_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    fitting = cli._fitting("short\nlines stay\n\n" + "long lines are filled " * 9)
    assert fitting.startswith("short\nlines stay\n\nlong lines")
    assert max(map(len, fitting.splitlines())) <= 58


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["verify"], ["merge", "a"], ["inspect", "a", "x"]])
def test_wrong_calls_exit_with_2(arguments):
    finished = maskgen(*arguments)
    assert finished.returncode == 2
    assert "error:" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_version():
    finished = maskgen("--version")
    assert finished.returncode == 0
    assert finished.stdout.startswith("maskgen ")
    assert finished.stdout.count("_native: ") == 2


def test_expected_errors_are_one_line(tmp_path):
    finished = maskgen("inspect", tmp_path / "nothing")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith(
        f"maskgen inspect: error: {tmp_path / 'nothing'}.idx: open it: found No such file"
    )


def test_bugs_show_their_traceback(monkeypatch):
    from maskgen.commands import verify

    def broken(arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(verify, "run", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["verify", "x"])


def test_verify_exit_codes_and_lines(tmp_path, capsys):
    good = write_dataset(tmp_path / "good", [[[1, 2]]])
    bad = write_dataset(tmp_path / "bad", [[[1, 2]]])
    with open(f"{bad}.bin", "ab") as file:
        file.write(b"x")
    assert cli.main(["verify", good]) == 0
    assert capsys.readouterr().out.startswith(f"ok  {good}: 1 documents")
    assert cli.main(["verify", good, bad, "--full"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"BAD {bad}.bin: size: found 5 bytes, expected 4")
    assert cli.main(["verify", "--quiet", good]) == 0
    assert capsys.readouterr().out == ""


def test_verify_as_json(tmp_path, capsys):
    good = write_dataset(tmp_path / "good", [[[1, 2]]])
    assert cli.main(["verify", "--json", "--vocab-size", "2", good]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["ok"] is False
    assert facts["prefix"] == good
    assert facts["findings"][0]["place"] == "sequence 0, token 1"
    assert facts["digest"] == json.loads((tmp_path / "good.json").read_text())["digest"]


def test_merge(tmp_path, capsys):
    first, second = write_dataset(tmp_path / "a", [[[1]]]), write_dataset(tmp_path / "b", [[[2]]])
    (tmp_path / "list").write_text(f"{second}\n\n")
    out = str(tmp_path / "out")
    assert cli.main(["merge", first, "--from-file", str(tmp_path / "list"), "--output-prefix", out]) == 0
    assert "2 sequences in 2 documents" in capsys.readouterr().out
    assert read_all(out) == [[1], [2]]
    before = contents(out)
    assert cli.main(["merge", first, "--output-prefix", out]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert contents(out) == before
    assert cli.main(["merge", first, "--output-prefix", out, "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert read_all(out) == [[1]]


@pytest.fixture
def tokenizer(tmp_path):
    texts = ["the keeper climbed the tower", "the tower stands"]
    save_tokenizer(train_tokenizer(lambda: texts, TrainingSettings(vocab_size=200)), tmp_path)
    return load_tokenizer(tmp_path)


def test_inspect(tmp_path, tokenizer, capsys):
    prefix = str(tmp_path / "a")
    flat, lengths = tokenizer.encode_batch(["the keeper", "the tower stands"], add_special_tokens=True)
    ids = [part.tolist() for part in np.split(flat, lengths.cumsum()[:-1])]
    write_dataset(prefix, [[ids[0], ids[1]], [], [ids[1]]])
    assert cli.main(["inspect", prefix]) == 0
    out = capsys.readouterr().out
    for line in ("documents  3", "sequences  3", "documents without a token: 1", "tokens a document: min 0"):
        assert line in out
    assert cli.main(["inspect", prefix, "0", "-1", "--tokenizer", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("document 0: 2 sequences")
    assert "[CLS] the keeper [SEP]" in out
    assert "document 2: 1 sequences" in out
    assert cli.main(["inspect", prefix, "1"]) == 0
    assert capsys.readouterr().out == "document 1: 0 sequences, 0 tokens\n"
    assert cli.main(["inspect", prefix, "3"]) == 2
    assert "found 3, expected 0 to 2" in capsys.readouterr().err


def test_options_may_stand_anywhere(tmp_path, tokenizer, capsys):
    prefix = write_dataset(tmp_path / "a", [[[1]], [[2]]])
    other = write_dataset(tmp_path / "b", [[[3]]], "int32")
    assert cli.main(["inspect", prefix, "--tokenizer", str(tmp_path), "0", "-1"]) == 0
    assert cli.main(["verify", prefix, "--full", other]) == 0
    assert cli.main(["merge", prefix, "--widen", other, "--output-prefix", str(tmp_path / "out.idx")]) == 0
    assert read_all(tmp_path / "out") == [[1], [2], [3]]


def test_terminals_that_cannot_show_everything(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1]]])
    finished = maskgen("inspect", prefix, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert finished.returncode == 0
    assert "min 1 \\xb7 1% 1" in finished.stdout


@pytest.mark.parametrize("arguments", [["--vocab-size", "-5"], ["--vocab-size", "5", "--tokenizer", "x"]])
def test_vocabularies_that_make_no_sense(tmp_path, arguments):
    assert maskgen("verify", tmp_path / "a", *arguments).returncode == 2


def test_inspect_an_empty_dataset(tmp_path, capsys):
    prefix = write_dataset(tmp_path / "a", [])
    assert cli.main(["inspect", prefix]) == 0
    assert "documents  0" in capsys.readouterr().out
    assert cli.main(["inspect", prefix, "0"]) == 2


def test_a_tokenizer_that_is_none(tmp_path, capsys):
    (tmp_path / "tokenizer.json").write_text("{}")
    for path in (tmp_path, tmp_path / "tokenizer.json", tmp_path / "missing"):
        assert cli.main(["verify", str(GOLDEN / "indexed_plain"), "--tokenizer", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_closed_pipe_is_not_an_error(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[i]] for i in range(3000)])
    command = f"{sys.executable} -m maskgen.cli inspect {prefix} {' '.join(map(str, range(3000)))} | head -1"
    finished = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert finished.stdout == "document 0: 1 sequences, 1 tokens\n"
    assert finished.stderr == ""


def open_when_read(fifo, seconds=60):
    """The writing end of a named pipe, as soon as another process reads from it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < deadline, "nobody reads"
            time.sleep(0.01)


def test_an_interrupt_exits_with_130_and_leaves_nothing(tmp_path):
    prefixes = [write_dataset(tmp_path / f"in{i}", [[[i]]]) for i in range(5)]
    os.mkfifo(tmp_path / "wait")  # reading the list of inputs waits here
    arguments = ["merge", *prefixes, "--from-file", str(tmp_path / "wait"), "--output-prefix", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-m", "maskgen.cli", *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        kept_open = open_when_read(tmp_path / "wait")
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
    os.close(kept_open)
    assert process.returncode == 130
    assert message == "maskgen merge: interrupted; run the same command again\n"
    assert not [name for name in os.listdir(tmp_path) if name.startswith("out")]

"""Completion in shells: bash really completes; every script names every flag."""

import re
import shlex
import shutil
import subprocess

import pytest

from maskgen import cli
from maskgen.completion import commands, script

BASH = shutil.which("bash")


def bash(code, cwd):
    return subprocess.run(
        [BASH, "--norc", "-c", code], capture_output=True, text=True, timeout=30, cwd=cwd, check=False
    )


@pytest.fixture
def completed(tmp_path):
    """What Tab offers after some words, the last of which is being typed."""
    if BASH is None or bash("((BASH_VERSINFO[0] >= 4))", tmp_path).returncode:
        pytest.skip("no bash 4")
    (tmp_path / "maskgen.bash").write_text(script("bash"))
    (tmp_path / "corpus.jsonl").write_text("")
    (tmp_path / "my corpus.jsonl").write_text("")

    def run(*words):
        words = ["maskgen", *words]
        code = f"""source ./maskgen.bash
COMP_WORDS=({shlex.join(words)})
COMP_CWORD={len(words) - 1}
[[ $(complete -p maskgen) == *_maskgen* ]] || exit 1
_maskgen maskgen
printf '%s\\n' "${{COMPREPLY[@]}}" """
        done = bash(code, tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return [line for line in done.stdout.splitlines() if line]

    return run


def test_bash_completes_commands(completed):
    assert completed("") == [*cli.COMMANDS, "--help", "--version"]
    assert completed("tok") == ["tokenize"]
    assert completed("nonsense") == []


def test_bash_completes_flags(completed):
    assert completed("tokenize", "--tok") == ["--tokenizer"]
    assert completed("verify", "corpus", "--fu") == ["--full"]
    assert "--no-lowercase" in completed("tokenize", "-")
    for command in commands():
        expected = {name for flag in command.flags for name in flag.names}
        assert set(completed(command.name, "-")) == expected, command.name


def test_bash_completes_choices(completed):
    assert completed("tokenize", "--on-error", "") == ["error", "skip", "quarantine"]
    assert completed("tokenize", "in", "--format", "j") == ["jsonl"]
    assert completed("completion", "") == ["bash", "zsh", "fish"]
    assert completed("report", "--scheme", "span") == ["spanbert", "span-corruption"]
    assert completed("tokenize", "--format", "=") == ["auto", "jsonl", "text", "parquet", "datasets"]
    assert completed("tokenize", "--format", "=", "j") == ["jsonl"]


def test_bash_completes_files(completed):
    assert completed("tokenize", "co") == ["corpus.jsonl"]
    assert sorted(completed("tokenize", "--tokenizer", "m")) == ["maskgen.bash", "my corpus.jsonl"]
    assert completed("tokenize", "$(touch run)") == []
    assert completed("tokenize", "run") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_a_script_that_knows_everything(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert text == script(shell)
    for command in commands():
        assert re.search(rf"\b{command.name}\b", text)
        for flag in command.flags:
            for name in flag.names:
                assert (name.lstrip("-") if shell == "fish" else name) in text
            assert " ".join(flag.choices) in text
    assert "%(" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_itself_reads_it(shell, tmp_path):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell}")
    path = tmp_path / "script"
    path.write_text(script(shell))
    done = subprocess.run([program, "-n", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_every_quote_is_closed(shell):
    """Where the shell is not there to say so: help with quotes, brackets and dollars stays one word."""
    if shell == "zsh":
        for spec in re.findall(r"^            (.*?)(?: \\| ;;)$", script("zsh"), re.MULTILINE):
            assert len(shlex.split(spec)) == 1, spec
    else:
        for line in script("fish").splitlines():
            assert line.startswith(("complete -c maskgen -n ", "#")) or not line
            assert len(re.findall(r"(?<!\\)'", line)) % 2 == 0, line

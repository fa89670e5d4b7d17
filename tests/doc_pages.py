"""Runs what README.md, CONTRIBUTING.md and the pages of docs/ show: Python, commands, commands with what they print.

A block is run, or shows what is neither code nor command (``text``, ``json``), or has, below it and for every reader to
see, ``*Not run in tests: reason.*``
"""

import contextlib
import doctest
import glob
import re
import shlex
from pathlib import Path

from maskgen import cli

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
)
BLOCK = re.compile(
    r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$(?:\n\n(?P<remark>\*Not run in tests: .*?\.\*)$)?", re.DOTALL | re.MULTILINE
)
COMMANDS = {"bash", "sh"}
RUN = {"python", "pycon", "console"} | COMMANDS
SHOWN = {"text", "json"}  # neither commands nor code


def blocks(page):
    """The blocks of a page, in order."""
    return list(BLOCK.finditer((ROOT / page).read_text()))


def to_run(page):
    """Those of them that are run."""
    return [block for block in blocks(page) if block["kind"] in RUN and not block["remark"]]


def run_page(page, capsys, until=None):
    """Run all blocks of a page in the current folder, up to the heading `until`.

    Returns the names that its Python has defined, and what each command has printed.
    """
    text = (ROOT / page).read_text()
    end = len(text) if until is None else text.index(f"\n## {until}\n")
    chosen = [block for block in to_run(page) if block.start() < end]
    names, printed = {}, {}
    needs_torch = any(re.search(r"torch|transformers|maskgen (train|predict) ", block["text"]) for block in chosen)
    with quiet_torch() if needs_torch else contextlib.nullcontext():
        for block in chosen:
            place = f"{page}, line {text.count(chr(10), 0, block.start()) + 1}"
            run_block(place, block, names, printed, capsys)
    return names, printed


def run_block(place, block, names, printed, capsys):
    """Run one block: its Python with, and into, `names`; its commands, whose output goes into `printed`."""
    if block["kind"] == "python":
        exec(compile(block["text"], place, "exec"), names)
    elif block["kind"] == "pycon":
        tried(block["text"], place, names)
    elif block["kind"] in COMMANDS:
        for command in joined(block["text"]).splitlines():
            printed[command] = run(command, capsys)
    else:
        for shown in re.split(r"^\$ ", joined(block["text"]), flags=re.MULTILINE)[1:]:
            command, _, expected = shown.partition("\n")
            printed[command] = run(command, capsys)
            assert words(printed[command]) == words(expected), f"{place}: {command}"


def tried(text, place, names):
    """Run a session of Python, whose results must be those that it shows, with, and into, `names`."""
    report = []
    test = doctest.DocTestParser().get_doctest(text, names, place, place, 0)
    assert test.examples, place
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    found = runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert found.failed == 0, "".join(report)


def words(output):
    """What is compared of an output: all but spaces, line breaks, and versions of libraries."""
    return [word for line in output.splitlines() if line[:8] != "versions" for word in line.split()]


def joined(commands):
    """Commands with their continued lines in one."""
    return re.sub(r"\\\n\s*", "", commands).replace("\n\n", "\n")


def run(command, capsys):
    """What a command prints; it has to succeed."""
    program, *arguments = arguments_of(command)
    assert program == "maskgen", command
    if arguments == ["demo"]:
        arguments += ["--steps", "0"]  # pages go on with its datasets; its training has tests of its own
    capsys.readouterr()
    assert cli.main(arguments) == 0, command
    return capsys.readouterr().out


def arguments_of(command):
    """The words of a command as a shell hands them over: a pattern outside of quotes is the files that match."""
    found = []
    for plain, whole in zip(
        shlex.split(command, comments=True), shlex.split(command, comments=True, posix=False), strict=True
    ):
        found += sorted(glob.glob(plain)) or [plain] if "*" in whole and whole == plain else [plain]
    return found


@contextlib.contextmanager
def quiet_torch():
    """PyTorch from a seed of its own, on one thread: threads that wait for each other make tiny models far slower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        try:
            yield
        finally:
            torch.set_num_threads(before)

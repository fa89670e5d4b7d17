"""Runs what a page of docs/ shows: its Python, its commands, and its commands with what they print."""

import re
import shlex
from pathlib import Path

from maskgen import cli

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^(?P<remark><!--.*?-->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_RUN = "<!-- not run in tests: "
SHOWN = {"text", "json"}  # neither commands nor code


def run_page(name, capsys, until=None):
    """Run all blocks of docs/`name` in the current folder, up to the heading `until`.

    Returns the names that its Python has defined, and what each command has printed.
    """
    text = (ROOT / "docs" / name).read_text()
    names, printed = {}, {}
    for block in BLOCK.finditer(text, 0, len(text) if until is None else text.index(f"\n## {until}\n")):
        if (block["remark"] or "").startswith(NOT_RUN) or block["kind"] in SHOWN:
            continue
        if block["kind"] == "python":
            exec(compile(block["text"], name, "exec"), names)
        elif block["kind"] == "bash":
            for command in joined(block["text"]).splitlines():
                printed[command] = run(command, capsys)
        elif block["kind"] == "console":
            for shown in re.split(r"^\$ ", joined(block["text"]), flags=re.MULTILINE)[1:]:
                command, _, expected = shown.partition("\n")
                printed[command] = run(command, capsys)
                assert printed[command].split() == expected.split(), command
        else:
            raise AssertionError(f"{name}: a block of kind {block['kind']!r} has no remark {NOT_RUN}... -->")
    return names, printed


def joined(commands):
    """Commands with their continued lines in one."""
    return re.sub(r"\\\n\s*", "", commands)


def run(command, capsys):
    """What a command prints; it has to succeed."""
    program, *arguments = shlex.split(command, comments=True)
    assert program == "maskgen", command
    if arguments == ["demo"]:
        arguments += ["--steps", "0"]  # pages go on with its datasets; its training has tests of its own
    capsys.readouterr()
    assert cli.main(arguments) == 0, command
    return capsys.readouterr().out

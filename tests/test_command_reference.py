"""docs/commands.md is what the commands' help prints."""

import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from maskgen import cli

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/commands.md").read_text()
TOOL = runpy.run_path(str(ROOT / "tools/write_commands.py"))


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_each_section_is_the_help_of_its_command(command):
    """After a change of a help text: python tools/write_commands.py. (From 3.13 on usage lines break elsewhere.)"""
    name = f"maskgen {command}".strip()
    shown = re.findall(rf"^## {name}\n\n```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    printed = [TOOL["help_of"](command)]
    if sys.version_info >= (3, 13):
        shown, printed = ([text.split() for text in texts] for texts in (shown, printed))
    assert shown == printed


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_examples_are_calls_that_the_command_takes(command, capsys):
    parser, module = cli.command_parser(command)
    calls = re.findall(rf"^  maskgen {command}(?: (.*))?$", re.sub(r"\\\n\s*", "", module.EXAMPLES), re.MULTILINE)
    assert calls
    for call in calls:
        parser.parse_intermixed_args(shlex.split(re.split(r"  +\(| [<>] ", call)[0]))  # without remarks and redirection


def test_the_page_has_these_sections_and_no_other():
    printed = TOOL["page"]()
    assert re.findall(r"^## .*|^\| .*", PAGE, re.MULTILINE) == re.findall(r"^## .*|^\| .*", printed, re.MULTILINE)
    assert PAGE.startswith(TOOL["INTRODUCTION"])


def test_help_is_that_of_80_columns_wherever_it_is_written(monkeypatch):
    expected = TOOL["help_of"]("predict")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert TOOL["help_of"]("predict") == expected
    assert max(map(len, expected.splitlines())) <= 80
    assert (os.environ["COLUMNS"], os.environ["FORCE_COLOR"]) == ("200", "1")

#!/usr/bin/env python3
"""Write the command reference, docs/commands.md, from the help of every command.

    python tools/write_commands.py

Help of ``maskgen`` and of each of its commands --at 80 columns--> one page. A test holds the page equal to the help.
"""

import contextlib
import io
import os
from pathlib import Path

from maskgen import cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
INTRODUCTION = """\
# Commands

What `maskgen --help` and `maskgen COMMAND --help` print at 80 columns. This page is written by
`python tools/write_commands.py`; a test holds it equal to the help.

*Not run in tests: the examples, which name files of yours. A test holds that each is a call that its command takes.*
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page: an index, and a section a command."""
    index = [f"| [`{name}`](#maskgen-{name}) | {summary} |" for name, summary in cli.COMMANDS.items()]
    parts = [INTRODUCTION, "\n".join(["| command | |", "|---|---|", *index, ""]), section("")]
    return "\n".join(parts + [section(name) for name in cli.COMMANDS])


def section(command: str) -> str:
    """One command's heading and help."""
    name = f"maskgen {command}".strip()
    return f"## {name}\n\n```text\n{help_of(command)}```\n"


def help_of(command: str) -> str:
    """The help of a command ("" for that of all) as 80 columns show it, without colours."""
    before = dict(os.environ)
    os.environ.update(COLUMNS="80", NO_COLOR="1")
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
            cli.main([command, "--help"] if command else ["--help"])
    finally:
        os.environ.clear()
        os.environ.update(before)
    return printed.getvalue()


if __name__ == "__main__":
    main()

"""Output by the page: through ``$PAGER`` or ``less -R`` where a person looks at a terminal, else as it is."""

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from types import TracebackType

LESS = "FRX"  # leave at once what fits on a screen, keep colours, and keep the text on the screen


class Pager:
    """Where to write; the pager starts with the first text, so that an error before it stands alone."""

    def __init__(self, wanted: bool) -> None:
        self._command = _command() if wanted and is_watched() else []
        self._process: subprocess.Popen[str] | None = None

    def write(self, text: str) -> None:
        """Show this, too."""
        if self._command:
            self._start()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(text)
        else:
            sys.stdout.write(text)

    def _start(self) -> None:
        command, self._command = self._command, []
        environment = {"LESS": LESS, **os.environ}
        with suppress(OSError):  # a pager that does not exist: then without
            self._process = subprocess.Popen(  # noqa: S603 - the user's own choice
                command, stdin=subprocess.PIPE, text=True, encoding="utf-8", errors="backslashreplace", env=environment
            )

    def __enter__(self) -> "Pager":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        while True:
            try:
                self._process.wait()
                break
            except KeyboardInterrupt:  # it was for the pager, which goes on
                continue
        return isinstance(error, BrokenPipeError)  # the reader has left early, which is what pagers are for


def is_watched() -> bool:
    """Whether the output goes to a terminal that can do more than print."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def wants_colours() -> bool:
    """Whether colours are seen, and nobody has said no to them."""
    return is_watched() and not os.environ.get("NO_COLOR")


def _command() -> list[str]:
    chosen = os.environ.get("PAGER")
    if chosen is None:
        return ["less", "-R"] if shutil.which("less") else []
    try:
        command = shlex.split(chosen)
    except ValueError:  # an open quotation mark
        return []
    return [] if command == ["cat"] else command

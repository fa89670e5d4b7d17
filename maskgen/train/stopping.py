"""When to stop early: signals and wall-clock budgets are looked at between steps, so that a checkpoint can be saved."""

import re
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from maskgen.train.errors import TrainError

NUMBER = r"\d+(?:\.\d+)?"
UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class Stopping:
    """``with Stopping(budget="2h") as stopping: ... if world.any(stopping.asked): save and leave``.

    SIGTERM and the first SIGINT set `reason`; a second SIGINT raises KeyboardInterrupt at once. Leaving the block gives
    the signals back to whoever had them. The budget counts from the construction, so make this before the model is
    built. On another thread than the main one, which alone gets signals, the budget is all there is.
    """

    def __init__(self, budget: str | float | None = None) -> None:
        self.budget = None if budget is None else seconds(budget)
        self._written = budget
        self._started = time.monotonic()
        self._signal: str | None = None
        self._interrupted = False
        self._before: dict[signal.Signals, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether this rank should stop now."""
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        """What for: "SIGTERM", "SIGINT", "the time budget of 2h"; None while it should go on."""
        if self._signal is None and self.budget is not None and time.monotonic() - self._started >= self.budget:
            unit = "" if isinstance(self._written, str) and self._written[-1:] in UNITS else " seconds"
            return f"the time budget of {self._written}{unit}"
        return self._signal

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            with suppress(TypeError):  # of a handler that was not set from Python
                signal.signal(number, handler)
        self._before.clear()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
        self._signal = signal.Signals(number).name


def seconds(text: str | float) -> float:
    """A wall-clock budget in seconds: "90s", "30m", "2h", "1h30m", "1.5h", or a number of seconds.

    >>> seconds("1h30m"), seconds("90")
    (5400.0, 90.0)
    """
    written = f"{text}s" if re.fullmatch(NUMBER, str(text).strip()) else str(text).strip()
    parts = re.fullmatch("".join(f"(?:({NUMBER}){unit})?" for unit in UNITS), written)
    found = parts and sum(float(part) * unit for part, unit in zip(parts.groups(), UNITS.values(), strict=True) if part)
    if not found:
        raise TrainError(f"time budget {text!r}; expected more than 0 seconds, such as 90s, 30m, 2h or 1h30m")
    return float(found)

"""What each bench says beside its prints: rows of figures, of which bench_all.py makes one table and a plot.

figures --Row, Missing--> JSON lines appended to --results FILE --read_results--> table, plot
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One measured thing, beside its yardstick of the same run where there is one."""

    what: str
    ours: float
    unit: str
    yardstick: float | None = None
    against: str = ""  # what the yardstick is; or, without one, a remark such as a limit
    less_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times as good as the yardstick: above 1 ours is faster, or smaller."""
        if not self.yardstick or not self.ours:
            return None
        return self.yardstick / self.ours if self.less_is_better else self.ours / self.yardstick


@dataclass(frozen=True)
class Missing:
    """A peer that could not be measured."""

    peer: str
    reason: str


def bench_parser(description: str | None, *, rounds: int | None) -> argparse.ArgumentParser:
    """The flags that all benches share: --results, and --rounds where it makes sense."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help="in turns with the yardstick (%(default)s)")
    parser.add_argument("--results", metavar="FILE", help="also append the figures to it, a JSON line each")
    return parser


def record(path: str | None, entries: Iterable[Row | Missing]) -> None:
    """Append to the file of --results; nothing without one."""
    if path is not None:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(entry)) + "\n" for entry in entries)


def read_results(path: str) -> list[Row | Missing]:
    """What `record` has written."""
    with open(path, encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    return [Missing(**entry) if "peer" in entry else Row(**entry) for entry in entries]


def reason_of(error: BaseException) -> str:
    """The first line of an error, as a reason for a peer to be missing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:150]


def shown(value: float, unit: str) -> str:
    """A figure for people, with three digits or more.

    >>> shown(351.62, "MB/s"), shown(0.09, "s"), shown(12_345, "tokens/s")
    ('352 MB/s', '0.09 s', '12,345 tokens/s')
    """
    return f"{value:,.0f} {unit}" if abs(value) >= 100 else f"{value:.3g} {unit}"

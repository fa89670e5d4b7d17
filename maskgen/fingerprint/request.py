"""How much a fingerprint looks at: a part of what is compared, and kept in the file for later checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError


@dataclass(frozen=True)
class Request:
    """The first `num` samples, and the batches of `steps`, each of `batch_size` samples."""

    num: int = 1000
    steps: tuple[int, ...] = (0, 1, 1000)
    batch_size: int = 256

    def __post_init__(self) -> None:
        integer(self.num, "num", 0)
        integer(self.batch_size, "batch_size", 1)
        for step in self.steps:
            integer(step, "steps", 0)
        if list(self.steps) != sorted(set(self.steps)):
            raise SampleError(f"steps are {list(self.steps)}; expected rising numbers; sort them, each once")

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> "Request":
        """What an earlier fingerprint has looked at."""
        num, batches = known["stages"]["samples"]["num"], known["stages"].get("batches")
        if batches is None:
            return cls(num, ())
        return cls(num, tuple(sorted(map(int, batches["steps"]))), batches["batch_size"])


def parse_request(num: int | None, steps: str | None, batch_size: int | None, known: str | None) -> Request:
    """The flags ``--num``, ``--steps`` and ``--batch-size``, which a check takes from the `known` file instead."""
    given = {"--num": num, "--steps": steps, "--batch-size": batch_size}
    for flag, value in given.items():
        if known is not None and value is not None:
            raise SampleError(f"{flag} with --check; expected none: it is as {known} has it; leave it out")
    default = Request()
    return Request(
        num=default.num if num is None else num,
        steps=default.steps if steps is None else _parse_steps(steps),
        batch_size=default.batch_size if batch_size is None else batch_size,
    )


def _parse_steps(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    items = text.split(",")
    if not all(item.isdecimal() and item.isascii() for item in items):
        raise SampleError(f"--steps {text}; expected numbers of steps, such as 0,1,1000, or none; correct it")
    return tuple(sorted({int(item) for item in items}))

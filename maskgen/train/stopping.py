"""When to stop early: signals and wall-clock budgets are looked at between steps, so that a checkpoint can be saved."""

from typing import Any


class Stopping:
    """``with Stopping(budget="2h") as stopping: ... if world.any(stopping.asked): save and leave``.

    SIGTERM and the first SIGINT set `reason`; a second SIGINT raises KeyboardInterrupt at once. Leaving the block gives
    the signals back to whoever had them.
    """

    def __init__(self, budget: str | float | None = None) -> None:
        raise NotImplementedError

    @property
    def asked(self) -> bool:
        """Whether this rank should stop now."""
        raise NotImplementedError

    @property
    def reason(self) -> str | None:
        """What for: "SIGTERM", "SIGINT", "the time budget of 2h"; None while it should go on."""
        raise NotImplementedError

    def __enter__(self) -> "Stopping":
        return self

    def __exit__(self, *error: Any) -> None: ...


def seconds(text: str | float) -> float:
    """A wall-clock budget in seconds: "90s", "30m", "2h", "1h30m", or a number of seconds."""
    raise NotImplementedError

"""How many masks of a row to fill at a step.

share of masks left at time u in [0, 1] --of this step and the one before--> share of those left now --ceil--> a number

Rounded up, so that each step fills at least one mask, and the last of `steps` all that are left.
"""

import math
from collections.abc import Callable, Mapping

from maskgen.train.errors import TrainError

Schedule = Callable[[float], float]

SCHEDULES: Mapping[str, Schedule] = {
    "linear": lambda time: 1 - time,
    "cosine": lambda time: math.cos(math.pi / 2 * time),
    "square": lambda time: 1 - time * time,
    "root": lambda time: 1 - math.sqrt(time),
}
_ROUNDING = 1e-9  # a share of 1/3 of 9 masks is 3 of them, whatever floating point makes of it


def schedule_of(name_or_function: str | Schedule) -> Schedule:
    """A schedule by its name, or one's own: the share of masks left, from 1 at time 0 down to 0 at time 1."""
    if callable(name_or_function):
        return name_or_function
    if name_or_function not in SCHEDULES:
        raise TrainError(
            f"noise_schedule is {name_or_function!r}; expected one of {', '.join(SCHEDULES)}, or a function; correct it"
        )
    return SCHEDULES[name_or_function]


def budget(masks: int, step: int, steps: int, schedule: Schedule) -> int:
    """How many of the `masks` that are left to fill at `step`, counted from 1, of `steps`.

    With the linear schedule ceil(masks / steps that are left).

    >>> left, found = 10, []
    >>> for step in range(1, 5):
    ...     found.append(budget(left, step, 4, SCHEDULES["linear"]))
    ...     left -= found[-1]
    >>> found
    [3, 3, 2, 2]
    """
    if masks == 0 or step >= steps:
        return masks
    before, after = schedule((step - 1) / steps), schedule(step / steps)
    if not 0 <= after <= before <= 1:
        raise TrainError(
            f"noise_schedule gives {before!r} and then {after!r} at steps {step - 1} and {step} of {steps}; expected "
            "shares of masks that are left, from 1 down to 0; correct it"
        )
    wanted = masks if not before else math.ceil(masks * (1 - after / before) - _ROUNDING)
    return min(max(wanted, 1), masks)

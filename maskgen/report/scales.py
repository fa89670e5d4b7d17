"""Axes: from values to places on a drawing, and the values worth a tick."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` at places from `begin` to `end`."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        here = math.log10(max(value, self.low)) if self.log else value
        return self.begin + (here - low) / ((high - low) or 1.0) * (self.end - self.begin)

    def ticks(self, most: int = 6) -> Sequence[float]:
        """Values with a tick."""
        return log_ticks(self.low, self.high, most) if self.log else linear_ticks(self.low, self.high, most)


def linear_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between the two, at most `most`.

    >>> linear_ticks(0, 0.16)
    [0.0, 0.05, 0.1, 0.15]
    """
    if not high > low:
        return [low]
    power = math.floor(math.log10((high - low) / most))
    for exponent in range(power, power + 3):
        for factor in (1, 2, 5):
            step = factor * 10.0**exponent
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if last - first < most:
                return [round(count * step, max(0, 12 - exponent)) for count in range(first, last + 1)]
    return [low, high]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten between the two, every second or third where there are many; 2 and 5 of each where there are few.

    >>> log_ticks(1, 30_000)
    [1.0, 10.0, 100.0, 1000.0, 10000.0]
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    powers = [10.0**exponent for exponent in range(first, last + 1)]
    if len(powers) <= 2:
        finer = [factor * 10.0**exponent for exponent in range(first - 1, last + 1) for factor in (1, 2, 5)]
        return [tick for tick in finer if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)][:most]
    return powers[:: -(-len(powers) // most)]


def short(value: float) -> str:
    """A number that fits below a tick.

    >>> [short(value) for value in (0, 0.05, 12, 1500, 2e6, 1e-5)]
    ['0', '0.05', '12', '1.5k', '2M', '10⁻⁵']
    """
    if 0 < abs(value) < 0.001:
        exponent = math.floor(math.log10(abs(value)) + 1e-9)
        factor = "" if math.isclose(value, 10.0**exponent) else f"{value / 10.0**exponent:.3g}·"
        return f"{factor}10{str(exponent).translate(RAISED)}"
    for unit, letter in UNITS:
        if abs(value) >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def percent(value: float) -> str:
    """A share that fits beside a tick.

    >>> [percent(value) for value in (0, 0.05, 0.125, 1)]
    ['0%', '5%', '12.5%', '100%']
    """
    return f"{round(100 * value, 6):.3g}%"

"""What was likely at each mask at each step, kept in one file.

Denoiser --begin, step--> History --save--> FILE, whole or not at all --load--> the same History --> maskgen report

FILE has a JSON object a line: first one about the file, with the names of tokens, then each row as it was at the start,
then each step of a row. The first says how many there are, so that a file that was cut short is seen. No PyTorch is
needed here, as reports are made without.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from preprocess.errors import MaskgenError
from preprocess.pipeline.work_folder import write_file

FORMAT, VERSION = "maskgen history", 1


class HistoryError(MaskgenError, ValueError):
    """A file that is no history, or a history that cannot be made."""


@dataclass(frozen=True)
class HistoryStep:
    """A step of a row: of each place that was a mask the likeliest tokens; what was written, and how likely it was."""

    places: list[int]
    ids: list[list[int]]
    probabilities: list[list[float]]
    written: dict[int, int]  # place to id
    shares: dict[int, float]  # place to the probability of what was written


@dataclass(frozen=True)
class HistoryRow:
    """A row as it was at the start, and its steps."""

    ids: list[int]
    steps: list[HistoryStep] = field(default_factory=list)

    @property
    def final(self) -> list[int]:
        """The row with all that was written."""
        ids = list(self.ids)
        for step in self.steps:
            for place, id_ in step.written.items():
                ids[place] = id_
        return ids


class History:
    """Rows with the `k` likeliest tokens at each mask at each step; pass it to a Denoiser, then ``save`` it.

    `names` gives a token to an id, for those who read the file.
    """

    def __init__(self, k: int = 5, names: Callable[[int], str | None] | None = None) -> None:
        if not isinstance(k, int) or k < 1:
            raise HistoryError(f"k is {k!r}; expected a whole number from 1 on: how many tokens to keep; correct it")
        self.k, self.rows = k, list[HistoryRow]()
        self._name, self._names = names, dict[int, str]()

    def begin(self, rows: Sequence[list[int]]) -> int:
        """Add rows that are about to be filled; the number of the first."""
        self.rows += [HistoryRow(list(ids)) for ids in rows]
        return len(self.rows) - len(rows)

    def step(self, row: int, places: Any, probabilities: Any, filled: Any, ids: Any) -> None:
        """Tensors of a step: places [M], probabilities [M, V], which were filled [M] and with what."""
        best = probabilities.topk(min(self.k, probabilities.shape[-1]), dim=-1)
        where = places[filled].tolist()
        own = probabilities[filled].gather(1, ids[:, None])[:, 0].tolist()
        written = dict(zip(where, ids.tolist(), strict=True))
        shares = dict(zip(where, map(_rounded, own), strict=True))
        likeliest = [list(map(_rounded, row)) for row in best.values.tolist()]
        self.rows[row].steps.append(HistoryStep(places.tolist(), best.indices.tolist(), likeliest, written, shares))

    def name(self, id_: int) -> str:
        """The token of an id, or the number where nobody knows."""
        if id_ not in self._names:
            found = None if self._name is None else self._name(id_)
            self._names[id_] = str(id_) if found is None else found
        return self._names[id_]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all."""
        lines: list[dict[str, Any]] = [{"row": row, "ids": each.ids} for row, each in enumerate(self.rows)]
        for row, each in enumerate(self.rows):
            for step in each.steps:
                written = [[place, id_, step.shares[place]] for place, id_ in step.written.items()]
                lines.append(
                    {"row": row, "places": step.places, "ids": step.ids, "probabilities": step.probabilities,
                     "written": written}
                )  # fmt: skip
        names = {str(id_): self.name(id_) for id_ in sorted(self._used())}
        head = {"format": FORMAT, "version": VERSION, "k": self.k, "lines": len(lines), "names": names}
        content = "".join(f"{json.dumps(line)}\n" for line in [head, *lines])
        write_file(os.fspath(path), content.encode())

    def _used(self) -> Iterator[int]:
        for row in self.rows:
            yield from row.ids
            for step in row.steps:
                yield from step.written.values()
                for ids in step.ids:
                    yield from ids

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "History":
        """Read what ``save`` wrote; a file that is damaged or something else is an error."""
        path = os.fspath(path)
        try:
            with open(path, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
        except OSError as error:
            raise HistoryError(
                f"{path}: {error.strerror}; expected a history that maskgen predict wrote; check it"
            ) from None
        except (ValueError, RecursionError):
            raise _damaged(path, "what is no JSON") from None
        head = lines[0] if lines else None
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise _damaged(path, "another kind of file")
        if head.get("version") != VERSION:
            raise _damaged(path, f"version {head.get('version')!r} of its format, where {VERSION} is known")
        if head.get("lines") != len(lines) - 1:
            raise _damaged(path, f"{len(lines) - 1} of {head.get('lines')} lines")
        try:
            history = cls(head["k"])
            history._names = {int(id_): str(name) for id_, name in head["names"].items()}
            for line in lines[1:]:
                history._add(line)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            raise _damaged(path, "a line that is not as it has to be") from None
        return history

    def _add(self, line: Mapping[str, Any]) -> None:
        if "places" not in line:
            self.begin([_whole(line["ids"])])
            return
        (number,) = _whole([line["row"]])
        if number < 0:
            raise IndexError
        row = self.rows[number]
        written = [_written(each) for each in line["written"]]
        step = HistoryStep(
            places=_whole(line["places"]),
            ids=[_whole(each) for each in line["ids"]],
            probabilities=[list(map(_share, each)) for each in line["probabilities"]],
            written={place: id_ for place, id_, _ in written},
            shares={place: share for place, _, share in written},
        )
        shapes = [list(map(len, each)) for each in (step.ids, step.probabilities)]
        places = {place for place in step.places if 0 <= place < len(row.ids)}
        if (
            len(places) != len(shapes[0])
            or shapes[0] != shapes[1]
            or not all(shapes[0])
            or not set(step.written) <= places
        ):
            raise ValueError
        row.steps.append(step)


def _whole(values: Any) -> list[int]:
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise TypeError
    return values


def _damaged(path: str, found: str) -> HistoryError:
    return HistoryError(f"{path}: found {found}; expected a history that maskgen predict wrote; write it again")


def _written(values: Any) -> tuple[int, int, float]:
    place, id_ = _whole(values[:2])
    return place, id_, _share(*values[2:])


def _share(value: Any) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise ValueError
    return share


def _rounded(share: float) -> float:
    return float(f"{share:.6g}")

"""What an export is: which samples, in which order, with which columns, cut into which shards.

Order: epoch after epoch, and in each the samples by their index. Row r of the export is sample ``r % num`` with the
masks of epoch ``r // num``; shard s holds the rows from ``s * shard_size`` on.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError

FORMAT, VERSION = "maskgen-export", 1
ORDER = "row r is sample r % num with the masks of epoch r // num"
CHOICES = {"columns": ("hf", "own"), "padding": ("none", "fixed")}


@dataclass(frozen=True)
class ExportSettings:
    """`num` samples an epoch (all where it is None), `duplicates` epochs, `shard_size` rows a file."""

    num: int | None = None
    duplicates: int = 1
    shard_size: int = 50_000
    columns: str = "hf"
    padding: str = "none"
    next_sentence: bool = False
    name: str = "train"

    def __post_init__(self) -> None:
        if self.num is not None:
            integer(self.num, "num", 1)
        integer(self.duplicates, "duplicates", 1)
        integer(self.shard_size, "shard_size", 1)
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                expected = " or ".join(choices)
                raise SampleError(f"{field} is {getattr(self, field)!r}; expected {expected}; correct it")
        if not self.name.isidentifier():
            raise SampleError(f"name is {self.name!r}; expected a word such as train; it is a part of file names")
        if self.next_sentence and self.columns != "hf":
            raise SampleError("next_sentence with own columns; expected columns hf; is_random is there already")


@dataclass(frozen=True)
class Plan:
    """Settings fitted to samples: how many rows, and which of them each shard holds."""

    settings: ExportSettings
    num: int
    description: dict[str, Any]  # of the samples

    @property
    def rows(self) -> int:
        """All rows."""
        return self.num * self.settings.duplicates

    @property
    def shards(self) -> int:
        """How many files."""
        return -(-self.rows // self.settings.shard_size)

    def file_name(self, shard: int) -> str:
        """The name of a shard's file, as datasets on the Hugging Face hub have it."""
        return f"{self.settings.name}-{shard:05d}-of-{self.shards:05d}.parquet"

    def shard_rows(self, shard: int) -> int:
        """How many rows a shard has."""
        return min(self.settings.shard_size, self.rows - shard * self.settings.shard_size)

    def batches(self, shard: int, size: int) -> Iterator[tuple[int, range]]:
        """Epoch and indices of one batch after the other, none longer than `size`."""
        row = shard * self.settings.shard_size
        end = row + self.shard_rows(shard)
        while row < end:
            epoch, index = divmod(row, self.num)
            count = min(size, end - row, self.num - index)
            yield epoch, range(index, index + count)
            row += count

    def facts(self) -> dict[str, Any]:
        """What decides each byte of content, for the file beside the shards: equal facts, equal rows."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "order": ORDER,
            "samples": self.description,
            "settings": {**asdict(self.settings), "num": self.num},
        }

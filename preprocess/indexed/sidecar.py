"""The sidecar ``PREFIX.json``: what a dataset is, where it came from, and the digests that prove it.

Readers never need it. ``verify`` compares the files with it; a merge copies its digests instead of reading the tokens
again. The digest of ``.bin`` is a list of parts in order (one for a dataset written in one go), so that the merge of
ten thousand datasets is described without hashing them again. Strings in a sidecar are never used as paths, but by
``reproduce`` and ``inspect`` where somebody asks them for the inputs.
"""

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np

from preprocess.errors import IndexedDatasetError, os_failure
from preprocess.indexed.check import RawBytes
from preprocess.indexed.format import sidecar_path, stat_regular_file
from preprocess.indexed.index_file import IndexFile

FORMAT = "maskgen-sidecar"
VERSION = 1
LARGEST = 256 << 20  # bytes: two million parts; anything larger is not one of ours
LARGEST_COUNT = (1 << 63) - 1
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
LOOK = re.compile(r"[0-9a-f]{32}\Z")
REMEDY = "move it away if another program has rewritten the dataset, or make the dataset again"


@dataclass(frozen=True)
class Part:
    """A run of bytes and its digest."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class InputFile:
    """A file that went into the dataset: its content's digest or, where nobody had the time for that, its date."""

    name: str
    bytes: int
    sha256: str | None = None
    modified_ns: int | None = None
    lines: int | None = None  # or rows; the lines of all inputs, in order, are what provenance counts in
    look: str | None = None  # a digest of a few places, which costs nothing: to know the file again

    def __post_init__(self) -> None:
        if self.sha256 is not None:
            _must_be_digest(self.name, self.sha256)
        if self.look is not None and not LOOK.match(self.look):
            raise IndexedDatasetError(self.name, "look", f"{self.look!r:.80}", "32 hexadecimal digits", REMEDY)


@dataclass(frozen=True)
class TokenizerInfo:
    """Which tokenizer made the ids."""

    name: str
    sha256: str
    vocabulary_size: int

    def __post_init__(self) -> None:
        _must_be_digest(self.name, self.sha256)


@dataclass
class Sidecar:
    """The content of ``PREFIX.json``."""

    dtype: str
    documents: int
    sequences: int
    tokens: int
    has_modes: bool
    bin: list[Part]
    idx: Part
    tokenizer: TokenizerInfo | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: list[InputFile] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)  # of the run that made it

    @property
    def bin_size(self) -> int:
        """The size of ``.bin``: that of all its parts."""
        return sum(part.bytes for part in self.bin)

    @property
    def digest(self) -> str:
        """One digest for the whole dataset: the hash of the digests of its files."""
        parts = [[part.bytes, part.sha256] for part in self.bin if part.bytes]
        statement = json.dumps({"bin": parts, "idx": [self.idx.bytes, self.idx.sha256]}, separators=(",", ":"))
        return hashlib.sha256(statement.encode()).hexdigest()

    def contradictions(self, files: "Sidecar") -> list[tuple[str, object, object]]:
        """(place, what this sidecar says, what `files`, made from the dataset itself, says), where they differ."""
        mine, theirs = asdict(self), asdict(files)
        names = ("dtype", "documents", "sequences", "tokens", "has_modes", "idx")
        pairs = [(name, mine[name], theirs[name]) for name in names]
        pairs.append(("bin", f"{self.bin_size} bytes", f"{files.bin_size} bytes"))
        odd = sum(part.bytes % np.dtype(files.dtype).itemsize > 0 for part in self.bin)
        pairs.append(("bin", f"{odd} parts that end inside a token", "0 parts that end inside a token"))
        return [(place, said, is_so) for place, said, is_so in pairs if said != is_so]

    def to_json(self) -> bytes:
        """The file's content: readable, the format's name first, and the same bytes for the same facts."""
        facts = {"format": FORMAT, "version": VERSION, "digest": self.digest, **asdict(self)}
        facts["inputs"] = [{key: fact for key, fact in file.items() if fact is not None} for file in facts["inputs"]]
        return (json.dumps(facts, indent=1, allow_nan=False, default=_plain) + "\n").encode("ascii")


def describe_files(index: IndexFile, raw: RawBytes) -> Sidecar:
    """What a dataset's index, loaded as `raw`, says, as a sidecar; its one part of ``.bin`` has no digest yet."""
    return Sidecar(
        dtype=str(index.layout.dtype),
        documents=index.layout.documents,
        sequences=index.layout.sequences,
        tokens=index.tokens,
        has_modes=index.layout.has_modes,
        bin=[Part(index.bin_size, "")] if index.bin_size else [],
        idx=Part(index.identity[3], hashlib.sha256(raw.data).hexdigest()),
    )


def library_versions(*more: str) -> dict[str, str]:
    """What made a dataset, for the sidecar; `more` names other packages that had a part in it."""
    own = _installed("maskgen") or "unknown"  # used from a source tree that was never installed
    found = {"maskgen": own, "numpy": np.__version__, "python": platform.python_version()}
    return found | {package: _installed(package) or "none" for package in more}


@cache  # it takes milliseconds, and a run can end with thousands of datasets
def _installed(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # not at the top: every worker would wait for it

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def is_sidecar(path: str) -> bool:
    """Whether the file at `path` starts as a sidecar does. Others have good reasons to be called PREFIX.json."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return begins_as_sidecar(file.read(100))
    except OSError as error:
        raise os_failure(path, "open it", error, "check the disk and the network") from None


def begins_as_sidecar(content: bytes) -> bool:
    """Whether these are the first bytes of a sidecar, or all of them."""
    return f'"{FORMAT}"'.encode() in content[:100]


def read_sidecar(prefix: str) -> Sidecar | None:
    """The sidecar of the dataset at `prefix`, or None where there is none; a damaged one is an error."""
    path = sidecar_path(prefix)
    if not is_sidecar(path):
        return None
    size = stat_regular_file(path).st_size
    if size > LARGEST:
        raise IndexedDatasetError(path, "size", f"{size} bytes", f"at most {LARGEST}", REMEDY)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise os_failure(path, "read it", error, "check the disk and the network") from None
    return parse_sidecar(path, content)


def parse_sidecar(path: str, content: bytes) -> Sidecar:
    """The sidecar with this content; `path` is for errors."""
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        place = f"character {error.pos}" if isinstance(error, json.JSONDecodeError) else "JSON"
        found = str(error).split(":")[0] if isinstance(error, ValueError) else "nesting without end"
        raise IndexedDatasetError(path, place, found, "a JSON object", REMEDY) from None
    return _parse(path, facts)


def _parse(path: str, facts: Any) -> Sidecar:
    if not isinstance(facts, dict):
        raise IndexedDatasetError(path, "JSON", type(facts).__name__, "an object", REMEDY)
    entry = _Entry(path, facts)
    if (entry.text("format"), entry.count("version")) != (FORMAT, VERSION):
        found = f"format {facts['format']!r}, version {facts['version']}"
        raise IndexedDatasetError(path, "format", found, f"{FORMAT!r}, version {VERSION}", REMEDY)
    tokenizer = facts.get("tokenizer")
    sidecar = Sidecar(
        dtype=entry.text("dtype"),
        documents=entry.count("documents"),
        sequences=entry.count("sequences"),
        tokens=entry.count("tokens"),
        has_modes=entry.value("has_modes", bool),
        bin=[_part(_Entry(path, part, f"bin[{i}].")) for i, part in enumerate(entry.value("bin", list))],
        idx=_part(_Entry(path, entry.value("idx", dict), "idx.")),
        tokenizer=None if tokenizer is None else _tokenizer(_Entry(path, tokenizer, "tokenizer.")),
        settings=entry.value("settings", dict),
        inputs=[_input(_Entry(path, file, f"inputs[{i}].")) for i, file in enumerate(entry.value("inputs", list))],
        versions=entry.value("versions", dict),
        statistics=facts.get("statistics") or {},
    )
    if entry.text("digest") != sidecar.digest:
        raise IndexedDatasetError(path, "digest", facts["digest"], f"{sidecar.digest}, the hash of the others", REMEDY)
    return sidecar


def _part(entry: "_Entry") -> Part:
    return Part(entry.count("bytes"), entry.digest("sha256"))


def _input(entry: "_Entry") -> InputFile:
    return InputFile(
        entry.text("name"),
        entry.count("bytes"),
        entry.digest("sha256") if entry.has("sha256") else None,
        modified_ns=entry.count("modified_ns") if entry.has("modified_ns") else None,
        lines=entry.count("lines") if entry.has("lines") else None,
        look=entry.text("look") if entry.has("look") else None,
    )


def _tokenizer(entry: "_Entry") -> TokenizerInfo:
    return TokenizerInfo(entry.text("name"), entry.digest("sha256"), entry.count("vocabulary_size"))


class _Entry:
    """One JSON object of the file; every wrong value names its own place."""

    def __init__(self, path: str, facts: Any, place: str = "") -> None:
        if not isinstance(facts, Mapping):
            raise IndexedDatasetError(path, place.rstrip("."), type(facts).__name__, "an object", REMEDY)
        self._path, self._facts, self._place = path, facts, place

    def has(self, key: str) -> bool:
        return self._facts.get(key) is not None

    def value(self, key: str, kind: type) -> Any:
        value = self._facts.get(key)
        if not isinstance(value, kind):
            found = "nothing" if key not in self._facts else f"{type(value).__name__} {value!r:.40}"
            raise IndexedDatasetError(self._path, self._place + key, found, kind.__name__, REMEDY)
        return value

    def text(self, key: str) -> str:
        value: str = self.value(key, str)
        return value

    def count(self, key: str) -> int:
        value = self.value(key, int)
        if isinstance(value, bool) or not 0 <= value <= LARGEST_COUNT:
            found = str(value) if abs(value) <= LARGEST_COUNT else f"a number of {value.bit_length()} bits"
            raise IndexedDatasetError(self._path, self._place + key, found, "a count", REMEDY)
        return int(value)

    def digest(self, key: str) -> str:
        value = self.text(key)
        if not SHA256.match(value):
            raise IndexedDatasetError(self._path, self._place + key, f"{value!r:.80}", "64 hexadecimal digits", REMEDY)
        return value


def _must_be_digest(name: str, sha256: str) -> None:
    if not SHA256.match(sha256):
        remedy = "hashlib.sha256(...).hexdigest() gives one"
        raise IndexedDatasetError(name, "sha256", f"{sha256!r:.80}", "64 hexadecimal digits", remedy)


def _plain(value: object) -> object:
    """What json cannot write by itself: numpy's scalars, and paths."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} {value!r:.60} cannot be written to a sidecar")

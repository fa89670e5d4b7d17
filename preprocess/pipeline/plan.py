"""The plan: which part of which input belongs to which shard. It decides all that follows, so it has a digest.

inputs --cut--> pieces (byte ranges of plain files, whole compressed files, rows of tables)
       --gather--> shards of about the same size, in the order of the inputs

The same inputs, options and tokenizer always give the same plan. Where shards begin changes none of the datasets'
bytes; it only decides how much work one interruption can cost.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.errors import CorpusFileError
from preprocess.pipeline.options import Options, OptionsError, TokenizerChoice
from preprocess.tokenization import Tokenizer

FORMAT = "maskgen-plan"
VERSION = 1
# Small enough to keep every worker busy to the end and to lose little to an interruption, a tenth of a second of work
# or more, so that the few files of a shard cost nothing beside it.
SMALLEST_SHARD = 8 << 20
MOST_SHARDS = 2048
# Options that may change while work is continued: shards without bad records are the same for every policy.
CHANGEABLE = ("on_error", "shard_bytes")


@dataclass(frozen=True)
class Piece:
    """Part of an input: bytes of a plain file, all of a compressed one, row groups of Parquet, rows of a dataset."""

    file: int
    begin: int
    end: int
    bytes: int  # on disk, about; for progress


@dataclass(frozen=True)
class Unreadable:
    """An input that the plan leaves out, because the user said that files may be skipped."""

    file: int
    reason: str
    found: str


@dataclass(frozen=True)
class Plan:
    """What run_shard and finish work by."""

    options: Options
    tokenizer: TokenizerChoice
    tokenizer_facts: Mapping[str, Any]  # what the tokenizer was when the plan was made
    files: Sequence[CorpusFile]
    shards: Sequence[Sequence[Piece]]
    unreadable: Sequence[Unreadable] = ()
    content: Mapping[str, str] = field(
        default_factory=dict
    )  # sha256 of inputs that have no lasting name (standard input) or are copies of what a URL names
    remote: Mapping[str, str] = field(default_factory=dict)  # versions of what URLs name, also of what was left out

    @property
    def total_bytes(self) -> int:
        """All input, on disk."""
        return sum(piece.bytes for shard in self.shards for piece in shard)

    def shard_bytes(self, number: int) -> int:
        """The input of one shard, on disk."""
        return sum(piece.bytes for piece in self.shards[number])

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for work to be continued: inputs, options and tokenizer as the user named them."""
        return {
            "options": {name: value for name, value in self.options.facts().items() if name not in CHANGEABLE},
            "tokenizer": dict(self.tokenizer_facts),
            "inputs": [[file.name, file.bytes, self.content.get(file.name, file.modified_ns)] for file in self.files],
        }

    @property
    def identity_digest(self) -> str:
        """One name for the identity."""
        return identity_digest(self.identity)

    @cached_property
    def digest(self) -> str:
        """One name for the plan."""
        return plan_digest(self.identity, self.shards)

    def to_json(self) -> bytes:
        """The content of the plan's file."""
        facts = {
            "format": FORMAT,
            "version": VERSION,
            "digest": self.digest,
            "options": asdict(self.options),
            "tokenizer": {**asdict(self.tokenizer), "path": os.path.abspath(self.tokenizer.path)},
            "tokenizer_facts": self.tokenizer_facts,
            "content": self.content,
            "remote": self.remote,
            "files": [asdict(file) for file in self.files],
            "unreadable": [asdict(file) for file in self.unreadable],
            "shards": [[[p.file, p.begin, p.end, p.bytes] for p in shard] for shard in self.shards],
        }
        return json.dumps(facts).encode("ascii")

    @staticmethod
    def from_json(content: bytes) -> "Plan":
        """Read what to_json wrote."""
        facts = json.loads(content)
        options = facts["options"]
        return Plan(
            options=Options(**{**options, "json_keys": tuple(options["json_keys"])}),
            tokenizer=TokenizerChoice(**facts["tokenizer"]),
            tokenizer_facts=facts["tokenizer_facts"],
            files=[CorpusFile(**file) for file in facts["files"]],
            shards=[[Piece(*piece) for piece in shard] for shard in facts["shards"]],
            unreadable=[Unreadable(**file) for file in facts["unreadable"]],
            content=facts["content"],
            remote=facts.get("remote", {}),
        )


def identity_digest(identity: Mapping[str, Any]) -> str:
    """One name for an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def plan_digest(identity: Mapping[str, Any], shards: Sequence[Sequence[Piece]]) -> str:
    """One name for an identity and where its shards begin."""
    facts = [VERSION, identity, [[[p.file, p.begin, p.end] for p in shard] for shard in shards]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def tokenizer_facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """What of a tokenizer decides the ids."""
    return {
        "name": os.path.basename(os.path.normpath(tokenizer.path)),
        "sha256": tokenizer.digest,
        "vocabulary_size": tokenizer.vocabulary_size,
        "eod": tokenizer.roles.eod,
    }


def make_plan(
    options: Options,
    choice: TokenizerChoice,
    tokenizer: Tokenizer,
    files: Sequence[CorpusFile],
    content: Mapping[str, str] | None = None,
    remote: Mapping[str, str] | None = None,
) -> Plan:
    """Cut the inputs into shards."""
    if len(options.json_keys) > 1 and any(file.format == "text" for file in files):
        raise OptionsError("--json-keys: found several names, expected one when there is plain text among the inputs")
    if options.images is not None:
        _check_lines_of_images(options, files)
    total = sum(file.bytes for file in files)
    size = options.shard_bytes or max(SMALLEST_SHARD, -(-total // MOST_SHARDS))
    shards: list[list[Piece]] = [[]]
    filled = 0
    unreadable = []
    for number, file in enumerate(files):
        try:
            pieces = cut_file(number, file, options, size)
        except CorpusFileError as error:
            if options.on_error == "error":
                raise
            unreadable.append(Unreadable(number, error.reason, error.found))
            continue
        for piece in pieces:
            if shards[-1] and filled + piece.bytes > size:
                shards.append([])
                filled = 0
            shards[-1].append(piece)
            filled += piece.bytes
    return Plan(
        options,
        replace(choice, path=os.path.abspath(choice.path)),
        tokenizer_facts(tokenizer),
        list(files),
        [shard for shard in shards if shard],
        unreadable,
        dict(content or {}),
        dict(remote or {}),
    )


def _check_lines_of_images(options: Options, files: Sequence[CorpusFile]) -> None:
    for file in files:
        if file.format != "jsonl" or (file.name == "-" and options.image_root is None):
            found = (
                "standard input without --image-root" if file.name == "-" else f"an input of the format {file.format}"
            )
            raise OptionsError(f"{file.name}: found {found}, expected JSON lines beside their images with --images")


def cut_file(number: int, file: CorpusFile, options: Options, size: int) -> list[Piece]:
    """Cut one input into pieces of about `size` bytes on disk, where it can be cut."""
    if file.format == "parquet":
        from preprocess.corpora.tables import parquet_row_groups

        return _gather_groups(number, file, parquet_row_groups(file), size)
    if file.format == "datasets":
        from preprocess.corpora.tables import datasets_rows

        rows = datasets_rows(file)
        step = max(1, rows * size // max(1, file.bytes))
        return [
            Piece(
                number, first, min(first + step, rows), file.bytes * (min(first + step, rows) - first) // max(1, rows)
            )
            for first in range(0, rows, step)
        ]
    whole = file.compression is not None or (file.format == "text" and options.text_documents == "file")
    if whole or file.bytes <= size:
        return [Piece(number, 0, file.bytes, file.bytes)]
    # Equal cuts, so that the last piece is not a crumb.
    count = -(-file.bytes // size)
    ends = [file.bytes * i // count for i in range(count + 1)]
    return [Piece(number, begin, end, end - begin) for begin, end in itertools.pairwise(ends)]


def _gather_groups(number: int, file: CorpusFile, groups: Sequence[int], size: int) -> list[Piece]:
    rows = max(1, sum(groups))
    pieces = []
    begin, filled = 0, 0
    for group, count in enumerate(groups):
        filled += file.bytes * count // rows
        if filled >= size or group + 1 == len(groups):
            pieces.append(Piece(number, begin, group + 1, filled))
            begin, filled = group + 1, 0
    return pieces


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What two identities do not share, each in words that name it."""
    found = [
        f"option {name}: was {old['options'].get(name)!r}, is {new['options'].get(name)!r}"
        for name in {**old["options"], **new["options"]}
        if old["options"].get(name) != new["options"].get(name)
    ]
    found += [
        f"tokenizer {name}: was {old['tokenizer'].get(name)}, is {new['tokenizer'].get(name)}"
        for name in {**old["tokenizer"], **new["tokenizer"]}
        if old["tokenizer"].get(name) != new["tokenizer"].get(name)
    ]
    before, after = ({entry[0]: list(entry) for entry in facts["inputs"]} for facts in (old, new))
    for name in {**before, **after}:
        if name not in after:
            found.append(f"input {name}: was there, is not")
        elif name not in before:
            found.append(f"input {name}: was not there, is now")
        elif before[name] != after[name]:
            was, now = before[name], after[name]
            how = f"was {was[1]} bytes, is {now[1]}" if was[1] != now[1] else "has been written again"
            found.append(f"input {name}: {how}")
    if not found and list(before) != list(after):
        found.append("inputs: the same in another order")
    return found

"""What a sidecar says about how its dataset was made, checked, in the form in which it can be done again.

PREFIX.json --settings: options, tokenizer, command--> Recipe

A sidecar of an earlier release has no "command". What that would have said is found by trying, where the rest tells it
(how a vocab.txt was read, which token ended documents), and not compared where it does not (where shards began).
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from preprocess.errors import MaskgenError
from preprocess.indexed.format import sidecar_path
from preprocess.indexed.sidecar import Sidecar, read_sidecar
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.output import SPLIT_NAME
from preprocess.pipeline.plan import CHANGEABLE
from preprocess.tokenization import Tokenizer, TokenizerError

WANTED = ("key", "options", "tokenizer", "plan", "identity")
COMMAND = {
    "shard_bytes": int,
    "lowercase": bool,
    "strip_accents": bool,
    "roles": dict,
    "inputs": int,
    "keep_shards": bool,
    "remote": dict,
}


class ReproductionError(MaskgenError, ValueError):
    """A sidecar by which nothing can be made again."""


@dataclass(frozen=True)
class Recipe:
    """How a dataset was made."""

    prefix: str
    sidecar: Sidecar
    options: Options
    tokenizer: Mapping[str, Any]  # name, digest, size, end of document
    command: Mapping[str, Any] | None  # None in sidecars of earlier releases
    key: str

    @property
    def path(self) -> str:
        """The sidecar."""
        return sidecar_path(self.prefix)

    @property
    def identity(self) -> dict[str, Any]:
        """What ``settings.identity`` is the digest of."""
        inputs = [[file.name, file.bytes, file.sha256 or file.modified_ns] for file in self.sidecar.inputs]
        settings = self.sidecar.settings
        return {"options": settings["options"], "tokenizer": settings["tokenizer"], "inputs": inputs}

    @property
    def lists_all_inputs(self) -> bool:
        """Whether the sidecar has every input that the plan had: --max-documents can end before the last of them."""
        if self.command is None:
            return self.options.max_documents is None
        return bool(self.command.get("inputs") == len(self.sidecar.inputs))

    def tokenizer_at(self, path: str) -> tuple[TokenizerChoice, Tokenizer]:
        """The tokenizer that lies at `path`, read as the one of the dataset was; it may be another one."""
        command = self.command or {}
        choice = TokenizerChoice(path, command.get("lowercase"), command.get("strip_accents"), command.get("roles", {}))
        found = _load(choice)
        if self.command is None and found.digest != self.tokenizer["sha256"]:
            for lowercase, strip_accents in product((None, True, False), repeat=2):
                with suppress(TokenizerError):  # these flags are for vocab.txt alone
                    other = TokenizerChoice(path, lowercase, strip_accents)
                    if _load(other).digest == self.tokenizer["sha256"]:
                        choice, found = other, _load(other)
                        break
        eod, pieces = self.tokenizer.get("eod"), found.pieces
        if self.command is None and eod != found.roles.eod and isinstance(eod, int) and 0 <= eod < len(pieces):
            choice = TokenizerChoice(path, choice.lowercase, choice.strip_accents, {"eod": pieces[eod]})
            found = _load(choice)
        return choice, found


def _load(choice: TokenizerChoice) -> Tokenizer:
    return choice.load("reference", Options())  # whether it has the tokens that are needed shows when it is compared


def read_recipe(path: str) -> Recipe:
    """The recipe in the sidecar at `path`, which may also be named by the prefix of its dataset."""
    stem, extension = os.path.splitext(path)
    prefix = stem if extension in (".json", ".bin", ".idx") else path
    sidecar = read_sidecar(prefix)
    if sidecar is None:
        found = "another kind of file" if os.path.exists(sidecar_path(prefix)) else "nothing"
        raise ReproductionError(
            f"{sidecar_path(prefix)}: found {found}, expected the sidecar of a dataset; name the .json beside its .bin"
        )
    settings = sidecar.settings
    missing = [name for name in WANTED if name not in settings]
    if missing:
        raise ReproductionError(
            f"{sidecar_path(prefix)}: settings: found no {', '.join(missing)}, expected those of maskgen tokenize; a "
            "merged dataset, or one of another program, is made again from what it was made of"
        )
    if not sidecar.inputs:
        raise ReproductionError(f"{sidecar_path(prefix)}: inputs: found none, expected those of maskgen tokenize")
    try:
        command = None if "command" not in settings else _command(settings["command"])
        options = _options(settings["options"], command or {})
        recipe = Recipe(prefix, sidecar, options, _tokenizer(settings["tokenizer"]), command, settings["key"])
        if recipe.key not in options.json_keys:
            raise ValueError(f"key {recipe.key!r:.40}")
        options.check()
    except (ValueError, TypeError, KeyError) as error:
        if isinstance(error, MaskgenError):
            raise
        raise ReproductionError(
            f"{sidecar_path(prefix)}: settings: found {error}, expected what maskgen tokenize writes; use the release "
            f"that made it ({sidecar.versions.get('maskgen', 'unknown')!s:.20})"
        ) from None
    if "keep_shards" in (recipe.command or {}) or SPLIT_NAME.search(f"{os.path.basename(prefix)}.idx"):
        raise ReproductionError(
            f"{recipe.path}: found one of several datasets of --keep-shards, or a merge of them, whose sidecar has "
            "not all of the inputs, expected a whole one; tokenize with --keep-shards again and compare the digests"
        )
    return recipe


def _options(facts: Any, command: Mapping[str, Any]) -> Options:
    """The options; bad records are left out, since the statistics say whether there were any."""
    kinds = {field.name: field.type for field in fields(Options) if field.name not in CHANGEABLE}
    values: dict[str, Any] = {"on_error": "skip", "shard_bytes": command.get("shard_bytes")}
    if not isinstance(facts, dict):
        raise ValueError(f"options {facts!r:.40}")
    for name, value in facts.items():
        if name not in kinds:
            raise ValueError(f"the option {name!r:.40}, which this release does not know")
        if name == "json_keys":
            if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
                raise ValueError(f"json_keys {value!r:.40}")
            values[name] = tuple(value)
            continue
        kind: Any = kinds[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name} {value!r:.40}")
        values[name] = value
    return Options(**values)


def _command(facts: Any) -> dict[str, Any]:
    if not isinstance(facts, dict):
        raise ValueError(f"command {facts!r:.40}")
    for name, value in facts.items():
        if name not in COMMAND:
            raise ValueError(f"the flag {name!r:.40}, which this release does not know")
        if not isinstance(value, COMMAND[name]) or (isinstance(value, bool) and COMMAND[name] is not bool):
            raise ValueError(f"{name} {value!r:.40}")
    roles = facts.get("roles", {})
    if not all(isinstance(each, str) for pair in roles.items() for each in pair):
        raise ValueError(f"roles {roles!r:.40}")
    return dict(facts)


def _tokenizer(facts: Any) -> dict[str, Any]:
    if not isinstance(facts, dict) or not all(isinstance(facts.get(name), str) for name in ("name", "sha256")):
        raise ValueError(f"tokenizer {facts!r:.40}")
    return facts

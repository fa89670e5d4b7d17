"""A fingerprint as a file, and its comparison with what is there now.

stages --> {"format", "version", "digest", "stages", "versions"} --sorted keys--> the same bytes for the same facts

Versions of libraries are kept to explain a difference; they are no part of the digest and never make one.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskgen.fingerprint.request import Request
from maskgen.fingerprint.stages import STAGES, Manner, Stage, dataset_of, stages
from maskgen.fingerprint.tokens import is_quick, tokens_stage, trusts_sidecar
from maskgen.identity import difference, settings_digest
from maskgen.samples.opening import AnySamples
from preprocess.errors import MaskgenError, os_failure
from preprocess.indexed.sidecar import library_versions

FORMAT, VERSION = "maskgen-fingerprint", 1
LARGEST = 64 << 20  # bytes; no file of ours comes near
CHANGED = "tokens were changed after they were written; maskgen verify --full says where"
ALWAYS = set(STAGES) - {"batches"}


class FingerprintError(MaskgenError, ValueError):
    """A file that is no fingerprint, or one that cannot be compared."""


@dataclass(frozen=True)
class Comparison:
    """The stages that agree, in order; and the first that does not, with what differs there."""

    same: tuple[str, ...]
    stage: str | None = None
    what: str = ""
    read_all: bool = False  # False: the tokens are those of the sidecar's digest, and of some places in the file

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return self.stage is None


def fingerprint(samples: AnySamples, request: Request | None = None, manner: Manner | None = None) -> dict[str, Any]:
    """The fingerprint of samples."""
    found = dict(stages(samples, request or Request(), manner or Manner()))
    return {
        "format": FORMAT,
        "version": VERSION,
        "digest": settings_digest(found),
        "stages": found,
        "versions": versions(),
    }


def check(known: Mapping[str, Any], samples: AnySamples, manner: Manner | None = None) -> Comparison:
    """Compare samples with an earlier fingerprint, stage by stage, up to the first that differs."""
    same: list[str] = []
    manner = manner or Manner()
    trusting = trusts_sidecar(dataset_of(samples), manner.full)
    reading = trusting and is_quick(dataset_of(samples))
    for name, stage in stages(samples, Request.of(known), manner):
        what = _explained(name, known["stages"][name], stage)
        if name == "tokens" and what is None and reading:
            what = _hidden_by_the_sidecar(known["stages"][name], samples, manner)
        if what is not None:
            return Comparison(tuple(same), name, what, reading or not trusting)
        same.append(name)
    return Comparison(tuple(same), read_all=reading or not trusting)


def to_json(found: Mapping[str, Any]) -> bytes:
    """The file's content."""
    return (json.dumps(found, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def read_fingerprint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A file that ``to_json`` made."""
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise os_failure(path, "read it", error, "check the name") from None
    refusal = FingerprintError(
        f"{path}: found something else than a fingerprint, or one that was changed, expected a file of maskgen "
        "fingerprint; make it again"
    )
    if len(content) > LARGEST:
        raise refusal
    try:
        facts: dict[str, Any] = json.loads(content)
        if facts["format"] != FORMAT:
            raise refusal
        if facts["version"] != VERSION:
            raise FingerprintError(
                f"{path}: found a fingerprint of version {facts['version']}, expected {VERSION}; use the release of "
                "maskgen that made it, or make it again"
            )
        names = set(facts["stages"])
        if settings_digest(facts["stages"]) != facts["digest"] or not ALWAYS <= names <= set(STAGES):
            raise refusal
        Request.of(facts)
        if not _is_well_formed(facts):
            raise refusal
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise (error if isinstance(error, FingerprintError) else refusal) from None
    return facts


def _is_well_formed(facts: dict[str, Any]) -> bool:
    """Whether everything that a comparison looks into has the form that it expects."""
    known, samples = facts["stages"], facts["stages"]["samples"]
    steps = known["batches"]["steps"] if "batches" in known else {}
    return (
        all(isinstance(stage, dict) for stage in known.values())
        and all(isinstance(each, dict) for each in (samples["fields"], samples["first"], facts["versions"], steps))
        and all(isinstance(each, dict) and {"order", "arrays"} <= set(each) for each in steps.values())
    )


def versions() -> dict[str, str]:
    """The versions of all that could have a part in a result."""
    return library_versions("tokenizers")


def _hidden_by_the_sidecar(known: Stage, samples: AnySamples, manner: Manner) -> str | None:
    """What differs where every token is read, though sidecar and looked at places agree."""
    what = difference(known, tokens_stage(dataset_of(samples), True, manner.progress))
    return None if what is None else f"{what}: {CHANGED}"


def _explained(name: str, known: Stage, found: Stage) -> str | None:
    """What differs between two contents of a stage, in words; None where nothing does."""
    what = difference(known, found)
    if what is None:
        return None
    if name == "samples" and known["num"] == found["num"]:
        fields = [each for each in found["fields"] if known["fields"].get(each) != found["fields"][each]]
        same = [int(mark) for mark, digest in found["first"].items() if known["first"].get(mark) == digest]
        differing = [int(mark) for mark in found["first"] if int(mark) not in same]
        agreed = f"the first {max(same):,} agree, " if same else ""
        return f"{agreed}the first {min(differing, default=0):,} do not; fields that differ: {', '.join(fields)}"
    if name == "tokens" and what.startswith("look: "):
        return f"{what}: {CHANGED}"
    if name == "tokens" and {**known, "digest": ""} == {**found, "digest": ""}:
        return (
            f"{what}: counts and what was looked at agree, so other tokens or lengths elsewhere, or the same in other "
            "parts (another --shard-bytes, or the sidecar is not beside the dataset); cmp of the files tells"
        )
    if name == "tokens" and what.startswith("digest: "):
        return f"{what}: other tokens, or the same documents in another order; maskgen reproduce says where"
    if name == "vocabulary":
        return f"{what}: another tokenizer, or other --role or --sentinels"
    if name == "rows" and what.startswith("mapping: "):
        return f"{what}: other --num-epochs, --max-num-samples, --short-seq-prob, --split or --part"
    if name == "batches":
        for step in sorted(known["steps"], key=int):
            one, other = known["steps"][step], found["steps"].get(step)
            if other is not None and one["order"] != other["order"]:
                return f"step {step} holds other samples, or in another order"
            if other is not None and one["arrays"] != other["arrays"]:
                return f"step {step} holds the same samples with other arrays"
    return what

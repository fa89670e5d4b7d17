"""A whole export: shards into a work folder, each with a receipt; then one rename gives the folder its name.

    OUTPUT.maskgen-work/plan.json, 00007.receipt.json, result/data/train-00007-of-00012.parquet
    OUTPUT/data/*.parquet, OUTPUT/export.json

So a folder that exists is complete. A run that was stopped goes on with the first shard that has no receipt.
"""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from maskgen.export.settings import FORMAT, ExportSettings, Plan
from maskgen.export.shard import require_pyarrow, write_shard
from maskgen.identity import difference, plain, settings_digest
from maskgen.samples.checks import integer
from maskgen.samples.opening import AnySamples
from preprocess.errors import MaskgenError, os_failure
from preprocess.indexed.sidecar import library_versions
from preprocess.pipeline.work_folder import WorkFolder, write_file

FACTS = "export.json"
LARGEST = 256 << 20  # bytes of a facts file; one of a million shards has as many


class ExportError(MaskgenError):
    """Something under the output that this export neither continues nor replaces."""


@dataclass(frozen=True)
class Manner:
    """How to export: none of it changes a row."""

    threads: int = 1
    overwrite: bool = False
    progress: bool = False


def export_samples(
    samples: AnySamples,
    output: str | os.PathLike[str],
    settings: ExportSettings | None = None,
    manner: Manner | None = None,
) -> dict[str, Any]:
    """Export samples into the folder `output` and return what its ``export.json`` says."""
    settings, manner = settings or ExportSettings(), manner or Manner()
    integer(manner.threads, "threads", 1)
    require_pyarrow()
    if not len(samples):
        raise ExportError(f"{output}: no samples to export; expected at least one; use another dataset or split")
    num = len(samples) if settings.num is None else min(settings.num, len(samples))
    plan = Plan(settings, num, plain(samples.describe()))
    target = os.path.abspath(os.fspath(output))
    folder = WorkFolder(f"{target}.maskgen-work")
    try:
        with folder.lock():
            done = _finished(target, plan, manner.overwrite) or _export(samples, plan, folder, target, manner)
            folder.remove()
    finally:
        folder.remove_if_empty()  # so that a refused command leaves nothing
    return done


def _export(samples: AnySamples, plan: Plan, folder: WorkFolder, target: str, manner: Manner) -> dict[str, Any]:
    """Everything that an export is, up to its name, and what its facts are."""
    try:
        _adopt(folder, plan, manner.overwrite)
        facts = {
            **plan.facts(),
            "rows": plan.rows,
            "shards": _write_shards(samples, plan, folder, manner),
            "versions": {**library_versions(), "pyarrow": require_pyarrow().__version__},
        }
        facts["digest"] = settings_digest({"content": [shard["content"] for shard in facts["shards"]]})
        _publish(folder, target, facts)
    except OSError as error:
        raise os_failure(target, "write the export", error, "check the folder") from error
    return facts


def _finished(target: str, plan: Plan, overwrite: bool) -> dict[str, Any] | None:
    """The facts of a finished export that is the one to make; None where the name is free, or may be replaced."""
    if not os.path.lexists(target) or (os.path.isdir(target) and not os.listdir(target)):
        return None
    known = _facts(os.path.join(target, FACTS))
    if known is None or known.get("format") != FORMAT:
        raise ExportError(
            f"{target}: found something that is no export, expected a free name or an earlier export; choose another "
            "output"
        )
    if overwrite:
        return None
    what = difference(_comparable(known, plan), plan.facts())
    if what is not None:
        raise ExportError(
            f"{target}: found an export with other settings ({what}), expected the same ones or a free name; choose "
            "another output, or add --overwrite to replace it"
        )
    _check_files(target, known, plan)
    return known


def _check_files(target: str, known: dict[str, Any], plan: Plan) -> None:
    """Refuse a finished export that says other things than what lies there."""
    shards, damage = known.get("shards"), None
    if not isinstance(shards, list) or len(shards) != plan.shards or known.get("rows") != plan.rows:
        damage = f"{FACTS} with something else than {plan.shards} shards of {plan.rows} rows"
    elif not isinstance(known.get("digest"), str) or not all(map(_is_receipt, shards)):
        damage = f"{FACTS} without the facts of each shard"
    else:
        for shard, facts in enumerate(shards):
            path = os.path.join(target, "data", plan.file_name(shard))
            if not _is_file(path, facts["bytes"]):
                damage = f"data/{plan.file_name(shard)} missing, or not of {facts['bytes']} bytes"
                break
    if damage is not None:
        raise ExportError(
            f"{target}: found {damage}, expected the finished export that it was; choose another output, or add "
            "--overwrite to make it again"
        )


def _is_file(path: str, size: int) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == size


def _is_receipt(facts: Any) -> bool:
    kinds = {"file": str, "rows": int, "bytes": int, "content": str, "sha256": str}
    return isinstance(facts, dict) and all(type(facts.get(name)) is kind for name, kind in kinds.items())


def _adopt(folder: WorkFolder, plan: Plan, overwrite: bool) -> None:
    """Go on with unfinished work of the same plan, or begin."""
    known = None if overwrite else _facts(folder.plan_path)
    if known is None:
        folder.clear()
    else:
        what = difference(_comparable(known, plan), plan.facts())
        if what is not None:
            raise ExportError(
                f"{folder.path}: found unfinished work with other settings ({what}), expected the same ones; put them "
                "back to continue, or start again with --overwrite"
            )
    os.makedirs(folder.file("result/data"), exist_ok=True)
    write_file(folder.plan_path, _as_json(plan.facts()))


def _write_shards(samples: AnySamples, plan: Plan, folder: WorkFolder, manner: Manner) -> list[dict[str, Any]]:
    shards = []
    disabled = None if manner.progress else True
    with tqdm(total=plan.rows, unit=" samples", unit_scale=True, desc="export", disable=disabled) as bar:
        for shard in range(plan.shards):
            path = folder.file(f"result/data/{plan.file_name(shard)}")
            facts = _facts(folder.receipt_path(shard))
            if facts is not None and _is_receipt(facts) and _is_file(path, facts["bytes"]):
                bar.update(facts["rows"])
            else:
                facts = write_shard(samples, plan, shard, path, manner.threads, bar.update)
                write_file(folder.receipt_path(shard), _as_json(facts))
            shards.append(facts)
    return shards


def _publish(folder: WorkFolder, target: str, facts: dict[str, Any]) -> None:
    result = folder.file("result")
    with open(os.path.join(result, FACTS), "wb") as file:
        file.write(_as_json(facts))
        file.flush()
        os.fsync(file.fileno())
    for path in (os.path.join(result, "data"), result):
        _flush_folder(path)
    if os.path.isdir(target) and os.listdir(target):  # an export that may be replaced: _finished has looked
        old = folder.file("old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
    os.rename(result, target)
    _flush_folder(os.path.dirname(target))


def _facts(path: str) -> dict[str, Any] | None:
    """The JSON object in a file of ours; None where there is no file, or none of ours."""
    with suppress(FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        if os.path.getsize(path) <= LARGEST:
            with open(path, "rb") as file:
                facts = json.loads(file.read())
            return facts if isinstance(facts, dict) else None
    return None


def _comparable(known: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """What an earlier export says about what decides its rows."""
    return {name: known.get(name) for name in plan.facts()}


def _as_json(facts: dict[str, Any]) -> bytes:
    return (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()


def _flush_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""What lies where the datasets are to go: nothing, the same datasets already, or others that must not be replaced."""

import os
import re
from collections.abc import Sequence

from preprocess.indexed.object_store import dataset_exists, dataset_sidecar, file_size, names_like, remove_file
from preprocess.indexed.sidecar import Sidecar
from preprocess.pipeline.plan import Plan
from preprocess.pipeline.provenance import lines_path
from preprocess.pipeline.work_folder import ResumeError, refuse_differences

SPLIT_NAME = re.compile(r"-(\d{5,})-of-(\d{5,})\.idx\Z")


def dataset_prefixes(output_prefix: str, plan: Plan) -> list[str]:
    """The datasets' prefixes, one for each key, named as Megatron-LM names them."""
    return [f"{output_prefix}_{key}_{plan.options.level}" for key in plan.options.json_keys]


def split_prefix(prefix: str, number: int, count: int) -> str:
    """The prefix of one of several datasets that together are what one would have been."""
    return f"{prefix}-{number:05d}-of-{count:05d}"


def remove_other_splits(prefix: str, count: int) -> None:
    """Take away those that an earlier run cut into another number: nobody should train on both."""
    for name in names_like(prefix, "-*-of-*.idx"):
        match = SPLIT_NAME.search(name)
        if match and int(match[2]) != count:
            for kind in ("idx", "bin", "json"):
                remove_file(f"{name.removesuffix('.idx')}.{kind}")


def is_complete(prefixes: Sequence[str], plan: Plan, *, split: bool) -> bool:
    """Whether all datasets are there, made from the same; an error when one was made otherwise."""
    complete = 0
    for prefix in prefixes:
        found = _split_datasets(prefix) if split else [prefix] if dataset_exists(prefix) else []
        for name in found:
            _refuse_others(name, plan)
        complete += bool(found)
    return complete == len(prefixes)


def _split_datasets(prefix: str) -> list[str]:
    names = names_like(prefix, "-*-of-*.idx")
    matches = [match for match in map(SPLIT_NAME.search, names) if match]
    if not matches:
        return []
    wanted = [split_prefix(prefix, number, int(matches[0][2])) for number in range(int(matches[0][2]))]
    return wanted if {f"{name}.idx" for name in wanted} <= set(names) else []


def _refuse_others(prefix: str, plan: Plan) -> None:
    sidecar = dataset_sidecar(prefix)
    settings = {} if sidecar is None else sidecar.settings
    if sidecar is None or not {"plan", "options", "tokenizer"} <= settings.keys():
        raise ResumeError(
            f"{prefix}.idx: found a dataset that this command has not made, expected a free name; choose another "
            "output prefix, or replace it with --overwrite"
        )
    _refuse_damage(prefix, sidecar, plan)
    if settings.get("identity") != plan.identity_digest:
        _refuse_differences(prefix, sidecar, plan)
    if plan.options.on_error == "error" and _left_out(sidecar):
        raise ResumeError(
            f"{prefix}.idx: found a finished dataset from which records were left out ({_left_out(sidecar)}), expected "
            "none with --on-error error; give --on-error as before, or start again with --overwrite"
        )


def _refuse_damage(prefix: str, sidecar: Sidecar, plan: Plan) -> None:
    wanted = {f"{prefix}.bin": sidecar.bin_size, f"{prefix}.idx": sidecar.idx.bytes}
    for path, size in wanted.items():
        found = file_size(path)
        if found != size:
            was = "nothing" if found is None else f"{found} bytes"
            raise ResumeError(f"{path}: found {was}, expected {size} bytes; make it again with --overwrite")
    if plan.options.provenance and not os.path.exists(lines_path(prefix)):
        raise ResumeError(f"{lines_path(prefix)}: found nothing, expected lines; make it again with --overwrite")


def _refuse_differences(prefix: str, sidecar: Sidecar, plan: Plan) -> None:
    settings = sidecar.settings
    inputs = [[file.name, file.bytes, file.sha256 or file.modified_ns] for file in sidecar.inputs]
    old = {"options": settings["options"], "tokenizer": settings["tokenizer"], "inputs": inputs}
    refuse_differences(f"{prefix}.idx", "a finished dataset", old, plan.identity)


def _left_out(sidecar: Sidecar) -> str:
    parts = [f"{count} {reason}" for reason, count in sidecar.statistics.get("skipped", {}).items()]
    parts += [str(file["name"]) for file in sidecar.statistics.get("files_left_out", [])]
    return ", ".join(parts)

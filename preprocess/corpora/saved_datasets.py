"""Hugging Face datasets: what `save_to_disk` wrote, or what a name on the hub stands for, as inputs.

Finding them takes a look at small JSON files; the package itself is imported when rows are read (see tables.py).
"""

import functools
import glob
import json
import os
from collections.abc import Iterable
from typing import Any

from preprocess.corpora.corpus_file import CorpusFile, compare_state, corrupt, folder_state, missing_package
from preprocess.corpora.errors import CorpusError
from preprocess.errors import os_failure

_DICT = "dataset_dict.json"
_STATE = "state.json"
_INFO = "dataset_info.json"


def is_saved_dataset(path: str) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    if os.path.isfile(os.path.join(path, _DICT)):
        return True
    if not any(os.path.isfile(os.path.join(path, name)) for name in (_STATE, _INFO)):
        return False
    return bool(glob.glob(os.path.join(glob.escape(path), "*.arrow")))  # corpora can have a state.json of their own


def saved_dataset(path: str, split: str | None) -> CorpusFile:
    """Describe a saved dataset, or one split of several that were saved together."""
    folder = path
    if os.path.isfile(os.path.join(path, _DICT)):
        splits = _json(path, _DICT).get("splits") or []
        if split not in splits:
            raise unknown_split(path, split, splits)
        folder = os.path.join(path, str(split))
    elif os.path.isfile(os.path.join(path, _STATE)):
        own = _json(path, _STATE).get("_split")
        if split is not None and own not in (None, split):
            raise unknown_split(path, split, [own])
    try:
        size, modified_ns = folder_state(folder)
    except OSError as error:
        raise os_failure(path, "list its files", error, "check the folder") from error
    return CorpusFile(path, os.path.abspath(folder), size, modified_ns, "datasets", split=split)


def hub_dataset(name: str, split: str | None) -> CorpusFile:
    """Describe a dataset on the hub, ``name`` or ``name:config``."""
    return CorpusFile(name, name, 0, 0, "datasets", split=split)


def unknown_split(name: str, split: str | None, splits: Iterable[str]) -> CorpusError:
    """Say which splits there are."""
    found = "several splits" if split is None else f"no split {split!r}"
    return CorpusError(name, "splits", found, f"one of {', '.join(map(str, splits))}", "choose one with --split")


def check_saved_dataset(file: CorpusFile) -> None:
    """Raise CorpusError when a saved dataset is not what was found."""
    if os.path.isabs(file.path):
        compare_state(file, *folder_state(file.path))


@functools.lru_cache(maxsize=4)
def open_dataset(file: CorpusFile) -> Any:
    """Open a dataset; those last used stay open, since a run reads many ranges of one."""
    try:
        import datasets
    except ImportError as error:
        raise missing_package(file.name, "datasets", "reading a Hugging Face dataset") from error
    if os.path.isabs(file.path):
        try:
            return datasets.load_from_disk(file.path).with_format("arrow")
        except Exception as error:  # of Arrow, of JSON, of the package, each with its own base
            raise corrupt(file, "dataset", f"{type(error).__name__}: {error}") from error
    path, _, configuration = file.path.partition(":")
    try:
        loaded = datasets.load_dataset(path, configuration or None, split=file.split)
    except Exception as error:  # no connection, no such name, no such split, a script that is not allowed to run
        reason = " ".join(str(error).split()) or type(error).__name__
        remedy = "check the name (NAME or NAME:CONFIG), --split, the connection and HF_TOKEN"
        raise CorpusError(file.name, "load_dataset", reason, "a dataset", remedy) from error
    if isinstance(loaded, dict):
        raise unknown_split(file.name, None, loaded)
    return loaded.with_format("arrow")


def _json(path: str, name: str) -> dict[str, Any]:
    whole = os.path.join(path, name)
    try:
        with open(whole, encoding="utf-8") as file:
            content = json.load(file)
    except OSError as error:
        raise os_failure(whole, "read it", error, "check the file") from error
    except ValueError as error:
        raise CorpusError(whole, "", f"no JSON: {error}", "what save_to_disk writes", "save it again") from error
    if not isinstance(content, dict):
        raise CorpusError(whole, "", "no JSON object", "what save_to_disk writes", "save it again")
    return content

"""Inputs that are named by URL: what they are, before any of it is downloaded; then local copies of them.

arguments --look, list--> RemoteInputs: files by argument, with sizes and versions --staging.py--> local copies
          --inputs.py--> CorpusFile for each, under its URL

A pattern or a folder means what it means on a disk, but for one thing: of a folder, files whose names do not tell a
format are left out and named, since only a download could show what they are.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from preprocess.corpora.errors import CorpusError
from preprocess.corpora.inputs import format_by_name, is_private
from preprocess.staging import StagedFile, Staging
from preprocess.stores import RemoteFile, Store, is_url

_SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")


@dataclass
class RemoteInputs:
    """The files behind the URLs among the arguments of a command."""

    files: dict[str, list[tuple[Store, RemoteFile]]] = field(default_factory=dict)  # by argument
    left_out: list[str] = field(default_factory=list)

    @property
    def versions(self) -> dict[str, str]:
        """What tells each of them from a later state of it."""
        return {file.url: f"{file.bytes} {file.version}".strip() for _, file in self._all()}

    def stage(self, staging: Staging) -> dict[str, list[StagedFile]]:
        """Local copies of all, by argument."""
        copies = {staged.url: staged for staged in staging.fetch(self._all())} if self.files else {}
        return {argument: [copies[file.url] for _, file in files] for argument, files in self.files.items()}

    def _all(self) -> list[tuple[Store, RemoteFile]]:
        return [each for files in self.files.values() for each in files]


def find_remote_inputs(arguments: Sequence[str], *, format: str = "auto") -> RemoteInputs:  # noqa: A002
    """Ask the stores what the URLs among `arguments` mean; all that is wrong with them is an error now."""
    found = RemoteInputs()
    urls: dict[tuple[str, str], str] = {}
    for argument in filter(is_url, arguments):
        store = Store(argument)
        files = _files_of(store, format, found)
        for file in files:
            key = (store.name, file.path)
            if key in urls:
                remedy = "name it once; for weights, make one dataset a source and blend them"
                raise CorpusError(file.url, "", f"the same file as {urls[key]}", "each file once", remedy)
            urls[key] = file.url
        found.files[argument] = [(store, file) for file in files]
    return found


def _files_of(store: Store, wanted: str, found: RemoteInputs) -> list[RemoteFile]:
    if store.is_glob():
        listed, root = store.files(), store.root
        if not listed:
            remedy = "check the pattern; quote it, so that the shell leaves it alone"
            raise CorpusError(store.url, "", "no match", "at least one file", remedy)
        files = [file for file in listed if not _is_private(file, root)]
    else:
        single = store.look()
        if single is not None:
            return [single]
        listed, root = store.files(), store.root
        _refuse_saved_dataset(store.url, listed)
        files = [file for file in listed if not _is_private(file, root) and _may_be(file, wanted)]
    found.left_out += sorted({file.url for file in listed} - {file.url for file in files})
    if not files:
        what = "no file that is a corpus" if wanted == "auto" else f"no file of the format {wanted}"
        remedy = "check the URL, or name the files with a pattern, and their format with --format"
        raise CorpusError(store.url, "", what, "files whose names tell their format", remedy)
    return files


def _is_private(file: RemoteFile, root: str) -> bool:
    return any(is_private(part) for part in file.path.removeprefix(root).split("/"))


def _may_be(file: RemoteFile, wanted: str) -> bool:
    by_name = format_by_name(file.path)
    return by_name is not None if wanted == "auto" else by_name in (None, wanted)


def _refuse_saved_dataset(url: str, listed: Sequence[RemoteFile]) -> None:
    names = {os.path.basename(file.path) for file in listed}
    if names & set(_SAVED) and any(name.endswith(".arrow") for name in names):
        remedy = "copy the folder to a disk and name that, or save it as Parquet"
        raise CorpusError(url, "", "a dataset that save_to_disk wrote", "JSON lines, text or Parquet", remedy)

"""From what the user names to files that can be planned with: standard input and URLs become local files first.

arguments --URLs: listed, compared with what earlier runs had--> --downloaded--> --find_inputs--> Sources
          -- "-": spooled -->

A run that goes on, or that is done already, notices here that an object is another one now: before any download.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.inputs import find_inputs
from preprocess.corpora.remote_inputs import RemoteInputs, find_remote_inputs
from preprocess.errors import MaskgenError
from preprocess.indexed.object_store import dataset_sidecar
from preprocess.indexed.parts import file_sha256
from preprocess.indexed.sidecar import Sidecar, is_sidecar
from preprocess.pipeline.options import Options
from preprocess.pipeline.work_folder import WorkFolder, refuse_differences
from preprocess.staging import Staging, spool_stdin
from preprocess.stores import is_url


@dataclass
class Sources:
    """The inputs of a run."""

    files: list[CorpusFile] = field(default_factory=list)
    content: dict[str, str] = field(default_factory=dict)  # sha256 of those that have no lasting local name
    remote: dict[str, str] = field(default_factory=dict)  # versions of what the URLs mean
    left_out: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What the user should know."""
        more = f" and {len(self.left_out) - 5} more" if len(self.left_out) > 5 else ""
        shown = ", ".join(self.left_out[:5])
        return [f"left out, since they are no corpus: {shown}{more}"] if self.left_out else []


def gather(
    names: Sequence[str], remote: RemoteInputs, options: Options, work: WorkFolder, *, alone: bool, quiet: bool
) -> Sources:
    """Make local files of all inputs, and find out what they are. `alone`: no other machine has to see them."""
    sources = Sources(remote=remote.versions)
    names, spooled = list(names), ""
    if "-" in names:
        spooled = _spooled(work, alone)
        names = [spooled if name == "-" else name for name in names]
        sources.content["-"] = file_sha256(spooled)
    staged = remote.stage(Staging(work.inputs, quiet=quiet))
    found = find_inputs(names, format=options.format, split=options.split, staged=staged)
    sources.content |= {copy.url: copy.sha256 for copies in staged.values() for copy in copies}
    sources.left_out = remote.left_out + found.left_out
    for file in found.files:
        if file.path.endswith(".quarantine.jsonl") or (file.path.endswith(".json") and is_sidecar(file.path)):
            sources.left_out.append(file.name)  # made by an earlier run in the same folder
        else:
            sources.files.append(replace(file, name="-") if file.name == spooled else file)
    used = {file.name for file in sources.files}
    sources.content = {name: sha256 for name, sha256 in sources.content.items() if name in used}
    return sources


def list_remote(names: Sequence[str], options: Options) -> RemoteInputs:
    """What the URLs among the inputs mean."""
    return find_remote_inputs(names, format=options.format)


def finished_sources(names: Sequence[str], remote: RemoteInputs, prefixes: Sequence[str]) -> Sources | None:
    """The inputs of a finished dataset, if all are behind the same URLs and unchanged: then nothing is downloaded."""
    if not remote.files or not all(map(is_url, names)):
        return None
    sidecar = next(filter(None, map(dataset_sidecar, prefixes)), None)
    known = None if sidecar is None else _command(sidecar).get("remote")
    if sidecar is None or not isinstance(known, dict):
        return None
    if known != remote.versions:
        _refuse_changes(f"{prefixes[0]}.idx", "a finished dataset", known, remote.versions)
    files = [CorpusFile(file.name, "", file.bytes, 0, "") for file in sidecar.inputs]
    return Sources(files, {file.name: file.sha256 or "" for file in sidecar.inputs}, remote.versions)


def refuse_changed(work: WorkFolder, remote: RemoteInputs) -> None:
    """Raise when there is unfinished work on another state of what a URL names."""
    known = work.load_plan_or_none()
    if known is not None and work.finished(known):
        now = {url: version for url, version in remote.versions.items() if url in known.remote}
        then = {url: known.remote[url] for url in now}
        _refuse_changes(work.path, "unfinished work", then, now)


def _refuse_changes(path: str, what: str, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    refuse_differences(path, what, _identity(then), _identity(now))


def _identity(versions: Mapping[str, str]) -> dict[str, object]:
    inputs = [[url, *version.partition(" ")[::2]] for url, version in versions.items()]
    return {"options": {}, "tokenizer": {}, "inputs": inputs}


def _command(sidecar: Sidecar) -> Mapping[str, object]:
    command = sidecar.settings.get("command")
    return command if isinstance(command, dict) else {}


def _spooled(work: WorkFolder, alone: bool) -> str:
    if sys.stdin is None:
        raise MaskgenError("-: found standard input closed, expected text; pipe it in")
    if not alone:
        raise MaskgenError("-: found standard input, expected files that every task can read; save it to a file")
    spooled = spool_stdin(sys.stdin.buffer, work.path)
    if not os.path.getsize(spooled):
        raise MaskgenError("-: found nothing on standard input, expected text; check what is piped in")
    return spooled

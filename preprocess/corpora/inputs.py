"""What the user names, as a list of the corpus files in it.

arguments --globs and folders expanded, sorted--> files --format by name or first byte, compression by first bytes-->
CorpusFile for each, none of them twice

Nothing is passed over in silence: what a folder holds that is no corpus is listed in `left_out`, and what is named but
cannot be read is an error.
"""

import glob
import hashlib
import io
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache

from preprocess.corpora.compression import EXTENSIONS, HEAD_BYTES, compression_of, open_stream, zstandard_context
from preprocess.corpora.corpus_file import UTF8_MARK, CorpusFile, has_foreign_mark
from preprocess.corpora.errors import CorpusError
from preprocess.corpora.saved_datasets import hub_dataset, is_saved_dataset, saved_dataset
from preprocess.errors import ExplainedError, MaskgenError, os_failure
from preprocess.probing import look_at
from preprocess.staging import StagedFile

FORMATS = ("auto", "jsonl", "text", "parquet", "datasets")

_FORMAT_OF = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".text": "text",
    ".parquet": "parquet",
}
_ARCHIVES = {b"PK\x03\x04": "a ZIP archive", b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"\x04\x22\x4d\x18": "LZ4"}
LOOKS = 16  # places: 64 KiB of a file at most, so small ones are read whole
_SNIFFED = 1 << 16  # bytes in which the first that is not white space must be
_KINDS = {
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
_NAME_THE_FORMAT = "name the format with --format"


@dataclass
class FoundInputs:
    """The files to read, in the order in which they are read, and what folders hold beside them."""

    files: list[CorpusFile] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def find_inputs(
    arguments: Sequence[str],
    *,
    format: str = "auto",  # noqa: A002
    split: str | None = None,
    staged: Mapping[str, Sequence[StagedFile]] | None = None,
) -> FoundInputs:
    """Find the files that `arguments` name: files, folders, globs, and Hugging Face datasets.

    Of a URL, `staged` has the local copies of its files (preprocess.corpora.remote_inputs makes them).
    """
    if format not in FORMATS:
        raise CorpusError("--format", "", repr(format), f"one of {', '.join(FORMATS)}", "choose one of them")
    found = FoundInputs()
    for argument in arguments:
        if staged is not None and argument in staged:
            _add_staged(argument, staged[argument], format, found)
        else:
            _add(argument, format, split, found)
    _refuse_repetitions(found.files)
    if split is not None and not any(file.format == "datasets" for file in found.files):
        raise CorpusError("--split", "", repr(split), "a Hugging Face dataset among the inputs", "leave --split out")
    return found


def find_again(name: str, path: str, *, format: str = "auto", split: str | None = None) -> CorpusFile:  # noqa: A002
    """Find the input that an earlier run has found under `name`, and that lies at `path` now."""
    if format == "datasets" and not os.path.lexists(path):
        return hub_dataset(name, split)
    if format in ("auto", "datasets") and is_saved_dataset(path):
        return replace(saved_dataset(path, split), name=name)
    its_format = format if format != "auto" else format_by_name(name) or _format_by_content(path)
    if its_format is None:
        raise _no_corpus(path, format)
    return replace(_corpus_file(path, its_format), name=name)


@lru_cache(4096)  # of an input that is in many datasets
def input_look(file: CorpusFile) -> str | None:
    """A digest of a few places of an input, to know it again; None where there is no such file any more."""
    if file.format == "datasets":
        return None
    digest = hashlib.sha256()
    try:
        state = os.stat(file.path)
        if (state.st_size, state.st_mtime_ns) != (file.bytes, file.modified_ns):
            return None
        look_at(file.path, file.bytes, LOOKS, digest)
    except (OSError, MaskgenError):  # it was there while it was needed
        return None
    return digest.hexdigest()[:32]


def _add_staged(url: str, files: Sequence[StagedFile], wanted: str, found: FoundInputs) -> None:
    """Add local copies under the URLs of what they are copies of."""
    before = len(found.files)
    for file in files:
        try:
            named = len(files) == 1 and file.url == url
            its_format = _format_of_named(file.path, wanted) if named else _format_of_listed(file.path, wanted)
            if its_format is None:
                found.left_out.append(file.url)
            else:
                found.files.append(replace(_corpus_file(file.path, its_format), name=file.url))
        except ExplainedError as error:
            error.path = file.url
            raise
    if len(found.files) == before:
        raise _no_corpus(url, wanted)


def _add(argument: str, wanted: str, split: str | None, found: FoundInputs) -> None:
    is_glob = not os.path.lexists(argument) and glob.has_magic(argument)
    if is_glob:
        _add_hits(argument, wanted, split, found)
    elif wanted == "datasets" and not os.path.lexists(argument):
        found.files.append(hub_dataset(argument, split))
    elif is_saved_dataset(argument) and wanted in ("auto", "datasets"):
        found.files.append(saved_dataset(argument, split))
    elif stat.S_ISDIR(_state(argument).st_mode):
        _add_folder(argument, wanted, split, found)
    else:
        found.files.append(_corpus_file(argument, _format_of_named(argument, wanted)))


def _add_hits(pattern: str, wanted: str, split: str | None, found: FoundInputs) -> None:
    """Add what a glob matches; a folder it matches, and the files of that folder that it matches too, once."""
    hits = sorted(glob.glob(pattern, recursive=True))
    if not hits:
        remedy = "check the pattern; quote it, so that the shell leaves it alone"
        raise CorpusError(pattern, "", "no match", "at least one file", remedy)
    files: dict[str, CorpusFile] = {}
    left_out: dict[str, None] = {}
    for hit in hits:
        inside = FoundInputs()
        if os.path.isdir(hit):
            _walk(hit, wanted, split, inside)
        else:
            _add_listed(hit, wanted, inside)
        files.update((file.path, file) for file in inside.files)
        left_out.update(dict.fromkeys(os.path.normpath(name) for name in inside.left_out))
    found.files += sorted(files.values(), key=lambda file: file.name)
    found.left_out += left_out
    if not files:
        raise _no_corpus(pattern, wanted)


def _add_folder(folder: str, wanted: str, split: str | None, found: FoundInputs) -> None:
    inside = FoundInputs()
    _walk(folder, wanted, split, inside)
    if not inside.files:
        raise _no_corpus(folder, wanted)
    found.files += sorted(inside.files, key=lambda file: file.name)
    found.left_out += sorted(inside.left_out)


def _walk(top: str, wanted: str, split: str | None, found: FoundInputs) -> None:
    """Add all files below a folder, following links to folders, each folder once."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(top, onerror=_unreadable, followlinks=True):
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in seen:
            found.left_out.append(f"{folder}/ (a link to a folder that is read already)")
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        if wanted in ("auto", "datasets") and is_saved_dataset(folder):
            found.files.append(saved_dataset(folder, split))
            folders.clear()
            continue
        found.left_out += [f"{os.path.join(folder, name)}/" for name in folders if is_private(name)]
        folders[:] = sorted(name for name in folders if not is_private(name))
        for name in names:
            _add_listed(os.path.join(folder, name), wanted, found)


def _unreadable(error: OSError) -> None:
    raise os_failure(str(error.filename), "list the folder", error, "check the folder") from error


def _add_listed(path: str, wanted: str, found: FoundInputs) -> None:
    """Add a file that was not named itself, if it is a corpus of the wanted format."""
    if is_private(os.path.basename(path)) or (its_format := _format_of_listed(path, wanted)) is None:
        found.left_out.append(path)
    else:
        found.files.append(_corpus_file(path, its_format))


def is_private(name: str) -> bool:
    """Whether a name is one that tools give to what is not data: .git, _SUCCESS, _temporary."""
    return name.startswith((".", "_"))


def format_by_name(path: str) -> str | None:
    """The format that a name promises, with or without the ending of a compression."""
    stem, extension = os.path.splitext(os.path.basename(path).lower())
    if extension in EXTENSIONS:
        extension = os.path.splitext(stem)[1]
    return _FORMAT_OF.get(extension)


def _format_of_listed(path: str, wanted: str) -> str | None:
    by_name = format_by_name(path)
    if by_name is None:
        by_name = "text" if wanted == "text" else _format_by_content(path)
    return by_name if wanted in ("auto", by_name) else None


def _format_of_named(path: str, wanted: str) -> str:
    if wanted == "datasets":
        expected = "a folder that Dataset.save_to_disk wrote, or the name of a dataset on the hub"
        raise CorpusError(path, "", "a file", expected, "name the folder, or another --format")
    its_format = wanted if wanted != "auto" else format_by_name(path) or _format_by_content(path)
    if its_format is None:
        _refuse_archive(path, _head(path))
        expected = f"a name that ends in {', '.join(_FORMAT_OF)}, or content that starts with {{"
        raise CorpusError(path, "format", "neither name nor content that tells it", expected, _NAME_THE_FORMAT)
    return its_format


def _format_by_content(path: str) -> str | None:
    """Tell JSON lines (also those in UTF-16, which reading refuses with a reason) and Parquet by their beginning."""
    file = _corpus_file(path, "")
    room = bytearray(_SNIFFED)
    with closing(open_stream(file)) as stream:
        head = bytes(room[: stream.readinto(memoryview(room))])
    if has_foreign_mark(head):
        return "jsonl" if head[2:].lstrip(b"\0\xfe\xff")[:1] == b"{" else None
    if head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if head.removeprefix(UTF8_MARK).lstrip().startswith(b"{") else None


def _corpus_file(name: str, its_format: str) -> CorpusFile:
    state = _state(name)
    for is_kind, kind in _KINDS.items():
        if is_kind(state.st_mode):
            remedy = "write what comes out of it to a file, or pipe it in and name -"
            raise CorpusError(name, "", kind, "a regular file", remedy)
    head = _head(name)
    compression = compression_of(head)
    promised = EXTENSIONS.get(os.path.splitext(name.lower())[1])
    if promised not in (None, compression) and head:
        remedy = "rename it, or make it again"
        raise CorpusError(name, "byte 0", f"no {promised}", f"{promised}, by the name of the file", remedy)
    if its_format:
        _refuse_archive(name, head)
    if its_format == "parquet" and compression is not None:
        found = f"a Parquet file inside {compression}"
        raise CorpusError(name, "byte 0", found, "a Parquet file, which compresses its own content", "unpack it")
    if compression == "zstd":
        zstandard_context(name)
    return CorpusFile(name, os.path.abspath(name), state.st_size, state.st_mtime_ns, its_format, compression)


def _refuse_archive(name: str, head: bytes) -> None:
    for magic, kind in _ARCHIVES.items():
        if head.startswith(magic):
            raise CorpusError(name, "byte 0", kind, "a plain file, or gzip, zstd, bzip2 or xz", "unpack it")


def _state(name: str) -> os.stat_result:
    try:
        return os.stat(name)
    except FileNotFoundError as error:
        found = "a link to nothing" if os.path.islink(name) else "no file of that name"
        remedy = "check the name; --format datasets is for datasets of the Hugging Face hub"
        raise CorpusError(name or "''", "", found, "a file or folder", remedy) from error
    except (OSError, ValueError) as error:  # a link to itself, no permission, a name with NUL
        found = getattr(error, "strerror", None) or str(error)
        expected = "a file or folder that can be read"
        raise CorpusError(name, "", found, expected, "check the name and the path") from error


def _head(name: str) -> bytes:
    try:
        with io.FileIO(name) as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise os_failure(name, "open it", error, "check the file") from error


def _no_corpus(name: str, wanted: str) -> CorpusError:
    found = "no file that is a corpus" if wanted == "auto" else f"no file of the format {wanted}"
    remedy = f"check the name, or {_NAME_THE_FORMAT}"
    return CorpusError(name, "", found, f"files that end in {', '.join(_FORMAT_OF)}", remedy)


def _refuse_repetitions(files: Sequence[CorpusFile]) -> None:
    names: dict[str, str] = {}
    for file in files:
        real = os.path.realpath(file.path) if os.path.isabs(file.path) else file.path
        if real in names:
            remedy = "name it once; for weights, make one dataset a source and blend them"
            raise CorpusError(file.name, "", f"the same file as {names[real]}", "each file once", remedy)
        names[real] = file.name

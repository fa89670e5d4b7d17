"""How a line of an input begins, while the input is still there and still what it was."""

import os

from maskgen.input_places import InputPlaces
from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.inputs import find_again
from preprocess.corpora.line_blocks import line_blocks
from preprocess.errors import MaskgenError
from preprocess.indexed.sidecar import Sidecar
from preprocess.pipeline.provenance import Origin

SHOWN = 160  # characters
LONGEST = 1 << 20  # bytes of a line that are held; of longer ones the beginning is


def beginning(sidecar: Sidecar, origin: Origin, places: InputPlaces) -> str:
    """The first characters of the line that a document came from, or in brackets why there are none."""
    known = next(file for file in sidecar.inputs if file.name == origin.file)
    path = places.path(origin.file)
    if not os.path.exists(path):
        return f"({path} is not there; --root DIR or --input OLD=NEW say where it is)"
    options = sidecar.settings.get("options")
    try:
        format_ = str(options.get("format", "auto")) if isinstance(options, dict) else "auto"
        if format_ == "datasets" or os.path.isdir(path):
            return "(a row, not a line)"
        file = find_again(origin.file, path, format=format_)
        if file.format == "parquet":
            return "(a row, not a line)"
        if file.bytes != known.bytes:
            return f"({path} is another file now, of {file.bytes:,} bytes and not {known.bytes:,})"
        raw = _line(file, origin.line - 1)
    except MaskgenError as error:
        return f"({error})"
    if raw is None:
        return f"({path} is another file now: it has no line {origin.line:,})"
    text = raw[: 4 * SHOWN].decode(errors="replace").rstrip("\r\n")
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= SHOWN and len(raw) <= 4 * SHOWN else f"{text[:SHOWN]}…"


def _line(file: CorpusFile, number: int) -> bytes | None:
    """Line `number`, counted from 0, by reading up to it."""
    seen = 0
    for block in line_blocks(file, 0, file.bytes, max_line_bytes=LONGEST):
        if number < seen + block.lines:
            if block.problems:
                return block.problems[0].raw
            return bytes(block.data).split(b"\n")[number - seen]
        seen += block.lines
    return None

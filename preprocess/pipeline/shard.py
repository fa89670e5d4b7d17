"""One shard: from its pieces of the inputs to its files. What comes out depends on the plan alone.

piece --corpus reader--> records --DocumentEncoder--> ids --ShardWriter--> files, receipt
                                 --images.py, where captions have images--> ids, with the images' bytes
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.errors import REMEDIES, CorpusError, CorpusFileError, Problem
from preprocess.corpora.json_lines import JsonRecords, read_json_block
from preprocess.corpora.line_blocks import line_blocks
from preprocess.corpora.plain_text import read_text
from preprocess.corpora.records import TextRecords
from preprocess.corpora.tables import parquet_row_groups, read_datasets, read_parquet
from preprocess.pipeline.encoding import DocumentEncoder, Encoded
from preprocess.pipeline.images import encode_pairs
from preprocess.pipeline.options import Options
from preprocess.pipeline.plan import Piece, Plan
from preprocess.pipeline.shard_files import PieceCounts, Receipt, ShardWriter
from preprocess.pipeline.work_folder import WorkFolder
from preprocess.tokenization import Tokenizer


@dataclass
class Progress:
    """How far a shard has come."""

    number: int
    bytes: int = 0
    documents: int = 0
    tokens: int = 0


def run_shard(
    plan: Plan,
    number: int,
    work: WorkFolder,
    tokenizer: Tokenizer,
    *,
    limit: int | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Receipt:
    """Write the files of shard `number`; with `limit`, only of its first documents.

    A file that cannot be read to its end is left out as a whole where the options allow that: then the shard is done
    again without it, since by the time its checksum fails its documents have long been written.
    """
    left_out: dict[int, CorpusFileError] = {}
    while True:
        attempt = _Attempt(plan, number, work, tokenizer, limit, report, left_out)
        try:
            return attempt.run()
        except CorpusFileError as error:
            if plan.options.on_error == "error":
                raise
            left_out[attempt.piece] = error
        finally:
            attempt.writer.discard()


class _Attempt:
    def __init__(
        self,
        plan: Plan,
        number: int,
        work: WorkFolder,
        tokenizer: Tokenizer,
        limit: int | None,
        report: Callable[[Progress], None],
        left_out: dict[int, CorpusFileError],
    ) -> None:
        self._plan, self._number, self._limit, self._report = plan, number, limit, report
        self._left_out = left_out
        self._encoder = DocumentEncoder(tokenizer, plan.options)
        self._unknown = tokenizer.roles.unk
        self._progress = Progress(number)
        self.piece = 0
        options = plan.options
        self.writer = ShardWriter(
            work,
            number,
            len(plan.options.json_keys),
            size=plan.shard_bytes(number),
            lines=options.provenance,
            quarantine=options.on_error == "quarantine",
        )

    def run(self) -> Receipt:
        for number, piece in enumerate(self._plan.shards[self._number]):
            self.piece = number
            counts = self.writer.begin_piece()
            error = self._left_out.get(self.piece)
            if self._progress.documents == self._limit:
                continue
            if error is not None:
                counts.unreadable = [error.reason, error.found]
            else:
                self._read(piece, counts)
        return self.writer.finish(self._plan.digest, self._limit)

    def _read(self, piece: Piece, counts: PieceCounts) -> None:
        file = self._plan.files[piece.file]
        for records, encoded in encode_piece(self._encoder, file, piece, self._plan.options):
            problems, lines, lines_read = records.problems, records.lines, records.lines_read
            left = len(records) if self._limit is None else self._limit - self._progress.documents
            full = self._limit is not None and len(records) >= left
            if full:  # what follows the last document that is wanted does not count
                lines = lines[:left]
                lines_read = int(lines[-1]) + 1 - counts.lines
                problems = [problem for problem in problems if problem.line <= lines[-1]]
                encoded = [each.first(left) for each in encoded]
            if problems and self._plan.options.on_error == "error":
                raise bad_record(file, piece, problems[0])
            self._write(file, lines, problems, encoded)
            counts.documents += len(lines)
            counts.lines += lines_read
            self._progress.documents += len(lines)
            self._progress.bytes += records.bytes_read
            self._progress.tokens += sum(len(each.ids) for each in encoded)
            self._report(self._progress)
            if full:
                break

    def _write(
        self,
        file: CorpusFile,
        lines: npt.NDArray[np.int64],
        problems: Sequence[Problem],
        encoded: Sequence[Encoded],
    ) -> None:
        for key, each in enumerate(encoded):
            self.writer.add(key, each.ids, each.sequence_lengths, each.sequence_counts)
            unknown = 0 if self._unknown is None else each.count_of(self._unknown)
            self.writer.count(key, each.document_lengths(), unknown)
        self.writer.add_lines(lines)
        self.writer.add_problems(file.name, problems)


def encode_piece(
    encoder: DocumentEncoder, file: CorpusFile, piece: Piece, options: Options
) -> Iterator[tuple[JsonRecords | TextRecords, Sequence[Encoded]]]:
    """The records of one piece, some at a time, and their ids for each key."""
    for block in read_piece(file, piece, options):
        if options.images is None:
            yield encoder.encode(block, len(options.json_keys))
        else:
            yield from encode_pairs(encoder, block, file, options)


def read_piece(file: CorpusFile, piece: Piece, options: Options) -> Iterator[JsonRecords | TextRecords]:
    """The records of one piece, some at a time."""
    if file.format == "jsonl":
        for block in line_blocks(file, piece.begin, piece.end, max_line_bytes=options.max_line_bytes):
            records = read_json_block(
                block.data,
                options.columns,
                offset=block.offset,
                lines_before=block.lines_before,
                bytes_read=block.bytes_read,
            )
            if block.problems:  # a line that is too long, which is then all of the block
                records = replace(records, problems=block.problems, lines_read=block.lines)
            yield records
    elif file.format == "text":
        yield from read_text(
            file, piece.begin, piece.end, documents=options.text_documents, max_line_bytes=options.max_line_bytes
        )
    elif file.format == "parquet":
        yield from read_parquet(file, piece.begin, piece.end, options.json_keys)
    else:
        yield from read_datasets(file, piece.begin, piece.end, options.json_keys)


def bad_record(file: CorpusFile, piece: Piece, problem: Problem) -> CorpusError:
    """The error for a record that is no document, with the line counted from the start of the file."""
    if file.format in ("parquet", "datasets"):
        before = piece.begin if file.format == "datasets" else sum(parquet_row_groups(file)[: piece.begin])
        place = f"row {before + problem.line + 1}"
    else:
        line = problem.line if piece.begin == 0 else count_lines(file.path, problem.offset)
        place = f"line {line + 1}, byte {problem.offset}"
    found = f"{problem.reason} ({problem.found})" if problem.found else problem.reason
    remedy = f"{REMEDIES[problem.reason]}, or leave such records out with --on-error skip"
    return CorpusError(file.name, place, found, "a document", remedy, problem.reason)


def count_lines(path: str, end: int) -> int:
    """How many lines end before byte `end`. Only errors need it, so that the shards do not."""
    lines = 0
    with open(path, "rb") as file:
        while end > 0:
            data = file.read(min(end, 1 << 20))
            if not data:
                break
            lines += data.count(b"\n")
            end -= len(data)
    return lines

"""The texts of a corpus as Python strings, one after the other: what a tokenizer is trained on.

inputs --stage_inputs, where they are URLs--find_inputs--> files --read_piece, as a shard does--> records --> texts
"""

from collections.abc import Iterator, Mapping, Sequence

from preprocess.corpora.inputs import find_inputs
from preprocess.corpora.remote_inputs import find_remote_inputs
from preprocess.pipeline.options import Options
from preprocess.pipeline.plan import cut_file
from preprocess.pipeline.shard import bad_record, read_piece
from preprocess.staging import StagedFile, Staging


def stage_inputs(inputs: Sequence[str], options: Options, staging: Staging) -> dict[str, list[StagedFile]]:
    """Local copies of what the URLs among the inputs name, for `read_texts`."""
    return find_remote_inputs(inputs, format=options.format).stage(staging)


def read_texts(
    inputs: Sequence[str], options: Options, staged: Mapping[str, Sequence[StagedFile]] | None = None
) -> Iterator[str]:
    """Every text of every document, or every sentence where it is a list of them. Bad records are errors."""
    for file in find_inputs(inputs, format=options.format, split=options.split, staged=staged).files:
        for piece in cut_file(0, file, options, 1 << 62):
            for block in read_piece(file, piece, options):
                records = block.as_text()
                if records.problems:
                    raise bad_record(file, piece, records.problems[0])
                for documents in records.documents:
                    for document in documents:
                        if isinstance(document, list):
                            yield from document
                        else:
                            yield document if isinstance(document, str) else document.decode()

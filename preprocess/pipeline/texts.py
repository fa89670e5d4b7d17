"""The texts of a corpus as Python strings, one after the other: what a tokenizer is trained on.

inputs --find_inputs--> files --read_piece, as a shard does--> records --> texts
"""

from collections.abc import Iterator, Sequence

from preprocess.corpora.inputs import find_inputs
from preprocess.pipeline.options import Options
from preprocess.pipeline.plan import cut_file
from preprocess.pipeline.shard import bad_record, read_piece


def read_texts(inputs: Sequence[str], options: Options) -> Iterator[str]:
    """Every text of every document, or every sentence where it is a list of them. Bad records are errors."""
    for file in find_inputs(inputs, format=options.format, split=options.split).files:
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

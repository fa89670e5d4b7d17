"""Say how full rows of documents are: packed by either strategy, as chunks of one stream, or one document a row.

Nothing is written: rows are planned from the lengths of the documents, which takes seconds for ten million of them.
Without --strategy all four are compared.
"""

import argparse
import json

EXAMPLES = """\
  maskgen pack corpus_text_document --seq-length 512
  maskgen pack corpus_text_document --seq-length 512 --strategy best-fit \\
      --add-special 101 102
  maskgen pack corpus_text_document --seq-length 2048 --split 969,30,1 \\
      --part valid --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen pack``."""
    parser.add_argument("prefix", metavar="PREFIX", help="the dataset, with or without .bin or .idx")
    parser.add_argument("--seq-length", type=int, required=True, metavar="N", help="entries of a row")
    parser.add_argument(
        "--strategy",
        action="append",
        choices=("best-fit", "sequential", "chunks", "documents"),
        help="how rows are made; may be repeated (all)",
    )
    parser.add_argument(
        "--add-special", type=int, nargs=2, metavar=("BEGIN", "END"), help="ids around each document; they take room"
    )
    parser.add_argument("--split", metavar="A,B,C", help="shares of training, validation and test documents")
    parser.add_argument("--part", choices=("train", "valid", "test"), help="which part of the split (train)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Plan the rows, and print how full they are."""
    from maskgen.mapping import MappingError, part_documents
    from maskgen.rows.description import KINDS, as_lines, facts_of, rows_of_kind
    from preprocess import IndexedDataset

    dataset = IndexedDataset(arguments.prefix)
    part = arguments.part or (None if arguments.split is None else "train")
    documents = range(*part_documents(arguments.split, part, len(dataset.document_indices) - 1))
    special = None if arguments.add_special is None else tuple(arguments.add_special)
    facts = []
    for kind in dict.fromkeys(arguments.strategy or KINDS):
        try:
            rows = rows_of_kind(kind, dataset, arguments.seq_length, documents, special)
        except MemoryError as error:
            raise MappingError(str(error)) from None
        facts.append(facts_of(rows, kind))
    if arguments.json:
        span = [documents.start, documents.stop]
        print(
            json.dumps(
                {"dataset": dataset.prefix, "documents": span, "seq_length": arguments.seq_length, "rows": facts}
            )
        )
    else:
        print(as_lines(dataset, documents, arguments.seq_length, facts), end="")
    return 0

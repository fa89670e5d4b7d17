"""Show what is in an indexed dataset: type, counts, lengths, origin.

Named documents are shown sequence by sequence: as text where a tokenizer is given, else as ids.
"""

import argparse
import sys

EXAMPLES = """\
  maskgen inspect corpus_text_document
  maskgen inspect corpus_text_document 0 17 --tokenizer tokenizer.json
  maskgen inspect corpus_text_document -1      (the last document)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen inspect``."""
    parser.add_argument("prefix", metavar="PREFIX", help="the dataset, with or without .bin or .idx")
    parser.add_argument("documents", nargs="*", type=int, metavar="DOCUMENT", help="documents to show, counted from 0")
    parser.add_argument("--tokenizer", metavar="PATH", help="tokenizer file or folder: show text instead of ids")


def run(arguments: argparse.Namespace) -> int:
    """Print the overview, or the documents that were asked for."""
    from maskgen.inspection import describe, show_document, show_origin
    from preprocess import IndexedDataset, load_tokenizer

    dataset = IndexedDataset(arguments.prefix)
    decode = load_tokenizer(arguments.tokenizer, engine="reference").decode if arguments.tokenizer else None
    if not arguments.documents:
        sys.stdout.write(describe(dataset))
    for document in arguments.documents:
        sys.stdout.write(show_document(dataset, document, decode))
        sys.stdout.write(show_origin(dataset, document))
    return 0

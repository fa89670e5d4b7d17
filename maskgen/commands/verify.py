"""Check indexed datasets. One line a finding; exit code 0 when there is none, 1 otherwise.

Always checked: file sizes, the whole index, and the sidecar's counts and index digest where there is one.
With --full all tokens are read: their digests, and the range of ids where the vocabulary is known.
"""

import argparse
import json

EXAMPLES = """\
  maskgen verify corpus_text_document
  maskgen verify --full --vocab-size 30522 part-*_text_document.idx
  maskgen verify --full --json corpus_text_document"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen verify``."""
    parser.add_argument("prefixes", nargs="+", metavar="PREFIX", help="datasets, with or without .bin or .idx")
    parser.add_argument("--full", action="store_true", help="also read all tokens")
    vocabulary = parser.add_mutually_exclusive_group()
    vocabulary.add_argument("--vocab-size", type=_positive, metavar="N", help="ids must be below N (implies --full)")
    vocabulary.add_argument("--tokenizer", metavar="PATH", help="take N from this tokenizer")
    parser.add_argument("--json", action="store_true", help="one JSON object a dataset instead of lines")
    parser.add_argument("--quiet", action="store_true", help="only findings, no progress")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a vocabulary size")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Verify each dataset in turn; a bad one does not keep the others from being looked at."""
    from preprocess import load_tokenizer, verify_dataset

    vocabulary_size = arguments.vocab_size
    if vocabulary_size is None and arguments.tokenizer:
        vocabulary_size = load_tokenizer(arguments.tokenizer, engine="reference").vocabulary_size
    bad = 0
    for prefix in arguments.prefixes:
        report = verify_dataset(
            prefix, full=arguments.full, vocabulary_size=vocabulary_size, progress=not arguments.quiet
        )
        bad += not report.ok
        if arguments.json:
            print(json.dumps(report.as_dict()))
            continue
        for finding in report.findings:
            print(f"BAD {finding}")
        if report.ok and not arguments.quiet:
            print(f"ok  {report.summary()}")
    return 1 if bad else 0

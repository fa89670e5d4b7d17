"""Build the samples of a dataset of sentences (which sentences, what target length, in which order) and describe them.

The rows are kept beside the dataset, in PREFIX.maskgen-cache, and mapped by whoever asks for the same ones again.
Special tokens are not counted: a BERT sequence of 512 tokens has room for --max-seq-length 509.
Without --num-epochs and --max-num-samples one epoch is built.
"""

import argparse
import json

EXAMPLES = """\
  maskgen mapping corpus_text_sentence --max-seq-length 509 --seed 1234
  maskgen mapping corpus_text_sentence --max-seq-length 509 --seed 1234 \\
      --split 969,30,1 --part valid --show 3
  maskgen mapping corpus_text_sentence --max-seq-length 128 --seed 1 \\
      --max-num-samples 1000000 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen mapping``."""
    parser.add_argument("prefix", metavar="PREFIX", help="the dataset, with or without .bin or .idx")
    parser.add_argument(
        "--max-seq-length", type=int, required=True, metavar="N", help="the usual target length of a sample"
    )
    parser.add_argument("--seed", type=int, required=True, metavar="S", help="0 to 4294967295")
    parser.add_argument("--num-epochs", type=int, metavar="N", help="at most so many passes over the documents")
    parser.add_argument("--max-num-samples", type=int, metavar="N", help="stop after the epoch that reaches N samples")
    parser.add_argument(
        "--short-seq-prob", type=float, default=0.1, metavar="P", help="share of shorter targets (%(default)s)"
    )
    parser.add_argument(
        "--min-num-sent",
        type=int,
        default=2,
        metavar="N",
        help="fewest sentences of a sample; 1 without pairs (%(default)s)",
    )
    parser.add_argument("--split", metavar="A,B,C", help="shares of training, validation and test documents")
    parser.add_argument("--part", choices=("train", "valid", "test"), help="which part of the split (train)")
    parser.add_argument("--cache-dir", metavar="DIR", help="where mappings are kept (PREFIX.maskgen-cache)")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="also print the first N rows")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Build or find the mapping, then print what is in it."""
    from maskgen.mapping import MappingError, mapping_file
    from maskgen.mapping.description import as_lines, facts_of
    from preprocess import IndexedDataset

    dataset = IndexedDataset(arguments.prefix)
    num_epochs = arguments.num_epochs
    if num_epochs is None and arguments.max_num_samples is None:
        num_epochs = 1
    file = mapping_file(
        dataset,
        num_epochs=num_epochs,
        max_num_samples=arguments.max_num_samples,
        max_seq_length=arguments.max_seq_length,
        short_seq_prob=arguments.short_seq_prob,
        seed=arguments.seed,
        min_num_sent=arguments.min_num_sent,
        split=arguments.split,
        part=arguments.part or (None if arguments.split is None else "train"),
        cache_dir=arguments.cache_dir,
    )
    found = file.exists
    try:
        rows = file.load()
    except MemoryError as error:
        raise MappingError(str(error)) from None
    facts = facts_of(dataset, file, rows, found)
    if arguments.json:
        print(json.dumps({**facts, "first_rows": rows[: max(arguments.show, 0)].tolist()}))
        return 0
    print(as_lines(facts), end="")
    for first, end, target in rows[: max(arguments.show, 0)].tolist():
        print(f"  sentences {first} to {end - 1}, target {target}")
    return 0

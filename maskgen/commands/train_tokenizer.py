"""Train a tokenizer on your own text: WordPiece, byte-level BPE or Unigram."""

import argparse
import os

EXAMPLES = """\
  maskgen train-tokenizer corpus.jsonl --vocab-size 30000 --output my-tokenizer
  maskgen train-tokenizer part-*.txt --model bpe --vocab-size 50000 \\
      --output my-tokenizer
  maskgen train-tokenizer corpus.jsonl.gz --json-key body --cased \\
      --limit-alphabet 6000 --output my-tokenizer"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen train-tokenizer``."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="file, directory, glob or URL: JSON lines, plain text, Parquet, saved datasets; compressed or not",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="where tokenizer.json goes")
    parser.add_argument("--model", choices=("wordpiece", "bpe", "unigram"), default="wordpiece")
    parser.add_argument("--vocab-size", type=int, default=30_000, metavar="N", help="ids in all (%(default)s)")
    parser.add_argument(
        "--min-frequency", type=int, default=2, metavar="N", help="of a pair that is merged (%(default)s)"
    )
    parser.add_argument(
        "--special-token",
        action="append",
        dest="special_tokens",
        metavar="TOKEN",
        help="in the order of their ids; may be repeated (default: the usual ones of the model)",
    )
    parser.add_argument(
        "--limit-alphabet", type=int, default=1000, metavar="N", help="most frequent characters kept (%(default)s)"
    )
    parser.add_argument("--cased", action="store_true", help="WordPiece: keep upper case and accents")
    parser.add_argument("--json-key", default="text", metavar="KEY", help="of the text, or its column (%(default)s)")
    parser.add_argument(
        "--text-documents", choices=("line", "block", "file"), default="line", help="of plain text (%(default)s)"
    )
    parser.add_argument("--work-dir", metavar="DIR", help="for copies of inputs behind URLs (DIR.maskgen-work)")


def run(arguments: argparse.Namespace) -> int:
    """Train and save."""
    from preprocess.pipeline.options import Options
    from preprocess.pipeline.texts import read_texts, stage_inputs
    from preprocess.staging import Staging
    from preprocess.tokenization.training import TrainingSettings, save_tokenizer, train_tokenizer

    settings = TrainingSettings(
        model=arguments.model,
        vocab_size=arguments.vocab_size,
        min_frequency=arguments.min_frequency,
        special_tokens=None if arguments.special_tokens is None else tuple(arguments.special_tokens),
        limit_alphabet=arguments.limit_alphabet,
        lowercase=not arguments.cased,
    )
    settings.check()
    options = Options(json_keys=(arguments.json_key,), text_documents=arguments.text_documents)
    options.check()
    work = arguments.work_dir or f"{os.path.normpath(arguments.output)}.maskgen-work"
    staging = Staging(os.path.join(work, "inputs"), quiet=False)
    staged = stage_inputs(arguments.inputs, options, staging)
    tokenizer = train_tokenizer(lambda: read_texts(arguments.inputs, options, staged), settings)
    for path in save_tokenizer(tokenizer, arguments.output):
        print(path)
    staging.remove()
    print(f"{tokenizer.get_vocab_size()} ids")
    return 0

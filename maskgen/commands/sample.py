"""Show masked samples of a dataset, as training sees them: text with marks at what is masked, or JSON.

The dataset has one sentence a sequence (maskgen tokenize --split-sentences). Its mapping is one epoch, kept in
PREFIX.maskgen-cache and found again by the next call. Colours are left out where NO_COLOR is set or nobody looks.
"""

import argparse
import json
import os
import sys

EXAMPLES = """\
  maskgen sample corpus_text_sentence --tokenizer bert-base-uncased --max-seq-length 128 --seed 1234
  maskgen sample corpus_text_sentence --tokenizer vocab.txt --max-seq-length 128 --seed 1234 --index 0 7 --json
  maskgen sample corpus_text_sentence --tokenizer t5 --scheme t5 --role bos="<pad>" --max-seq-length 512 --seed 1234"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen sample``."""
    parser.add_argument("prefix", metavar="PREFIX", help="the dataset, with or without .bin or .idx")
    parser.add_argument(
        "--tokenizer", required=True, metavar="PATH", help="the tokenizer that the dataset was made with"
    )
    parser.add_argument("--scheme", choices=("bert", "t5"), default="bert", help="kind of samples (%(default)s)")
    parser.add_argument(
        "--max-seq-length", type=int, required=True, metavar="N", help="length of a sample, special tokens included"
    )
    parser.add_argument("--seed", type=int, required=True, metavar="S", help="of the mapping and of the samples")
    parser.add_argument("--num", type=int, default=3, metavar="K", help="show the first K samples (%(default)s)")
    parser.add_argument("--index", type=int, nargs="+", metavar="I", help="show these instead; -1 is the last")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: the arrays of a sample")
    parser.add_argument("--masked-lm-prob", type=float, default=0.15, metavar="P", help="share to mask (%(default)s)")
    parser.add_argument("--max-ngrams", type=int, metavar="N", help="most words masked together (3; 10 for t5)")
    parser.add_argument("--no-binary-head", action="store_true", help="bert: one text, not two parts in some order")
    parser.add_argument("--ordinary-replacements", action="store_true", help="bert: no special ids as random words")
    parser.add_argument("--max-seq-length-dec", type=int, metavar="N", help="t5: length of the decoder (as the text)")
    parser.add_argument("--role", action="append", default=[], metavar="ROLE=TOKEN", help="name a special token")
    parser.add_argument("--sentinels", metavar="FIRST-LAST", help="t5: ids of the sentinels (by their usual names)")
    parser.add_argument("--short-seq-prob", type=float, default=0.1, metavar="P", help="share of shorter samples (0.1)")
    parser.add_argument("--cache-dir", metavar="DIR", help="where mappings are kept (PREFIX.maskgen-cache)")
    parser.add_argument("--engine", choices=("native", "reference"), default="native", help="same bits (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print the samples that were asked for."""
    from maskgen.sample_view import SampleView
    from maskgen.samples import SampleError
    from maskgen.samples.opening import open_samples
    from preprocess import load_tokenizer

    samples = open_samples(arguments)
    chosen = range(min(max(arguments.num, 0), len(samples))) if arguments.index is None else arguments.index
    for index in chosen:
        if not -len(samples) <= index < len(samples):
            raise SampleError(
                f"{arguments.prefix}: sample {index}; expected 0 to {len(samples) - 1}: there are {len(samples)} "
                "samples in one epoch; choose one of them"
            )
    if arguments.json:
        for index in chosen:
            arrays = {name: value.tolist() for name, value in samples[index].items()}
            print(json.dumps({"index": index % len(samples), "scheme": arguments.scheme, **arrays}))
        return 0
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    decode = load_tokenizer(arguments.tokenizer, engine="reference").decode
    view = SampleView(samples.vocab, decode, coloured)
    print(view.legend(arguments.scheme))
    for index in chosen:
        sys.stdout.write("\n" + view.show(index % len(samples), samples[index]))
    return 0

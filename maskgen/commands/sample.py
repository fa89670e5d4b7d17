"""Show masked samples of a dataset, as training sees them: text with marks at what is masked, or JSON.

For bert and t5 the dataset has one sentence a sequence (maskgen tokenize --split-sentences); other schemes take whole
documents (--rows). Mappings are kept in PREFIX.maskgen-cache and found again by the next call. Colours are left out
where NO_COLOR is set or nobody looks.
"""

import argparse
import json
import os
import sys

EXAMPLES = """\
  maskgen sample corpus_text_sentence --tokenizer bert-base-uncased \\
      --max-seq-length 128 --seed 1234
  maskgen sample corpus_text_sentence --tokenizer vocab.txt \\
      --max-seq-length 128 --seed 1234 --index 0 7 --json
  maskgen sample corpus_text_sentence --tokenizer t5 --scheme t5 \\
      --role bos="<pad>" --max-seq-length 512 --seed 1234
  maskgen sample corpus_text_document --tokenizer roberta-base \\
      --scheme roberta --max-seq-length 512 --seed 1234 \\
      --option whole_words=true"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen sample``."""
    from maskgen.sample_options import add_sample_arguments

    add_sample_arguments(parser)
    parser.add_argument("--num", type=int, default=3, metavar="K", help="show the first K samples (%(default)s)")
    parser.add_argument("--index", type=int, nargs="+", metavar="I", help="show these instead; -1 is the last")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: the arrays of a sample")


def run(arguments: argparse.Namespace) -> int:
    """Print the samples that were asked for."""
    from maskgen.sample_options import choice_of
    from maskgen.sample_view import SampleView
    from maskgen.samples import SampleError
    from preprocess import load_tokenizer

    samples = choice_of(arguments).open()
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

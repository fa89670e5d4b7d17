"""Fill the masks of texts with a trained model.

DIR is the output folder of maskgen train (its model/ is taken), or any folder
of a masked language model as save_pretrained of Hugging Face writes it: BERT,
ELECTRA's generator, ModernBERT with attention to all places in every layer.
Nothing is downloaded.

Texts are arguments, or lines of standard input. [MASK] stands for the mask of
the tokenizer, also where that is called otherwise, such as <mask>. Each mask
gets its likeliest tokens with their probabilities; special tokens are not
offered.
"""

import argparse
import sys

EXAMPLES = """\
  maskgen predict run "The keeper of the [MASK] lit the lamp."
  maskgen predict run "The [MASK] of the [MASK]." --iterative
  maskgen predict electra-run/generator --top-k 10 --json < lines.txt"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen predict``."""
    parser.add_argument("folder", metavar="DIR", help="a run's output folder, or a model's folder")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="with one mask or several (lines of standard input)")
    parser.add_argument("--top-k", type=int, metavar="K", help="tokens a mask (5; with --iterative 1)")
    parser.add_argument(
        "--iterative", action="store_true", help="fill one mask after the other, the surest of all left first"
    )
    parser.add_argument("--tokenizer", metavar="PATH", help="file or folder (the one in DIR)")
    parser.add_argument("--json", action="store_true", help="one JSON object a text")


def run(arguments: argparse.Namespace) -> int:
    """Print what each mask gets."""
    from maskgen.train.predict import Predictor
    from maskgen.train.prediction_view import answers

    predictor = Predictor.load(arguments.folder, tokenizer=arguments.tokenizer)
    manner = {"k": arguments.top_k, "iterative": arguments.iterative, "as_json": arguments.json}
    if arguments.texts:  # all of them are looked at before one is computed
        print("\n".join(answers(predictor, arguments.texts, **manner)))
        return 0
    if sys.stdin.isatty():
        print("a text with a mask on each line, please", file=sys.stderr)
    for line in sys.stdin.buffer:
        # Bytes that are no text become an error that says so.
        text = line.decode(errors="surrogateescape").rstrip("\r\n")
        if text.strip():
            print("\n".join(answers(predictor, [text], **manner)), flush=True)
    return 0

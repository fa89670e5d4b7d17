"""Fill the masks of texts with a trained model, or write on.

DIR is the output folder of maskgen train (its model/ is taken), or any folder
of a masked language model as save_pretrained of Hugging Face writes it: BERT,
ELECTRA's generator, ModernBERT with attention to all places in every layer.
Nothing is downloaded.

Texts are arguments, or lines of standard input. [MASK] stands for the mask of
the tokenizer, also where that is called otherwise, such as <mask>. Each mask
gets its likeliest tokens with their probabilities; special tokens are not
offered.

With --steps masks are filled with tokens that are drawn, several masks a step,
and --new-tokens adds masks at the end. The same seed writes the same.
"""

import argparse
import sys

EXAMPLES = """\
  maskgen predict run "The keeper of the [MASK] lit the lamp."
  maskgen predict run "The [MASK] of the [MASK]." --iterative
  maskgen predict electra-run/generator --top-k 10 --json < lines.txt
  maskgen predict run "The [MASK] [MASK] of the [MASK]." --steps 2
  maskgen predict run "The keeper" --steps 8 --new-tokens 16 --seed 7
  maskgen predict run "The keeper" --steps 8 --new-tokens 16 \\
      --strategy entropy --schedule cosine --temperature 0.7 --top-p 0.9
  maskgen predict run "" --steps 32 --new-tokens 32 --strategy gap \\
      --threshold 0.5 --top-k 50
  maskgen predict run "The keeper" --steps 8 --new-tokens 16 \\
      --history steps.jsonl"""
OF_STEPS = ("strategy", "threshold", "schedule", "temperature", "top_p", "seed", "new_tokens", "history")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen predict``."""
    parser.add_argument("folder", metavar="DIR", help="a run's output folder, or a model's folder")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="with one mask or several (lines of standard input)")
    parser.add_argument(
        "--top-k", type=int, metavar="K",
        help="tokens a mask (5; with --iterative 1); with --steps: draw from the K likeliest (from all)",
    )  # fmt: skip
    parser.add_argument(
        "--iterative", action="store_true", help="fill one mask after the other, the surest of all left first"
    )
    parser.add_argument("--tokenizer", metavar="PATH", help="file or folder (the one in DIR)")
    parser.add_argument("--json", action="store_true", help="one JSON object a text")
    steps = parser.add_argument_group("several masks a step")
    add = steps.add_argument
    add("--steps", type=int, metavar="N", help="fill all masks of a text in N steps at most")
    add("--new-tokens", type=int, metavar="N", help="write N tokens after the text (0)")
    add(
        "--strategy", choices=("uniform", "top", "gap", "entropy"),
        help="which masks are next: any, or where the model is surest by its highest probability, the gap to the "
        "second, or its entropy (top)",
    )  # fmt: skip
    add("--threshold", type=float, metavar="X", help="fill more a step while errors by --strategy add up to X at most")
    add(
        "--schedule", choices=("linear", "cosine", "square", "root"),
        help="how many masks a step: as many each (linear, the default), more at the end (cosine, square), or more at "
        "the beginning (root)",
    )  # fmt: skip
    add("--temperature", type=float, metavar="T", help="0: always the likeliest token (1)")
    add("--top-p", type=float, metavar="P", help="draw from the fewest tokens that have the share P together")
    add("--seed", type=int, metavar="S", help="of what is drawn (1234)")
    add("--history", metavar="FILE", help="keep what was likely at each step, for maskgen report --history")


def run(arguments: argparse.Namespace) -> int:
    """Print what each mask gets."""
    from maskgen.train.denoising import History
    from maskgen.train.errors import TrainError
    from maskgen.train.predict import Predictor
    from maskgen.train.prediction_view import answers, written

    given = {name: getattr(arguments, name) for name in OF_STEPS if getattr(arguments, name) is not None}
    if arguments.steps is None and given:
        raise TrainError(f"--{next(iter(given)).replace('_', '-')} without --steps; expected both; say how many steps")
    if arguments.steps is not None and arguments.iterative:
        raise TrainError(
            "--steps and --iterative; expected one of them, as the second is one mask a step; leave out one"
        )

    predictor = Predictor.load(arguments.folder, tokenizer=arguments.tokenizer)
    history = History(names=predictor.tokenizer.id_to_token) if given.pop("history", None) is not None else None

    def answered(texts: list[str]) -> list[str]:
        if arguments.steps is None:
            manner = {"k": arguments.top_k, "iterative": arguments.iterative, "as_json": arguments.json}
            return answers(predictor, texts, **manner)
        options = {"confidence": given.get("strategy", "top"), "noise_schedule": given.get("schedule", "linear")}
        options |= {name: value for name, value in given.items() if name not in ("strategy", "schedule")}
        options |= {"max_steps": arguments.steps, "top_k": arguments.top_k}
        return written(predictor, texts, as_json=arguments.json, history=history, **options)

    if arguments.texts:  # all of them are looked at before one is computed
        print("\n".join(answered(arguments.texts)))
    elif sys.stdin.isatty():
        print("a text with a mask on each line, please", file=sys.stderr)
    for line in sys.stdin.buffer if not arguments.texts else ():
        # Bytes that are no text become an error that says so.
        text = line.decode(errors="surrogateescape").rstrip("\r\n")
        if text.strip():
            print("\n".join(answered([text])), flush=True)
    if history is not None:
        history.save(arguments.history)
    return 0

"""The second half of the demo: models of the documentation that came with Python, by the commands that it prints.

its text -> DIR/corpus.jsonl -> a vocabulary -> ``.bin/.idx`` -> DIR/mlm, a masked language model
-> DIR/electra, whose discriminator starts as that -> masks filled

A run that is finished stays; one that was interrupted goes on; what cannot go on, as its settings or its corpus
have changed, starts anew.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
from typing import Any

import numpy as np

from maskgen import demo_corpora
from preprocess import IndexedDataset, MaskgenError
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.run import Manner, tokenize
from preprocess.tokenization.training import TrainingSettings, save_tokenizer, train_tokenizer

VOCABULARY_SIZE = 1000  # twice as many ids took twice as many steps to leave the unigram entropy behind
SEED = 1234
SHAPE = [
    *("--size", "tiny", "--architecture", "modern", "--rows", "chunks", "--max-seq-length", "64", "--split", "9,1"),
    *("--log-every", "50"),
]
# A minute together on two cores. With new weights the discriminator's AUC is 0.65 after 1,500 steps, twice that time.
MLM = {"steps": 800, "batch": 16, "lr": "4e-3"}
ELECTRA = {"steps": 200, "batch": 32, "lr": "1e-3"}
TEXTS = (
    "If the argument is not a [MASK], an exception is raised.",
    "Return a copy of the [MASK] with all characters in lower case.",
)


def run_training(folder: str, steps: int | None) -> int:
    """Make both models in `folder`, with the usual number of steps or with `steps` each; the exit code."""
    os.makedirs(folder, exist_ok=True)
    prefix = _prepare(folder)
    data = ["--data", prefix, "--tokenizer", os.path.join(folder, "tokenizer.json"), *SHAPE]
    mlm, electra = os.path.join(folder, "mlm"), os.path.join(folder, "electra")

    code = _train("9. Train a masked language model", mlm, data, MLM, steps)
    if code:
        return code
    loss, entropy = _last_validation(mlm)["loss"], unigram_entropy(prefix)
    print(
        f"   validation: {loss:.2f} nat a masked token; without a look at the context, by the frequency of each token\n"
        f"   alone, it would be {entropy:.2f} (the unigram entropy)"
    )

    start = ["--objective", "electra", "--init-from", os.path.join(mlm, "model")]
    code = _train(
        "10. Train an ELECTRA, whose discriminator starts as that model", electra, data + start, ELECTRA, steps
    )
    if code:
        return code
    auc = _last_validation(electra)["disc_auc"]
    print(f"   validation: the discriminator tells replaced tokens with an AUC of {auc:.2f} (guessing: 0.50)")

    _fill(mlm)
    return 0


def _prepare(folder: str) -> str:
    corpus, tokenizer = os.path.join(folder, "corpus.jsonl"), os.path.join(folder, "tokenizer.json")
    output, flags = os.path.join(folder, "corpus"), f"--shuffle --seed {SEED} --overwrite"
    say(
        "8. Something to learn from",
        f"maskgen train-tokenizer {corpus} --vocab-size {VOCABULARY_SIZE} --output {folder}",
        f"maskgen tokenize {corpus} --tokenizer {tokenizer} --output-prefix {output} {flags}",
    )
    documents, origin = demo_corpora.python()
    demo_corpora.write(documents, corpus)
    print(f"   {len(documents)} documents: {origin}")
    settings = TrainingSettings(vocab_size=VOCABULARY_SIZE)
    save_tokenizer(train_tokenizer(lambda: documents, settings), folder)
    options = Options(shuffle_seed=SEED)
    summary = tokenize([corpus], TokenizerChoice(tokenizer), output, options, Manner(overwrite=True))
    print("".join(f"   {line}\n" for line in summary.lines()), end="")
    return f"{output}_text_document"


def _train(title: str, output: str, data: list[str], usual: dict[str, Any], steps: int | None) -> int:
    """``maskgen train``; without lines in between where nobody looks on."""
    from maskgen.commands import train

    flags = [*data, "--batch-size", str(usual["batch"]), "--lr", usual["lr"]]
    flags += ["--steps", str(usual["steps"] if steps is None else steps), "--output", output]
    say(title, f"maskgen train {shlex.join(flags)}")
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    arguments = parser.parse_args(flags if sys.stdout.isatty() else [*flags, "--quiet"])
    sys.stdout.flush()
    try:
        return train.run(arguments)
    except MaskgenError as error:
        if not os.path.isdir(os.path.join(output, "checkpoints")):
            raise
        print(f"   {error}\n   an earlier run that cannot go on; it starts anew")
        shutil.rmtree(output)
        return train.run(arguments)


def _last_validation(run: str) -> dict[str, Any]:
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    return dict([record for record in records if record["kind"] == "validation"][-1])


def unigram_entropy(prefix: str) -> float:
    """Nats a token: the least loss of a model that knows how frequent each token is, and no more."""
    dataset = IndexedDataset(prefix)
    counts = np.bincount(np.concatenate([dataset[index] for index in range(len(dataset))]))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _fill(model: str) -> None:
    from maskgen.train.predict import Predictor
    from maskgen.train.prediction_view import answers

    say("11. Fill masks", f"maskgen predict {model} {' '.join(map(shlex.quote, TEXTS))} --top-k 3")
    shown = "\n".join(answers(Predictor.load(model), TEXTS, k=3, iterative=False, as_json=False))
    print("".join(f"   {line}\n" for line in shown.splitlines()), end="")


def say(step: str, *commands: str) -> None:
    """The title of a step, and the commands that do the same."""
    print(f"\n{step}")
    for command in commands:
        print(f"   {command}")

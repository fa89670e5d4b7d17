"""What the tests of training share: a corpus of a few hundred words, and the settings of runs of a second."""

import json
from pathlib import Path

import numpy as np
from tokenizer_files import SPECIAL

from maskgen.train.settings import TrainSettings
from preprocess import IndexedDatasetWriter

PIECES = [*SPECIAL, *(f"##w{i}" if i % 4 == 0 else f"w{i}" for i in range(95))]


def write_corpus(folder, name="corpus", documents=60, seed=3, sentences=(2, 5), words=(3, 9)):
    """A dataset of sentences without special tokens and its tokenizer; (prefix, tokenizer)."""
    tokenizer = Path(folder) / "vocab.txt"
    tokenizer.write_text("\n".join(PIECES) + "\n")
    random = np.random.RandomState(seed)
    prefix = str(Path(folder) / name)
    with IndexedDatasetWriter(prefix, "uint16") as writer:
        for _ in range(documents):
            lengths = random.randint(*words, random.randint(*sentences))
            writer.add_document(random.randint(len(SPECIAL), len(PIECES), lengths.sum()), lengths.tolist())
    return prefix, str(tokenizer)


def tiny(folder, prefix, tokenizer, **changes):
    """Settings of a run that takes a second: a tiny model, short rows, few steps."""
    settings = {
        "data": (prefix,), "tokenizer": tokenizer, "output": str(Path(folder) / "run"), "steps": 6, "size": "tiny",
        "max_seq_length": 32, "batch_size": 8, "split": "8,2", "eval_samples": 9, "log_every": 1, "save_every": 1000,
        "device": "cpu", "quiet": True, "warmup": 1,
    }  # fmt: skip
    return TrainSettings(**{**settings, **changes}).resolved()


def flags(settings: TrainSettings, **changes):
    """The command line of these settings."""
    words = []
    for name, value in {**vars(settings), **changes}.items():
        flag = f"--{name.replace('_', '-')}"
        if value is None or value is False or value == () or value == {}:
            continue
        if name == "options":
            words += [word for option, each in value.items() for word in ("--option", f"{option}={each}")]
        elif value is True:
            words.append(flag)
        else:
            words += [flag, *map(str, value if isinstance(value, tuple) else [value])]
    return words


def records(folder, kind="train"):
    """The lines of metrics.jsonl of a kind."""
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]

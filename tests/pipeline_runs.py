"""What the pipeline's tests share: corpora, a small tokenizer, and runs in this process."""

import gzip
import json
from pathlib import Path

from helpers import contents
from tokenizer_files import write_vocabulary

from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.run import Manner, tokenize

SENTENCES = (
    "Hello world.",
    "The token of the world!",
    "Unaffable tokenization, naïve café 中文字 слово?",
    'He said: "It is 3.14 of them".\tThen\nhe left.',
    "한국 가각 \U0001f600 end.",
)


def documents(count, seed=0):
    """Documents of different lengths, some empty."""
    made = []
    for number in range(count):
        length = (number * 7 + seed) % 5
        made.append(" ".join(SENTENCES[(number + step + seed) % len(SENTENCES)] for step in range(length)))
    return made


def write_jsonl(path, texts, key="text"):
    """One object a line, every third one with other members and escaped characters."""
    with open(path, "w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            record = {key: text} if number % 3 else {"id": number, "meta": {"a": [1, None]}, key: text}
            file.write(json.dumps(record, ensure_ascii=number % 2 == 0) + "\n")
    return str(path)


def write_lines(path, *lines):
    """Raw bytes, a line each."""
    Path(path).write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def write_gzip(path, content):
    with gzip.open(path, "wb") as file:
        file.write(content)
    return str(path)


def vocabulary(folder):
    """The path of a tokenizer, made once in a folder."""
    path = Path(folder) / "vocab.txt"
    return str(path) if path.exists() else write_vocabulary(Path(folder))


def run(inputs, prefix, options=None, **manner):
    """One whole run in this process, unless workers say otherwise."""
    inputs = [inputs] if isinstance(inputs, (str, Path)) else inputs
    choice = TokenizerChoice(vocabulary(Path(prefix).parent))
    manner = {"workers": 0, **manner}
    return tokenize([str(path) for path in inputs], choice, str(prefix), options or Options(), Manner(**manner))


def counts(prefix):
    """What the sidecar says that must not depend on how the work was done."""
    sidecar = read_sidecar(prefix)
    return sidecar.documents, sidecar.sequences, sidecar.tokens, sidecar.statistics


def outcome(prefix):
    """Everything about a dataset that must be the same however it was made."""
    return *contents(prefix), counts(prefix)

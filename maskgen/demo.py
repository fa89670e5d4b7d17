"""The whole way on a corpus that comes with the package, for people who want to see it work first.

Data flow: embedded text -> ``corpus.jsonl`` -> a small WordPiece vocabulary -> ``.bin/.idx`` -> verified -> shown.
Every step prints the command or call that does the same for a user's own files.
"""

import hashlib
import json
import os
from importlib import resources

import numpy as np

from maskgen.inspection import describe, show_document
from preprocess import (
    IndexedDataset,
    IndexedDatasetWriter,
    MaskgenError,
    encode_documents,
    load_tokenizer,
    verify_dataset,
)
from preprocess.indexed.sidecar import InputFile, TokenizerInfo
from preprocess.tokenization import Tokenizer
from preprocess.tokenization.training import TrainingSettings, save_tokenizer, train_tokenizer

VOCABULARY_SIZE = 1000


def run_demo(folder: str) -> None:
    """Run every step in `folder`, which is created."""
    os.makedirs(folder, exist_ok=True)
    corpus = os.path.join(folder, "corpus.jsonl")
    prefix = os.path.join(folder, "corpus_text_document")
    tokenizer_path = os.path.join(folder, "tokenizer.json")

    _say("1. A corpus", f"{corpus}: one JSON object a line, the text under the key 'text'")
    documents = write_corpus(corpus)
    print(f"   {len(documents)} documents, {os.path.getsize(corpus):,} bytes")

    _say("2. A vocabulary", f"maskgen train-tokenizer {corpus} --vocab-size {VOCABULARY_SIZE} --output {folder}")
    settings = TrainingSettings(vocab_size=VOCABULARY_SIZE)
    save_tokenizer(train_tokenizer(lambda: documents, settings), folder)
    tokenizer = load_tokenizer(tokenizer_path)
    print(f"   WordPiece, {tokenizer.vocabulary_size} entries; the engine that serves it is {tokenizer.engine!r}")

    _say("3. Tokenize", f"{prefix}.bin, .idx and .json, as Megatron-LM names them")
    write_dataset(prefix, documents, tokenizer, corpus)

    _say("4. Verify", f"maskgen verify --full --tokenizer {tokenizer_path} {prefix}")
    report = verify_dataset(prefix, full=True, vocabulary_size=tokenizer.vocabulary_size)
    if not report.ok:
        raise MaskgenError("; ".join(map(str, report.findings)))
    print(f"   ok  {report.summary()}")

    _say("5. Look inside", f"maskgen inspect {prefix} 0 --tokenizer {tokenizer_path}")
    dataset = IndexedDataset(prefix)
    shown = describe(dataset) + show_document(dataset, 0, tokenizer.decode)
    print("".join(f"   {line}" for line in shown.splitlines(keepends=True)), end="")
    print(f"\nAll of it is in {folder}")


def write_corpus(path: str) -> list[str]:
    """Write the embedded documents as JSON lines and return them."""
    documents = resources.files("maskgen").joinpath("demo_corpus.txt").read_text(encoding="utf-8").splitlines()
    with open(path, "w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
    return documents


def write_dataset(prefix: str, documents: list[str], tokenizer: Tokenizer, corpus: str) -> None:
    """Tokenize each document into one sequence, with [CLS] and [SEP] around it, and write the dataset."""
    with IndexedDatasetWriter(prefix, tokenizer.dtype) as writer:
        for batch in encode_documents(tokenizer, documents, add_special_tokens=True):
            writer.add_documents(batch.ids, batch.lengths, np.ones(len(batch.lengths), np.int64))
        writer.tokenizer = TokenizerInfo(os.path.basename(tokenizer.path), tokenizer.digest, tokenizer.vocabulary_size)
        writer.inputs.append(InputFile(os.path.basename(corpus), os.path.getsize(corpus), _sha256(corpus)))


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _say(step: str, what: str) -> None:
    print(f"\n{step}\n   {what}")

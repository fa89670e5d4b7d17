"""The whole way on a corpus that comes with the package, for people who want to see it work first.

Data flow: embedded text -> ``corpus.jsonl`` -> a small WordPiece vocabulary -> ``.bin/.idx``, by two worker processes
-> verified -> shown; and once more with one sentence a sequence -> mapping -> masked samples, by two engines. Then,
where PyTorch is installed, models of a larger corpus: see demo_training.py.
Every step prints the command or call that does the same for a user's own files.
"""

import os
from importlib.util import find_spec

import numpy as np

from maskgen import demo_corpora
from maskgen.demo_training import run_training, say
from maskgen.inspection import Decode, describe, show_document, show_origin
from maskgen.mapping import cached_mapping
from maskgen.sample_view import SampleView
from maskgen.samples import BertSamples
from maskgen.vocab import Vocab
from preprocess import IndexedDataset, MaskgenError, load_tokenizer, verify_dataset
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.run import Manner, tokenize
from preprocess.tokenization.training import TrainingSettings, save_tokenizer, train_tokenizer

VOCABULARY_SIZE = 1000
MAX_SEQ_LENGTH = 64
SEED = 1234
NEEDED = ("torch", "safetensors")


def run_demo(folder: str, steps: int | None = None) -> int:
    """Run every step in `folder`, which is created; train as usual, or `steps` steps each. The exit code."""
    _show_data(folder)
    missing = [name for name in NEEDED if find_spec(name) is None]
    where = [f"{folder}/  corpus_text_document, corpus_text_sentence: the datasets; tokenizer.json: their vocabulary"]
    if steps == 0:
        print("\nNo training, as --steps 0 asks.")
    elif missing:
        print(
            f"\nTraining comes next, and needs {' and '.join(missing)}: pip install 'maskgen[train]' (in a clone: "
            "pip install -c constraints.txt '.[train]'), then maskgen demo again."
        )
    else:
        python = os.path.join(folder, "python")
        if code := run_training(python, steps):
            return code
        where += [
            f"{python}/  the same of the documentation of Python, and two runs of maskgen train",
            f"{python}/mlm/model, {python}/electra/model  for from_pretrained of Hugging Face",
            "Next: the commands above with files of yours; maskgen train --help; docs/training.md, docs/predicting.md.",
        ]
    print("".join(f"\n{line}" for line in where))
    print(f"\nAll of it is in {folder}")
    return 0


def _show_data(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    corpus = os.path.join(folder, "corpus.jsonl")
    prefix = os.path.join(folder, "corpus_text_document")
    tokenizer_path = os.path.join(folder, "tokenizer.json")

    say("1. A corpus", f"{corpus}: one JSON object a line, the text under the key 'text'")
    documents = demo_corpora.small()
    demo_corpora.write(documents, corpus)
    print(f"   {len(documents)} documents, {os.path.getsize(corpus):,} bytes")

    say("2. A vocabulary", f"maskgen train-tokenizer {corpus} --vocab-size {VOCABULARY_SIZE} --output {folder}")
    settings = TrainingSettings(vocab_size=VOCABULARY_SIZE)
    save_tokenizer(train_tokenizer(lambda: documents, settings), folder)
    tokenizer = load_tokenizer(tokenizer_path)
    print(f"   WordPiece, {tokenizer.vocabulary_size} entries; the engine that serves it is {tokenizer.engine!r}")

    output = os.path.join(folder, "corpus")
    flags = "--add-special-tokens --provenance --workers 2 --overwrite"
    say("3. Tokenize", f"maskgen tokenize {corpus} --tokenizer {tokenizer_path} --output-prefix {output} {flags}")
    options = Options(add_special_tokens=True, provenance=True)
    manner = Manner(workers=2, overwrite=True)
    summary = tokenize([corpus], TokenizerChoice(tokenizer_path), output, options, manner)
    print("".join(f"   {line}\n" for line in summary.lines()), end="")

    say("4. Verify", f"maskgen verify --full --tokenizer {tokenizer_path} {prefix}")
    report = verify_dataset(prefix, full=True, vocabulary_size=tokenizer.vocabulary_size)
    if not report.ok:
        raise MaskgenError("; ".join(map(str, report.findings)))
    print(f"   ok  {report.summary()}")

    say("5. Look inside", f"maskgen inspect {prefix} 0 --tokenizer {tokenizer_path}")
    dataset = IndexedDataset(prefix)
    shown = describe(dataset) + show_document(dataset, 0, tokenizer.decode) + show_origin(dataset, 0)
    print("".join(f"   {line}" for line in shown.splitlines(keepends=True)), end="")

    prefix = os.path.join(folder, "corpus_text_sentence")
    say(
        "6. Sentences",
        f"maskgen tokenize {corpus} --tokenizer {tokenizer_path} --output-prefix {output} --split-sentences",
    )
    options = Options(split_sentences=True)
    summary = tokenize([corpus], TokenizerChoice(tokenizer_path), output, options, Manner(overwrite=True))
    print("".join(f"   {line}\n" for line in summary.lines()), end="")

    flags = f"--max-seq-length {MAX_SEQ_LENGTH} --seed {SEED}"
    say("7. Masked samples", f"maskgen sample {prefix} --tokenizer {tokenizer_path} {flags} --num 2")
    _show_samples(prefix, tokenizer_path, tokenizer.decode)


def _show_samples(prefix: str, tokenizer_path: str, decode: Decode) -> None:
    dataset, vocab = IndexedDataset(prefix), Vocab.from_tokenizer(tokenizer_path)
    rows = cached_mapping(
        dataset, num_epochs=1, max_seq_length=MAX_SEQ_LENGTH - 3, short_seq_prob=0.1, seed=SEED, min_num_sent=2
    )
    one, other = (
        BertSamples(dataset, rows, vocab, max_seq_length=MAX_SEQ_LENGTH, seed=SEED, engine=engine)
        for engine in ("native", "reference")
    )
    view = SampleView(vocab, decode, coloured=False)
    print(f"   {view.legend('bert')}")
    for index in range(2):
        print("".join(f"   {line}\n" for line in view.show(index, one[index]).splitlines()), end="")
    batch, twin = one.batch(range(len(one))), other.batch(range(len(one)))
    if any(not np.array_equal(array, twin[name]) for name, array in batch.items()):
        raise MaskgenError("the two engines gave different samples for the same seed; please report this")
    print(f"   The same seed gave the same bits: {len(one)} samples, {len(batch)} arrays, native and reference engine.")

"""The whole way on a corpus that comes with the package, for people who want to see it work first.

Data flow: embedded text -> ``corpus.jsonl`` -> a small WordPiece vocabulary -> ``.bin/.idx`` -> verified -> shown.
Every step prints the command or call that does the same for a user's own files.
"""

import hashlib
import json
import os
from importlib import resources

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from maskgen.inspection import describe, show_document
from preprocess import IndexedDataset, IndexedDatasetWriter, MaskgenError, token_dtype, verify_dataset
from preprocess.indexed.sidecar import InputFile, TokenizerInfo

VOCABULARY_SIZE = 1000
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def run_demo(folder: str) -> None:
    """Run every step in `folder`, which is created."""
    os.makedirs(folder, exist_ok=True)
    corpus = os.path.join(folder, "corpus.jsonl")
    prefix = os.path.join(folder, "corpus_text_document")
    tokenizer_path = os.path.join(folder, "tokenizer.json")

    _say("1. A corpus", f"{corpus}: one JSON object a line, the text under the key 'text'")
    documents = write_corpus(corpus)
    print(f"   {len(documents)} documents, {os.path.getsize(corpus):,} bytes")

    _say("2. A vocabulary", f"{tokenizer_path}: WordPiece, trained on that corpus")
    tokenizer = train_vocabulary(documents)
    tokenizer.save(tokenizer_path)
    print(f"   {tokenizer.get_vocab_size()} entries")

    _say("3. Tokenize", f"{prefix}.bin, .idx and .json, as Megatron-LM names them")
    write_dataset(prefix, documents, tokenizer, corpus, tokenizer_path)

    _say("4. Verify", f"maskgen verify --full --tokenizer {tokenizer_path} {prefix}")
    report = verify_dataset(prefix, full=True, vocabulary_size=tokenizer.get_vocab_size())
    if not report.ok:
        raise MaskgenError("; ".join(map(str, report.findings)))
    print(f"   ok  {report.summary()}")

    _say("5. Look inside", f"maskgen inspect {prefix} 0 --tokenizer {tokenizer_path}")
    dataset = IndexedDataset(prefix)
    shown = describe(dataset) + show_document(dataset, 0, lambda ids: str(tokenizer.decode(ids)))
    print("".join(f"   {line}" for line in shown.splitlines(keepends=True)), end="")
    print(f"\nAll of it is in {folder}")


def write_corpus(path: str) -> list[str]:
    """Write the embedded documents as JSON lines and return them."""
    documents = resources.files("maskgen").joinpath("demo_corpus.txt").read_text(encoding="utf-8").splitlines()
    with open(path, "w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
    return documents


def train_vocabulary(documents: list[str]) -> Tokenizer:
    """Train a lower-casing WordPiece tokenizer that adds [CLS] and [SEP]; the same text gives the same vocabulary."""
    # The trainer numbers the pieces "##a", "##b", ... in the order in which a hash map yields words, another in
    # each process, and breaks ties between merges by those numbers. Naming them beforehand fixes both.
    characters = sorted(set("".join(documents).lower()) - {" "})
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY_SIZE,
        min_frequency=2,
        special_tokens=SPECIAL_TOKENS + [f"##{character}" for character in characters],
        show_progress=False,
    )
    trained = _wordpiece({})
    trained.train_from_iterator(documents, trainer)
    tokenizer = _wordpiece(trained.get_vocab())
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", SPECIAL_TOKENS.index("[SEP]")), ("[CLS]", SPECIAL_TOKENS.index("[CLS]"))
    )
    return tokenizer


def _wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def write_dataset(prefix: str, documents: list[str], tokenizer: Tokenizer, corpus: str, tokenizer_path: str) -> None:
    """Tokenize each document into one sequence and write the dataset."""
    size = tokenizer.get_vocab_size()
    with IndexedDatasetWriter(prefix, token_dtype(size)) as writer:
        for encoding in tokenizer.encode_batch(documents):
            writer.add_document(encoding.ids, [len(encoding.ids)])
        writer.tokenizer = TokenizerInfo(os.path.basename(tokenizer_path), _sha256(tokenizer_path), size)
        writer.inputs.append(InputFile(os.path.basename(corpus), os.path.getsize(corpus), _sha256(corpus)))


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _say(step: str, what: str) -> None:
    print(f"\n{step}\n   {what}")

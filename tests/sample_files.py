"""What the tests of samples share: the golden samples, as datasets with mappings, and small datasets of our own."""

import gzip
import json

import numpy as np
from helpers import GOLDEN, write_dataset
from tokenizers import AddedToken, Tokenizer, decoders, models

from maskgen.samples import BertSamples, T5Samples
from maskgen.vocab import Vocab
from preprocess import IndexedDataset

SENTINELS = range(28996, 29096)
PIECES = (GOLDEN / "bert-base-uncased-vocab.txt").read_text().splitlines()
VOCAB = Vocab(PIECES, cls_id=101, sep_id=102, mask_id=103, pad_id=0, bos_id=1, eos_id=2, sentinel_ids=SENTINELS)

# A small vocabulary with every kind of id: text is made of 20 to 59, every third a continuation.
TOY_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>", *(f"<extra_id_{i}>" for i in range(13))]
TOY_PIECES += [f"##w{i}" if i % 3 == 0 else f"w{i}" for i in range(20, 60)]
TOY = Vocab(
    TOY_PIECES, cls_id=2, sep_id=3, mask_id=4, pad_id=0, bos_id=5, eos_id=6, sentinel_ids=range(7, 20), special_ids=[1]
)


def golden_rows(name):
    with gzip.open(GOLDEN / name, "rt") as file:
        return [json.loads(line) for line in file]


def golden_samples(prefix, row, **options):
    """The samples object whose sample 0 is this golden row."""
    write_dataset(prefix, [row["sentences"]])
    sample_map = np.array([[0, len(row["sentences"]), row["target_seq_length"]]], np.uint32)
    options |= {"masked_lm_prob": row["masked_lm_prob"], "max_seq_length": row["max_seq_length"]}
    options["seed"] = row["seed"] + row["index"]  # the row's own index would need a mapping of as many rows
    dataset = IndexedDataset(prefix)
    if row["kind"] == "t5":
        width = row.get("max_seq_length_dec", row["max_seq_length"])
        return T5Samples(dataset, sample_map, VOCAB, max_seq_length_dec=width, **options)
    return BertSamples(dataset, sample_map, VOCAB, binary_head=row["kind"] == "bert", **options)


def toy_dataset(prefix, documents=30, seed=5, dtype="uint16"):
    """A dataset of sentences of 0 to 12 tokens, and a mapping with rows of 2 to 6 of them."""
    random = np.random.RandomState(seed)
    texts = [
        [random.randint(20, 60, random.randint(0, 13)).tolist() for _ in range(random.randint(2, 7))]
        for _ in range(documents)
    ]
    write_dataset(prefix, texts, dtype)
    ends = np.cumsum([len(text) for text in texts])
    rows = [[end - len(text), end, random.randint(4, 26)] for end, text in zip(ends, texts, strict=True)]
    return IndexedDataset(prefix), np.array(rows, np.uint32)


def toy_samples(prefix, kind="bert", **options):
    dataset, sample_map = toy_dataset(prefix)
    if kind == "t5":
        return T5Samples(dataset, sample_map, TOY, **{"max_seq_length": 29, "max_seq_length_dec": 24, **options})
    return BertSamples(dataset, sample_map, TOY, **{"max_seq_length": 29, **options})


def toy_tokenizer(path, pieces=TOY_PIECES):
    """The toy vocabulary, or one of the same pieces, as a tokenizer file."""
    tokenizer = Tokenizer(models.WordPiece({piece: id_ for id_, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in TOY_PIECES[:20]])
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.save(str(path))
    return str(path)

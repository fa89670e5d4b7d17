"""Small tokenizers for the tests, made on the spot."""

import json
import string
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def small_vocabulary() -> list[str]:
    """Letters of several scripts, so that most words are several pieces and few are unknown."""
    letters = list(string.ascii_letters + string.digits) + [chr(code) for code in range(0x430, 0x450)]
    letters += list("éèüñİß") + [chr(code) for code in range(0x1100, 0x1113)] + [chr(c) for c in range(0x1161, 0x1176)]
    letters += [chr(code) for code in (0x301, 0x302E, 0x5B8, 0x93C, 0x1D165, 0x1D16D, 0x8D4, 0x1E94A, 0x11C3F, 0x307)]
    words = [
        "the",
        "of",
        "hello",
        "world",
        "un",
        "token",
        "Token",
        "##aff",
        "##able",
        "##ization",
        "##s",
        "слово",
        "##ово",
    ]
    words += (
        [chr(0x4E00 + i) for i in range(60)] + ["\u3002", "\uff0c", "\u3001"] + ["##中", "한국", "가", "##가", "각"]
    )
    pieces = SPECIAL + list(string.punctuation) + letters + ["##" + letter for letter in letters] + words
    return list(dict.fromkeys(pieces))


def write_vocabulary(folder: Path, pieces: list[str] | None = None) -> str:
    """A vocab.txt."""
    path = folder / "vocab.txt"
    path.write_text("\n".join(small_vocabulary() if pieces is None else pieces) + "\n", encoding="utf-8")
    return str(path)


def write_tokenizer(folder: Path, added: list[AddedToken] | None = None, pieces: list[str] | None = None) -> str:
    """A WordPiece tokenizer.json with these added tokens (by default the special ones)."""
    pieces = small_vocabulary() if pieces is None else pieces
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if added is None:
        added = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    tokenizer.add_tokens(added)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return str(path)


def write_bpe(folder: Path) -> None:
    """vocab.json and merges.txt of a byte-level BPE with a single merge."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: index for index, piece in enumerate([*alphabet, "he", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\nh e\n", encoding="utf-8")

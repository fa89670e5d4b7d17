"""Training a vocabulary: WordPiece, byte-level BPE or Unigram, from a stream of texts that is read twice.

texts --pass 1: count characters--> alphabet --pass 2: `tokenizers` trainer--> DIR/tokenizer.json (and vocab.txt)

`tokenizers` itself trains another WordPiece vocabulary in every process: it numbers single characters in the order of a
randomly seeded hash table, and breaks ties between merges by number. Here the alphabet is counted, cut and numbered
beforehand, which leaves nothing to that order: the same texts and settings give the same file. Byte-level BPE has a
fixed alphabet and needs no such help. Unigram sums floating-point numbers in that random order, so its vocabulary may
differ a little from run to run; nothing outside its trainer can change that.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tqdm import tqdm

from preprocess.errors import MaskgenError

BERT_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BYTE_LEVEL_SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
UNIGRAM_SPECIAL_TOKENS = ("<pad>", "</s>", "<unk>", "<mask>")
MODELS = ("wordpiece", "bpe", "unigram")

Texts = Callable[[], Iterable[str]]


class TrainingError(MaskgenError, ValueError):
    """Settings or texts that no vocabulary can be trained with."""


@dataclass(frozen=True)
class TrainingSettings:
    """What to train; everything that decides the result, beside the texts."""

    model: str = "wordpiece"
    vocab_size: int = 30_000
    min_frequency: int = 2  # of a merge, counted over the whole corpus
    special_tokens: tuple[str, ...] | None = None  # None: the usual ones of the model
    limit_alphabet: int = 1000  # single characters kept, the most frequent ones; byte-level BPE needs no limit
    lowercase: bool = True  # WordPiece
    strip_accents: bool | None = None  # WordPiece; None: as lowercase

    def special(self) -> tuple[str, ...]:
        """The special tokens, in the order of their ids."""
        usual = {"wordpiece": BERT_SPECIAL_TOKENS, "bpe": BYTE_LEVEL_SPECIAL_TOKENS, "unigram": UNIGRAM_SPECIAL_TOKENS}
        return usual[self.model] if self.special_tokens is None else self.special_tokens

    def unknown(self) -> str:
        """The token for what the vocabulary cannot spell."""
        return "[UNK]" if self.model == "wordpiece" else "<unk>"

    def check(self) -> None:
        """Raise TrainingError for settings that make no sense."""
        if self.model not in MODELS:
            raise TrainingError(f"model: found {self.model!r}, expected one of {', '.join(MODELS)}")
        for name, least in (("vocab_size", 1), ("min_frequency", 0), ("limit_alphabet", 1)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name}: found {getattr(self, name)}, expected {least} or more")
        special = self.special()
        if len(set(special)) != len(special) or "" in special:
            raise TrainingError(f"special tokens: found {special}, expected different tokens that are not empty")
        if self.model != "bpe" and self.unknown() not in special:
            raise TrainingError(
                f"special tokens: found {', '.join(special) or 'none'}, expected {self.unknown()} among them; add it"
            )


def train_tokenizer(texts: Texts, settings: TrainingSettings) -> Tokenizer:
    """Train on the texts that `texts()` streams; it is called twice for WordPiece and Unigram."""
    settings.check()
    if settings.model == "bpe":
        return _train_bpe(texts, settings)
    if settings.model == "wordpiece":
        normalizer: normalizers.Normalizer = normalizers.BertNormalizer(
            lowercase=settings.lowercase, strip_accents=settings.strip_accents
        )
        splitter: pre_tokenizers.PreTokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u2581", " ")])
        splitter = pre_tokenizers.Metaspace()
    counts: Counter[str] = Counter()
    for text in _progress(texts(), "counting characters"):
        counts.update(normalizer.normalize_str(text))
    # Ties by code point, so that nothing depends on the order of the texts.
    ranked = sorted((char for char in counts if not char.isspace()), key=lambda char: (-counts[char], char))
    alphabet = sorted(ranked[: settings.limit_alphabet])
    if not alphabet:
        raise TrainingError("texts: found no characters, expected text to train on; check the input and its key")
    rare = {ord(char): None for char in ranked[settings.limit_alphabet :]}
    prepared = (normalizer.normalize_str(text).translate(rare) for text in _progress(texts(), "counting words"))
    if settings.model == "wordpiece":
        vocabulary = _train_wordpiece(prepared, alphabet, settings)
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - not a password
        tokenizer.decoder = decoders.WordPiece(prefix="##")
        if "[CLS]" in vocabulary and "[SEP]" in vocabulary:
            tokenizer.post_processor = processors.BertProcessing(
                ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
            )
    else:
        tokenizer = _train_unigram(prepared, splitter, settings)
        tokenizer.decoder = decoders.Metaspace()
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    _add_special(tokenizer, settings)
    return tokenizer


def _train_wordpiece(texts: Iterator[str], alphabet: list[str], settings: TrainingSettings) -> dict[str, int]:
    # Given to the trainer as special tokens, single characters get their ids in this order and before all merges.
    fixed = list(dict.fromkeys([*settings.special(), *alphabet, *("##" + char for char in alphabet)]))
    if settings.vocab_size < len(fixed):
        raise TrainingError(
            f"vocab_size: found {settings.vocab_size}, expected at least {len(fixed)} for {len(alphabet)} characters "
            "(each alone and as a continuation) and the special tokens; raise it or lower limit_alphabet"
        )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - not a password
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=settings.vocab_size,
        min_frequency=settings.min_frequency,
        special_tokens=fixed,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    vocabulary: dict[str, int] = json.loads(tokenizer.to_str())["model"]["vocab"]
    return vocabulary


def _train_bpe(texts: Texts, settings: TrainingSettings) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if settings.vocab_size < len(alphabet) + len(settings.special()):
        raise TrainingError(
            f"vocab_size: found {settings.vocab_size}, expected at least {len(alphabet) + len(settings.special())} for "
            "the 256 bytes and the special tokens; raise it"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        min_frequency=settings.min_frequency,
        special_tokens=list(settings.special()),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_progress(texts(), "counting words"), trainer)
    _add_special(tokenizer, settings)
    return tokenizer


def _train_unigram(
    texts: Iterator[str], splitter: pre_tokenizers.PreTokenizer, settings: TrainingSettings
) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = splitter
    trainer = trainers.UnigramTrainer(
        vocab_size=settings.vocab_size,
        special_tokens=list(settings.special()),
        unk_token=settings.unknown(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _add_special(tokenizer: Tokenizer, settings: TrainingSettings) -> None:
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in settings.special()])


def _progress(texts: Iterable[str], what: str) -> Iterator[str]:
    # disable=None: quiet unless standard error is a terminal; delay: nothing is shown for what is done at once.
    yield from tqdm(texts, desc=what, unit=" texts", unit_scale=True, disable=None, delay=2)


def save_tokenizer(tokenizer: Tokenizer, folder: str | os.PathLike[str]) -> list[str]:
    """Write DIR/tokenizer.json, and for WordPiece DIR/vocab.txt; each file is complete once it has its name."""
    content = tokenizer.to_str(pretty=True)
    files = {"tokenizer.json": content + "\n"}
    model = json.loads(content)["model"]
    if model["type"] == "WordPiece":
        vocabulary: dict[str, int] = model["vocab"]
        files["vocab.txt"] = "".join(token + "\n" for token in sorted(vocabulary, key=lambda token: vocabulary[token]))
    os.makedirs(folder, exist_ok=True)
    paths = []
    for name, text in files.items():
        path = os.path.join(folder, name)
        descriptor, temporary = tempfile.mkstemp(prefix=name + ".", dir=folder)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        paths.append(path)
    return paths

"""Tokenizer files -> the reference tokenizer, whatever form they have.

path --what is there?--> tokenizer.json | vocab.txt | vocab.json + merges.txt | *.model  --> Loaded

A tokenizer.json may hold truncation and padding, made for feeding a model. Both are turned off, since a corpus must
not be cut silently; ``Loaded.ignored`` names what was turned off.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from preprocess.tokenization.errors import TokenizerError
from preprocess.tokenization.sentencepiece import load_sentencepiece

BERT_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SENTENCEPIECE_NAMES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model")
FORMS = "tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece *.model"


@dataclass(frozen=True)
class Loaded:
    """A tokenizer as `tokenizers` runs it, and where it came from."""

    tokenizer: Tokenizer
    path: str
    digest: str  # sha256 over the files that decide the ids, and the options given
    config: Mapping[str, Any]  # tokenizer_config.json and special_tokens_map.json, where there are any
    ignored: tuple[str, ...]  # settings of the file that do not apply to a corpus, and were turned off


def load_reference(
    path: str | os.PathLike[str], *, lowercase: bool | None = None, strip_accents: bool | None = None
) -> Loaded:
    """Load the tokenizer at `path`, a file or a directory.

    `lowercase` and `strip_accents` are for vocab.txt alone, which does not say: unset, they are taken from a
    tokenizer_config.json beside it, else lower-casing is on and accents follow it (the BERT convention).
    """
    name = os.fspath(path)
    if not os.path.exists(name):
        raise TokenizerError(name, "nothing there", f"a directory or a file: {FORMS}", "check the path")
    folder = name if os.path.isdir(name) else os.path.dirname(name)
    files = _files_of(name)
    config = _config_of(folder)
    main = files[0]
    contents = [_read(file) for file in files]
    if os.path.basename(main).endswith(".txt"):
        tokenizer = _from_vocab_txt(main, contents[0], config, lowercase, strip_accents)
    elif lowercase is not None or strip_accents is not None:
        raise TokenizerError(
            main,
            "lowercase or strip_accents given",
            "these options with a vocab.txt only",
            "leave them out: this file says itself how text is normalised",
        )
    elif main.endswith(".model"):
        tokenizer = load_sentencepiece(main, contents[0])
    elif len(files) == 2:
        tokenizer = _from_merges(files, contents)
    else:
        tokenizer = _from_json(main, contents[0])
    ignored = []
    if tokenizer.truncation is not None:
        ignored.append(f"truncation to {tokenizer.truncation['max_length']} tokens")
        tokenizer.no_truncation()
    if tokenizer.padding is not None:
        ignored.append("padding")
        tokenizer.no_padding()
    if tokenizer.get_vocab_size() == 0:
        raise TokenizerError(main, "an empty vocabulary", "at least one token", "check the file")
    digest = hashlib.sha256(repr((lowercase, strip_accents)).encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return Loaded(tokenizer, name, digest.hexdigest(), config, tuple(ignored))


def _files_of(name: str) -> list[str]:
    if not os.path.isdir(name):
        if os.path.basename(name) == "vocab.json":
            return [name, _beside(name, "merges.txt")]
        if os.path.basename(name) == "merges.txt":
            return [_beside(name, "vocab.json"), name]
        return [name]
    choices: list[list[str]] = [["tokenizer.json"], ["vocab.txt"], ["vocab.json", "merges.txt"]]
    choices += [[model] for model in SENTENCEPIECE_NAMES]
    for choice in choices:
        paths = [os.path.join(name, file) for file in choice]
        if all(os.path.isfile(path) for path in paths):
            return paths
    found = ", ".join(sorted(os.listdir(name))[:8]) or "an empty directory"
    raise TokenizerError(name, found, FORMS, "point at the tokenizer's own directory or file")


def _beside(name: str, other: str) -> str:
    path = os.path.join(os.path.dirname(name), other)
    if not os.path.isfile(path):
        raise TokenizerError(name, f"no {other} beside it", "vocab.json and merges.txt together", f"put {other} there")
    return path


def _read(path: str) -> bytes:
    if not os.path.isfile(path):
        raise TokenizerError(path, "no regular file", f"a file: {FORMS}", "check the path")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise TokenizerError(path, f"{error.strerror}", "a readable file", "check its permissions") from error


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise TokenizerError(
            path, f"invalid UTF-8 at byte {error.start}", f"one of {FORMS}", "check that this is a tokenizer"
        ) from error


def _config_of(folder: str) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        path = os.path.join(folder, file)
        if os.path.isfile(path):
            try:
                content = json.loads(_text(path, _read(path)))
            except ValueError as error:
                raise TokenizerError(path, f"no valid JSON ({error})", "a JSON object", "repair the file") from error
            if not isinstance(content, dict):
                raise TokenizerError(path, f"a {type(content).__name__}", "a JSON object", "repair the file")
            config.update(content)
    return config


def _from_json(path: str, content: bytes) -> Tokenizer:
    text = _text(path, content)
    # `tokenizers` reports what it does not like as a bare Exception.
    try:
        return Tokenizer.from_str(text)
    except Exception as error:
        raise TokenizerError(
            path, f"no tokenizer ({error})", f"one of {FORMS}", "check that this is a tokenizer.json"
        ) from error


def _from_vocab_txt(
    path: str, content: bytes, config: Mapping[str, Any], lowercase: bool | None, strip_accents: bool | None
) -> Tokenizer:
    # Of duplicate lines the last one wins, and trailing white space does not count: both as `tokenizers` reads it.
    lines = _text(path, content).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    vocabulary = {line.rstrip(): index for index, line in enumerate(lines)}
    if "[UNK]" not in vocabulary and not any(token.startswith("##") for token in vocabulary):
        raise TokenizerError(
            path,
            f"{len(vocabulary)} lines without [UNK] or any ## piece",
            "a WordPiece vocabulary, one token a line",
            "check that this is a BERT vocab.txt",
        )
    if lowercase is None:
        lowercase = bool(config.get("do_lower_case", True))
    if strip_accents is None:
        strip_accents = config.get("strip_accents")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - not a password
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in BERT_SPECIAL_TOKENS if token in vocabulary]
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
        strip_accents=strip_accents,
        lowercase=lowercase,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    if "[CLS]" in vocabulary and "[SEP]" in vocabulary:
        tokenizer.post_processor = processors.BertProcessing(
            ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        )
    return tokenizer


def _from_merges(files: list[str], contents: list[bytes]) -> Tokenizer:
    try:
        vocabulary = json.loads(_text(files[0], contents[0]))
    except ValueError as error:
        raise TokenizerError(files[0], f"no valid JSON ({error})", "token: id pairs", "check the file") from error
    if not isinstance(vocabulary, dict) or not all(type(value) is int for value in vocabulary.values()):
        raise TokenizerError(files[0], "something else", "a JSON object of token: id pairs", "check the file")
    merges = []
    for number, line in enumerate(_text(files[1], contents[1]).split("\n"), 1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        parts = line.split(" ")
        if len(parts) != 2:
            raise TokenizerError(
                f"{files[1]}, line {number}", repr(line[:40]), "two pieces and one space", "check the file"
            )
        merges.append((parts[0], parts[1]))
    try:
        tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    except Exception as error:
        raise TokenizerError(files[1], f"{error}", "merges of pieces in vocab.json", "check both files") from error
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token in vocabulary if token in ("<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|endoftext|>")]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer

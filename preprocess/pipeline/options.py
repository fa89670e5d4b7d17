"""What the user chose that decides the bytes of the datasets, and the tokenizer they are made with.

How the work is done (workers, executor, engine) stands elsewhere, because it must not matter.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from preprocess.errors import MaskgenError
from preprocess.sentences import load_splitter
from preprocess.tokenization import Tokenizer, load_tokenizer

ON_ERROR = ("error", "skip", "quarantine")
TEXT_DOCUMENTS = ("line", "block", "file")
IMAGE_ENCODINGS = ("path", "base64")
OF_IMAGES = ("images", "image_root", "image_encoding")


class OptionsError(MaskgenError, ValueError):
    """A choice that cannot be carried out."""


@dataclass(frozen=True)
class Options:
    """Everything that the bytes of the result depend on, beside the inputs and the tokenizer."""

    json_keys: tuple[str, ...] = ("text",)
    format: str = "auto"
    split: str | None = None  # of a Hugging Face dataset
    text_documents: str = "line"
    append_eod: bool = False
    add_special_tokens: bool = False
    split_sentences: bool = False
    splitter: str = "default"
    language: str = "english"
    keep_newlines: bool = False
    on_error: str = "error"
    max_documents: int | None = None
    shuffle_seed: int | None = None
    provenance: bool = False
    max_line_bytes: int = 64 << 20
    shard_bytes: int | None = None
    images: str | None = None  # the key of a caption's image
    image_root: str | None = None  # the folder of its files; that of the lines
    image_encoding: str = "path"

    def check(self) -> None:
        """Refuse what makes no sense, before anything is read."""
        if not self.json_keys or "" in self.json_keys or len(set(self.json_keys)) != len(self.json_keys):
            raise OptionsError(f"--json-keys: found {list(self.json_keys)}, expected different names; correct them")
        for key in self.json_keys:
            if "/" in key or "\0" in key:
                raise OptionsError(f"--json-keys: found {key!r}, expected a name that can be part of a file's name")
        for name, value, least in (
            ("--max-documents", self.max_documents, 1),
            ("--max-line-bytes", self.max_line_bytes, 1),
            ("--shard-bytes", self.shard_bytes, 1),
            ("--seed", self.shuffle_seed, 0),
        ):
            if value is not None and value < least:
                raise OptionsError(f"{name}: found {value}, expected at least {least}; correct it")
        for name, choice, choices in (
            ("--on-error", self.on_error, ON_ERROR),
            ("--text-documents", self.text_documents, TEXT_DOCUMENTS),
            ("--image-encoding", self.image_encoding, IMAGE_ENCODINGS),
        ):
            if choice not in choices:
                raise OptionsError(f"{name}: found {choice!r}, expected one of {', '.join(choices)}; correct it")
        self._check_images()
        if self.split_sentences:
            load_splitter(self.splitter, language=self.language)  # which may lack a package or its data

    def _check_images(self) -> None:
        if self.images is None:
            if self.image_root is not None or self.image_encoding != "path":
                raise OptionsError("--image-root or --image-encoding: found no --images; name the key of the images")
            return
        if len(self.json_keys) > 1 or self.split_sentences or self.images in ("", *self.json_keys):
            raise OptionsError(
                f"--images {self.images}: found --json-keys {' '.join(self.json_keys)}"
                f"{' and --split-sentences' * self.split_sentences}, expected one key of captions, another one of "
                "images, and captions in one piece; correct them"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys that are read of each record."""
        return self.json_keys if self.images is None else (*self.json_keys, self.images)

    def dtype(self, tokenizer: Tokenizer) -> np.dtype[Any]:
        """The type of the datasets: Megatron-LM's pairs are int32 whatever the vocabulary."""
        return tokenizer.dtype if self.images is None else np.dtype(np.int32)

    def facts(self) -> dict[str, Any]:
        """All of them, as JSON; those about images only where there are any, so that other plans keep their names."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if self.images is not None or name not in OF_IMAGES
        }

    @property
    def level(self) -> str:
        """The last part of an output's name, as Megatron-LM has it."""
        return "sentence" if self.split_sentences else "document"


@dataclass(frozen=True)
class TokenizerChoice:
    """Which tokenizer, and how it is to be read."""

    path: str
    lowercase: bool | None = None
    strip_accents: bool | None = None
    roles: Mapping[str, str] = field(default_factory=dict)

    def load(self, engine: str, options: Options) -> Tokenizer:
        """Load it; an error when it lacks a token that the options need, before any text is read."""
        return load_tokenizer(
            self.path,
            engine,
            roles=self.roles,
            require=("eod",) if options.append_eod else (),
            lowercase=self.lowercase,
            strip_accents=self.strip_accents,
        )

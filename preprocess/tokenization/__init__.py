"""Text to token ids: loading, special roles, and engines that all give the ids of `tokenizers`."""

from preprocess.tokenization.engines import register_engine
from preprocess.tokenization.errors import (
    EngineMismatchError,
    EngineUnsupportedError,
    TextError,
    TokenizerError,
)
from preprocess.tokenization.roles import Roles
from preprocess.tokenization.tokenizer import EncodedDocuments, Tokenizer, encode_documents, load_tokenizer

__all__ = [
    "EncodedDocuments",
    "EngineMismatchError",
    "EngineUnsupportedError",
    "Roles",
    "TextError",
    "Tokenizer",
    "TokenizerError",
    "encode_documents",
    "load_tokenizer",
    "register_engine",
]

"""A tokenizer's files beside a model, so that AutoTokenizer loads it with its special tokens in their roles.

file or folder --has it a tokenizer_config.json?--> its files as they are
                                               `--> tokenizer.json, and a tokenizer_config.json with the roles
"""

import json
import os
from collections.abc import Mapping
from typing import NamedTuple

from tokenizers import Tokenizer, processors

from maskgen.train.errors import TrainError
from maskgen.train.models.config import EncoderConfig
from preprocess.tokenization.loading import load_reference
from preprocess.tokenization.roles import Roles, resolve_roles

ROLES = ("cls", "sep", "mask", "pad", "unk", "bos", "eos")
CONFIG = "tokenizer_config.json"
# Whatever a tokenizer of Hugging Face may be spread over.
FILES = (
    CONFIG, "tokenizer.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt",
    "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model",
)  # fmt: skip


class TokenizerFiles(NamedTuple):
    """File contents by name, and ids by role."""

    contents: Mapping[str, bytes]
    ids: Mapping[str, int | None]


def read_tokenizer_files(path: str | os.PathLike[str], config: EncoderConfig) -> TokenizerFiles:
    """The files to write; an error if the encoder lacks ids that the tokenizer gives."""
    name = os.fspath(path)
    loaded = load_reference(name)
    tokenizer = loaded.tokenizer
    roles = resolve_roles(tokenizer, name, loaded.config)
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if largest >= config.vocab_size:
        raise TrainError(
            f"{name}: found ids up to {largest}; expected fewer than the {config.vocab_size} of the model; pass the "
            "tokenizer that it was trained with"
        )
    ids = {role: getattr(roles, role) for role in ROLES}
    if os.path.isfile(os.path.join(name, CONFIG)):
        return TokenizerFiles(_copied(name), ids)
    tokens = {role: tokenizer.id_to_token(id_) for role, id_ in ids.items() if id_ is not None}
    tokenizer = completed(tokenizer, roles)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.max_positions,
        "clean_up_tokenization_spaces": False,
        **{f"{role}_token": token for role, token in tokens.items()},
    }
    contents = {
        "tokenizer.json": (tokenizer.to_str(pretty=True) + "\n").encode(),
        CONFIG: (json.dumps(settings, indent=2, ensure_ascii=False) + "\n").encode(),
    }
    return TokenizerFiles(contents, ids)


def completed(tokenizer: Tokenizer, roles: Roles) -> Tokenizer:
    """The same tokenizer, which now finds its special tokens in texts, and puts cls and sep around them by default."""
    ids = {role: getattr(roles, role) for role in ROLES}
    tokens = {role: tokenizer.id_to_token(id_) for role, id_ in ids.items() if id_ is not None}
    # Tokens that are special already stay as they are: adding one again would reset how it takes spaces.
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    tokenizer.add_special_tokens([token for token in dict.fromkeys(tokens.values()) if token not in known])
    if tokenizer.post_processor is None and "cls" in tokens and "sep" in tokens:
        cls, sep = tokens["cls"], tokens["sep"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(cls, roles.cls), (sep, roles.sep)],
        )
    return tokenizer


def _copied(folder: str) -> dict[str, bytes]:
    contents = {}
    for name in FILES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                contents[name] = file.read()
    return contents

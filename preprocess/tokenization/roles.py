"""Which token plays which part: found by name, checked before any text is read.

A role is looked up in this order: what the caller says, what tokenizer_config.json says (``cls_token`` and so on), the
usual names below.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from tokenizers import Tokenizer

from preprocess.tokenization.errors import TokenizerError

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "cls": ("[CLS]", "<cls>", "<s>"),
    "sep": ("[SEP]", "<sep>", "</s>"),
    "mask": ("[MASK]", "<mask>"),
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    # A BERT vocabulary has no token of its own for the end of a document; [SEP] is what its users append.
    "eod": ("[EOD]", "<eod>", "<|endoftext|>", "</s>", "[SEP]"),
    "bos": ("[BOS]", "<bos>", "<s>", "<|startoftext|>"),
    "eos": ("[EOS]", "<eos>", "</s>", "<|endoftext|>"),
}
SENTINEL = re.compile(r"(?:<extra_id_|\[SENTINEL_|<sentinel_)(\d+)[>\]]")


@dataclass(frozen=True)
class Roles:
    """Ids by role; None where the vocabulary has no such token. Sentinels are in the order of their numbers."""

    cls: int | None = None
    sep: int | None = None
    mask: int | None = None
    pad: int | None = None
    unk: int | None = None
    eod: int | None = None
    bos: int | None = None
    eos: int | None = None
    sentinels: tuple[int, ...] = ()


ROLE_NAMES = tuple(field.name for field in fields(Roles))


def resolve_roles(
    tokenizer: Tokenizer, path: str, config: Mapping[str, Any], chosen: Mapping[str, str] | None = None
) -> Roles:
    """Find the token of each role; a chosen token that does not exist, or an unknown role, is an error."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    chosen = dict(chosen or {})
    ids: dict[str, int] = {}
    for role, token in chosen.items():
        if role not in USUAL_NAMES:
            raise TokenizerError(path, f"the role {role!r}", f"one of {', '.join(USUAL_NAMES)}", "correct its name")
        if token not in vocabulary:
            raise TokenizerError(
                path,
                f"no token {token!r} for the role {role}",
                "a token of the vocabulary",
                f"choose one; special tokens here: {describe_special_tokens(tokenizer)}",
            )
        ids[role] = vocabulary[token]
    for role, names in USUAL_NAMES.items():
        configured = config.get(f"{role}_token")
        if isinstance(configured, Mapping):
            configured = configured.get("content")
        for name in ([configured] if isinstance(configured, str) else []) + list(names):
            if name in vocabulary:
                ids.setdefault(role, vocabulary[name])
                break
    numbered = [(int(match[1]), id_) for token, id_ in vocabulary.items() if (match := SENTINEL.fullmatch(token))]
    return Roles(**ids, sentinels=tuple(id_ for _, id_ in sorted(numbered)))


def require_roles(roles: Roles, needed: Iterable[str], tokenizer: Tokenizer, path: str) -> None:
    """Raise unless every role of `needed` has a token; the error names the missing ones and what there is."""
    needed = list(needed)
    for role in needed:
        if role not in ROLE_NAMES:
            raise TokenizerError(path, f"the role {role!r}", f"one of {', '.join(ROLE_NAMES)}", "correct its name")
    missing = [role for role in needed if getattr(roles, role) in (None, ())]
    if not missing:
        return
    usual = ", ".join(
        f"{role} ({' or '.join(USUAL_NAMES[role]) if role in USUAL_NAMES else '<extra_id_0>, ...'})" for role in missing
    )
    raise TokenizerError(
        path,
        f"no token for {', '.join(missing)}; special tokens here: {describe_special_tokens(tokenizer)}",
        f"a vocabulary with {usual}",
        "use another tokenizer"
        + (f', or name the token yourself: roles={{"{missing[0]}": "..."}}' if missing[0] in USUAL_NAMES else ""),
    )


def describe_special_tokens(tokenizer: Tokenizer, most: int = 12) -> str:
    """The special tokens that exist, for error messages."""
    tokens = [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items()) if token.special]
    if not tokens:
        return "none"
    return ", ".join(tokens[:most]) + (f" and {len(tokens) - most} more" if len(tokens) > most else "")

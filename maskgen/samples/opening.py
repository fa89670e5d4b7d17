"""From the flags of a command to samples: dataset, vocabulary and one epoch's mapping, opened and fitted together."""

from typing import Any

from maskgen.mapping import cached_mapping
from maskgen.samples.base import Samples
from maskgen.samples.bert import BertSamples
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.samples.t5 import T5Samples
from maskgen.vocab import Vocab
from preprocess import IndexedDataset

LONGEST = 1 << 20


def open_samples(flags: Any) -> Samples:
    """The samples that the flags of ``maskgen sample`` describe."""
    dataset = IndexedDataset(flags.prefix)
    vocab = Vocab.from_tokenizer(
        flags.tokenizer,
        roles=_roles(flags.role),
        sentinel_ids=None if flags.sentinels is None else _ids(flags.sentinels),
    )
    pairs = flags.scheme == "bert" and not flags.no_binary_head
    specials = 3 if pairs else 2
    _check_length(flags.max_seq_length, "--max-seq-length", specials + 2)  # the shortest target is of 2 tokens
    if flags.max_seq_length_dec is not None:
        _check_length(flags.max_seq_length_dec, "--max-seq-length-dec", 1)
    rows = cached_mapping(
        dataset,
        num_epochs=1,
        max_seq_length=flags.max_seq_length - specials,
        short_seq_prob=flags.short_seq_prob,
        seed=flags.seed,
        min_num_sent=2 if pairs else 1,
        cache_dir=flags.cache_dir,
    )
    if not len(rows):
        remedy = "tokenize with --split-sentences, or pass --no-binary-head" if pairs else "use another dataset"
        raise SampleError(
            f"{dataset.prefix}: no document with {2 if pairs else 1} sentences or more, and none too long; expected "
            f"at least one; {remedy}"
        )
    options: dict[str, Any] = {
        "max_seq_length": flags.max_seq_length,
        "masked_lm_prob": flags.masked_lm_prob,
        "seed": flags.seed,
        "engine": flags.engine,
    }
    if flags.max_ngrams is not None:
        options["max_ngrams"] = flags.max_ngrams
    if flags.scheme == "t5":
        width = flags.max_seq_length if flags.max_seq_length_dec is None else flags.max_seq_length_dec
        return T5Samples(dataset, rows, vocab, max_seq_length_dec=width, **options)
    replacements = vocab.ordinary_ids if flags.ordinary_replacements else None
    return BertSamples(dataset, rows, vocab, binary_head=pairs, replacement_ids=replacements, **options)


def _check_length(length: int, flag: str, least: int) -> None:
    """A sample is filled up to its length, so a length of billions would take the memory of the machine."""
    integer(length, flag, least)
    if length > LONGEST:
        raise SampleError(f"{flag} is {length}; expected at most {LONGEST}; correct it")


def _roles(texts: list[str]) -> dict[str, str]:
    roles = {}
    for text in texts:
        role, equals, token = text.partition("=")
        if not (role and equals and token):
            raise SampleError(f"--role {text}; expected ROLE=TOKEN, such as bos=<pad>; correct it")
        roles[role] = token
    return roles


def _ids(text: str) -> range:
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise SampleError(f"--sentinels {text}; expected FIRST-LAST, such as 32000-32099; correct it")
    return range(int(first), int(last) + 1)

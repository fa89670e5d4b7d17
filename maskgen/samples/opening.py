"""From choices to samples: dataset, vocabulary and rows, opened and fitted together; what every command starts with.

SampleChoice (plain values) --open--> dataset, Vocab, rows of a mapping --> BertSamples | T5Samples
                                      dataset, Vocab, rows of documents --> SchemeSamples, of any scheme of the registry
                                      dataset, Vocab, rows of a mapping --> NextSentenceSamples, of encoders' schemes
                        dataset, titles, Vocab, rows of a block mapping --> BlockSamples

The options of a scheme are those of its constructor: names, types and defaults are read off its signature, so that a
new scheme needs no new flags.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from maskgen.blocks import BlockSamples, title_sizes
from maskgen.mapping import build_blocks_mapping, cached_mapping, part_documents
from maskgen.rows import Chunks, Documents, PackedDocuments, RowSource
from maskgen.samples.base import Samples
from maskgen.samples.bert import BertSamples
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.samples.t5 import T5Samples
from maskgen.schemes import SCHEMES, SchemeSamples
from maskgen.schemes.next_sentence import NextSentenceSamples
from maskgen.vocab import Vocab
from preprocess import IndexedDataset

ORDINARY = "ordinary"  # as replacement_ids: those of the vocabulary that are no special ids
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
NOT_OPTIONS = ("max_seq_length", "seed", "engine", "use_titles", "first_document")  # a SampleChoice has them elsewhere
MEGATRON: Mapping[str, Callable[..., Samples]] = {"bert": BertSamples, "t5": T5Samples}
ROW_KINDS = ("chunks", "best-fit", "sequential", "documents")
PAIRS = "pairs"
SHORT_SEQ_PROB = 0.1
LONGEST = 1 << 20
BLOCKS: Mapping[str, Callable[..., BlockSamples]] = {"ict": BlockSamples}
OF_BLOCKS: Mapping[str, Any] = {"titles": None, "use_one_sent_blocks": False}  # a prefix; and of the mapping
AnySamples = Samples | SchemeSamples | BlockSamples


@dataclass(frozen=True)
class SampleChoice:
    """Which samples: everything that a command line says about them. `options` are the scheme's own.

    `max_num_samples` and `short_seq_prob` are of mappings, which bert, t5 and pairs have; `rows` (one of ROW_KINDS, or
    "pairs": Google's next-sentence prediction) and `add_special` are of all other schemes.
    """

    prefix: str
    tokenizer: str
    max_seq_length: int
    seed: int
    scheme: str = "bert"
    options: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "native"
    roles: Mapping[str, str] = field(default_factory=dict)
    sentinel_ids: Sequence[int] | None = None
    num_epochs: int | None = None
    max_num_samples: int | None = None
    short_seq_prob: float | None = None
    rows: str | None = None
    add_special: bool = False
    split: str | None = None
    part: str | None = None
    cache_dir: str | None = None

    def open(self) -> AnySamples:
        """The samples; their mapping is built first where nobody has done that."""
        known = scheme_options(self.scheme, self.rows)
        for name in self.options:
            _must_be_known(self.scheme, name, known)
        _check_length(self.max_seq_length, "--max-seq-length")
        if self.options.get("max_seq_length_dec") is not None:
            _check_length(self.options["max_seq_length_dec"], "--max-seq-length-dec")
        dataset = IndexedDataset(self.prefix)
        vocab = Vocab.from_tokenizer(self.tokenizer, roles=self.roles, sentinel_ids=self.sentinel_ids)
        if self.scheme in MEGATRON:
            return self._open_megatron(dataset, vocab)
        if self.scheme in BLOCKS:
            return self._open_blocks(dataset, vocab)
        return self._open_pairs(dataset, vocab) if self.rows == PAIRS else self._open_other(dataset, vocab)

    @property
    def _part(self) -> str | None:
        return self.part or (None if self.split is None else "train")

    def _refuse(self, expected: str, **given: object) -> None:
        for flag, value in given.items():
            if value:
                name = f"--{flag.replace('_', '-')}"
                raise SampleError(f"{name} with the scheme {self.scheme}; expected only with {expected}; leave it out")

    def _open_pairs(self, dataset: IndexedDataset, vocab: Vocab) -> SchemeSamples:
        self._refuse("rows other than pairs, which have them", add_special=self.add_special)
        rows = self._mapping(dataset, pairs=True)
        fixed: dict[str, Any] = {"max_seq_length": self.max_seq_length, "scheme": self.scheme, "seed": self.seed}
        return NextSentenceSamples(dataset, rows, vocab, **fixed, **self.options)

    def _open_other(self, dataset: IndexedDataset, vocab: Vocab) -> SchemeSamples:
        given = {"max_num_samples": self.max_num_samples, "short_seq_prob": self.short_seq_prob}
        self._refuse("bert, t5 and --rows pairs", **given)
        rows = self._rows(dataset, vocab)
        if not len(rows):
            where = "" if self.split is None else f", part {self._part} of the split {self.split}"
            raise SampleError(f"{dataset.prefix}{where}: no tokens; expected some; use another dataset or split")
        return SchemeSamples(rows, vocab, self.scheme, seed=self.seed, **self.options)

    def _rows(self, dataset: IndexedDataset, vocab: Vocab) -> RowSource:
        kind = self.rows or ROW_KINDS[0]
        around: tuple[int | None, int | None] | None = None
        if self.add_special:
            begin, end = vocab.ids("cls", "sep") if vocab.cls_id is not None else vocab.ids("bos", "eos")
            around = begin, end
        common: dict[str, Any] = {
            "documents": range(*part_documents(self.split, self._part, len(dataset.document_indices) - 1)),
            "pad_id": vocab.pad_id or 0,
            "engine": self.engine,
        }
        width = self.max_seq_length
        if kind == "chunks":
            epochs = 1 if self.num_epochs is None else self.num_epochs
            return Chunks(dataset, width, seed=self.seed, num_epochs=epochs, row_special=around, **common)
        if self.num_epochs not in (None, 1):
            raise SampleError(f"--num-epochs {self.num_epochs} with --rows {kind}; expected 1; leave it out")
        common |= {"add_special": around, "cache": self.cache_dir or True}
        if kind == "documents":
            return Documents(dataset, width, **common)
        if kind not in ROW_KINDS:
            raise SampleError(f"--rows {kind}; expected {', '.join(ROW_KINDS)} or {PAIRS}; correct its name")
        return PackedDocuments(dataset, width, strategy=kind, **common)

    def _mapping(self, dataset: IndexedDataset, pairs: bool) -> npt.NDArray[Any]:
        specials = 3 if pairs else 2
        integer(self.max_seq_length, "--max-seq-length", specials + 2)  # the shortest target is of 2 tokens
        rows = cached_mapping(
            dataset,
            num_epochs=1 if self.num_epochs is None and self.max_num_samples is None else self.num_epochs,
            max_num_samples=self.max_num_samples,
            max_seq_length=self.max_seq_length - specials,
            short_seq_prob=SHORT_SEQ_PROB if self.short_seq_prob is None else self.short_seq_prob,
            seed=self.seed,
            min_num_sent=2 if pairs else 1,
            split=self.split,
            part=self._part,
            cache_dir=self.cache_dir,
        )
        if not len(rows):
            remedy = "tokenize with --split-sentences, or pass --no-binary-head" if pairs else "use another dataset"
            where = f", part {self._part} of the split {self.split}" if self.split is not None else ""
            raise SampleError(
                f"{dataset.prefix}{where}: no document with {2 if pairs else 1} sentences or more, and none too long; "
                f"expected at least one; {remedy}"
            )
        return rows

    def _open_blocks(self, dataset: IndexedDataset, vocab: Vocab) -> BlockSamples:
        given = {"rows": self.rows, "add_special": self.add_special, "short_seq_prob": self.short_seq_prob}
        self._refuse("other schemes", **given)
        integer(self.max_seq_length, "--max-seq-length", 5)  # three special tokens, and two others
        options = {**OF_BLOCKS, **self.options}
        prefix, one_sentence = options.pop("titles"), options.pop("use_one_sent_blocks")
        titles = None if prefix is None else IndexedDataset(prefix)
        first, end = part_documents(self.split, self._part, len(dataset.document_indices) - 1)
        blocks = build_blocks_mapping(
            dataset.document_indices[first : end + 1],
            dataset.sequence_lengths,
            title_sizes(dataset, titles)[first:end],
            num_epochs=1 if self.num_epochs is None and self.max_num_samples is None else self.num_epochs,
            max_num_samples=self.max_num_samples,
            max_seq_length=self.max_seq_length - 3,
            seed=self.seed,
            use_one_sent_blocks=one_sentence,
            engine="reference" if self.engine == "reference" else "native",
        )
        if not len(blocks):
            raise SampleError(
                f"{dataset.prefix}: no document of {1 if one_sentence else 2} sentences or more, and none too long; "
                "expected at least one; tokenize with --split-sentences"
            )
        fixed: dict[str, Any] = {"max_seq_length": self.max_seq_length, "seed": self.seed, "first_document": first}
        return BLOCKS[self.scheme](dataset, titles, blocks, vocab, use_titles=titles is not None, **fixed, **options)

    def _open_megatron(self, dataset: IndexedDataset, vocab: Vocab) -> Samples:
        self._refuse("schemes other than bert and t5", rows=self.rows, add_special=self.add_special)
        options = dict(self.options)
        rows = self._mapping(dataset, pairs=self.scheme == "bert" and bool(options.get("binary_head", True)))
        if self.scheme == "t5":
            options.setdefault("max_seq_length_dec", self.max_seq_length)
        if options.get("replacement_ids") == ORDINARY:
            options["replacement_ids"] = vocab.ordinary_ids
        fixed = {"max_seq_length": self.max_seq_length, "seed": self.seed, "engine": self.engine}
        return MEGATRON[self.scheme](dataset, rows, vocab, **fixed, **options)


def _check_length(length: Any, flag: str) -> None:
    """A sample is filled up to its length, so a length of billions would take the memory of the machine."""
    integer(length, flag, 1)
    if length > LONGEST:
        raise SampleError(f"{flag} is {length}; expected at most {LONGEST}; correct it")


def scheme_options(scheme: str, rows: str | None = None) -> dict[str, Any]:
    """The options of a scheme and their defaults (``inspect.Parameter.empty`` where there is none)."""
    kinds: Mapping[str, Callable[..., Any]] = {**MEGATRON, **BLOCKS, **SCHEMES}
    if scheme not in kinds:
        raise SampleError(f"--scheme {scheme}; expected one of {', '.join(kinds)}; correct its name")
    parameters = inspect.signature(kinds[scheme]).parameters.values()
    extra: Mapping[str, Any] = {"random_share": 0.5} if rows == PAIRS else {"documents": False}
    if scheme in MEGATRON or scheme in BLOCKS:
        extra = OF_BLOCKS if scheme in BLOCKS else {}
    return {**extra} | {
        each.name: each.default
        for each in parameters
        if each.kind is inspect.Parameter.KEYWORD_ONLY and each.name not in NOT_OPTIONS
    }


def parse_option(scheme: str, text: str, rows: str | None = None) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``, of the type that the scheme's default has.

    >>> parse_option("bert", "max-ngrams=5"), parse_option("t5", "geometric_dist=no")
    (('max_ngrams', 5), ('geometric_dist', False))
    """
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not (equals and name and value):
        raise SampleError(f"--option {text}; expected NAME=VALUE, such as max_ngrams=1; correct it")
    known = scheme_options(scheme, rows)
    _must_be_known(scheme, name, known)
    return name, _value(name, value, known[name])


def _value(name: str, text: str, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            return TRUTH[text.lower()]
        if kind in (int, float, str):
            return kind(text)
    except (ValueError, KeyError):
        wanted = {bool: "true or false", int: "a whole number"}.get(kind, "a number")
        raise SampleError(f"--option {name}={text}; expected {wanted}; correct it") from None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _must_be_known(scheme: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise SampleError(
            f"the scheme {scheme} has no option {name}; expected one of {', '.join(known)}; correct the name, or leave "
            "it out"
        )


def parse_roles(texts: Sequence[str]) -> dict[str, str]:
    """The tokens of special roles, from ``ROLE=TOKEN``."""
    roles = {}
    for text in texts:
        role, equals, token = text.partition("=")
        if not (role and equals and token):
            raise SampleError(f"--role {text}; expected ROLE=TOKEN, such as bos=<pad>; correct it")
        roles[role] = token
    return roles


def parse_ids(text: str) -> range:
    """The ids of ``FIRST-LAST``."""
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise SampleError(f"--sentinels {text}; expected FIRST-LAST, such as 32000-32099; correct it")
    return range(int(first), int(last) + 1)

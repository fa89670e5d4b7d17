"""From datasets to micro-batches.

--data, --split, --scheme --SampleChoice.open--> samples --Blend--> BatchSource of this rank --Loader, on a thread-->
the rank's rows of a global batch --micro_batches--> slices of them, on the device

Validation takes the same way once: some samples of its part, drawn evenly, with masks at one rate, always the same.
"""

import itertools
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import torch

from maskgen.batches import BatchSource, Blend
from maskgen.datasets import Loader
from maskgen.mapping import part_documents
from maskgen.pairs import PairSamples
from maskgen.samples.opening import AnySamples, SampleChoice, scheme_options
from maskgen.schemes import SCHEMES
from maskgen.schemes.base import EncoderScheme
from maskgen.train.errors import TrainError
from maskgen.train.models import unpadding
from maskgen.train.settings import DIFFUSION, TrainSettings
from maskgen.vocab import Vocab
from preprocess import IndexedDataset, load_tokenizer
from preprocess.errors import MaskgenError
from preprocess.indexed.sidecar import read_sidecar

Tensors = dict[str, torch.Tensor]
TrainingSamples = AnySamples | PairSamples
UNUSED = frozenset({"truncated", "t", "span_left", "span_right", "span_offset"})  # no objective reads them
LEVELS = 8  # of noise, in the middles of as many equal parts of the range, where validation is for a bound
PACKED = ("masked_positions", "masked_labels")


@dataclass(frozen=True)
class TrainingData:
    """The samples of a run, and those of its validation where there are any."""

    settings: TrainSettings
    samples: TrainingSamples | Blend
    validation: TrainingSamples | Blend | None
    vocab: Vocab

    def source(self, rank: int = 0, ranks: int = 1) -> BatchSource:
        """The share of a rank of each global batch, for ever."""
        settings = self.settings
        return BatchSource(
            self.samples,
            batch_size=settings.batch_sizes(),
            seed=settings.seed,
            rank=rank,
            world_size=ranks,
            threads=settings.threads,
            rate=settings.masking_rate(),
        )

    def loader(self, source: BatchSource, device: torch.device) -> Loader:
        """Its batches as tensors, two of them made ahead."""
        return Loader(source, pin=device.type == "cuda")

    def fixed_batches(self, rank: int = 0, ranks: int = 1) -> list[Tensors]:
        """The rank's share of the validation samples; the whole does not depend on the ranks.

        One batch at --eval-rate; of diffusion one at each level of noise, the same samples in all of them. Of clip,
        where each pair is told from all others of its batch, batches of --batch-size or a little less.
        """
        if self.validation is None:
            return []
        sizes = self._eval_sizes(ranks)
        starts = [sum(sizes[:place]) for place in range(len(sizes))]
        batches = []
        for rate in self._eval_rates:
            source = BatchSource(
                self.validation,
                batch_size=list(zip(starts, sizes, strict=True)),
                seed=self.settings.seed,
                rank=rank,
                world_size=ranks,
                threads=self.settings.threads,
                rate=rate,
            )
            batches += [
                {name: torch.from_numpy(array) for name, array in source.batch_at(start).items()} for start in starts
            ]
        return batches

    def _eval_sizes(self, ranks: int) -> list[int]:
        """Of the batches; each has a sample for every rank."""
        total = self.evaluated(ranks)
        if self.settings.objective != "clip":
            return [total]
        most = max(size for _, size in self.settings.batch_sizes())
        number = max(1, min(math.ceil(total / most), total // ranks))
        return [(place + 1) * total // number - place * total // number for place in range(number)]

    @property
    def _eval_rates(self) -> list[float | None]:
        if self.settings.objective == "clip":
            return [None]
        if self.settings.objective != "diffusion":
            return [self.settings.eval_rate]
        return [(level + 0.5) / LEVELS for level in range(LEVELS)]

    def evaluated(self, ranks: int) -> int:
        """How many samples that is; at least one a rank."""
        return 0 if self.validation is None else max(ranks, min(self.settings.eval_samples, len(self.validation)))

    def names(self, source: BatchSource, consumed: int) -> str:
        """Which samples the global batch after `consumed` has, for an error: dataset and index of each."""
        draws = source.draws(consumed)
        prefixes, _ = self.settings.weighted_data()
        parts = []
        for number, prefix in enumerate(prefixes):
            chosen = draws.datasets == number
            if chosen.any():
                parts.append(f"{prefix} {draws.indices[chosen].tolist()}")
        return "; ".join(parts)


def open_data(settings: TrainSettings) -> TrainingData:
    """The samples that the settings name; an error unless the tokenizer is the one that made them."""
    prefixes, weights = settings.weighted_data()
    if settings.objective != "clip":
        _check_scheme(settings)
    if not settings.any_tokenizer:
        for prefix in prefixes:
            check_tokenizer(prefix, settings.tokenizer)
    opened = [_opened(settings, prefix, "train") for prefix in prefixes]
    held = [(place, prefix) for place, prefix in enumerate(prefixes) if _has_documents(settings, prefix, "valid")]
    valid = [_open_validation(settings, prefix) for _, prefix in held]
    kept = None if weights is None else [weights[place] for place, _ in held]
    vocab = opened[0].vocab
    return TrainingData(settings, _blend(opened, weights), _blend(valid, kept) if valid else None, vocab)


def _opened(settings: TrainSettings, prefix: str, part: str) -> TrainingSamples:
    if settings.objective != "clip":
        return _choice(settings, prefix, part).open()
    from maskgen.train.pairs import open_pairs

    vocab = Vocab.from_tokenizer(settings.tokenizer, roles=settings.roles)
    return open_pairs(settings, vocab, prefix, part, _adds_special(settings, prefix))


def _blend(samples: list[TrainingSamples], weights: list[float] | None) -> TrainingSamples | Blend:
    return samples[0] if len(samples) == 1 else Blend(samples, weights)


def _choice(settings: TrainSettings, prefix: str, part: str) -> SampleChoice:
    scheme, rows = str(settings.scheme), settings.rows
    known, options = scheme_options(scheme, rows), dict(settings.options)
    if "binary_head" in known:  # two parts in some order are for the head that tells which
        options.setdefault("binary_head", settings.next_sentence)
    if scheme == DIFFUSION and settings.diffusion_weighting == "mdlm":
        options.setdefault("kind", "mdlm")
    if "documents" in known and settings.architecture == "modern":
        options.setdefault("documents", True)
    rowed = "documents" in known
    return SampleChoice(
        prefix=prefix,
        tokenizer=settings.tokenizer,
        max_seq_length=settings.max_seq_length,
        seed=settings.seed,
        scheme=scheme,
        options=options,
        roles=settings.roles,
        rows=rows,
        add_special=rowed and _adds_special(settings, prefix),
        split=settings.split,
        part=part,
        cache_dir=settings.cache_dir,
    )


def _adds_special(settings: TrainSettings, prefix: str) -> bool:
    """Whether rows get special tokens: as the flag says, else where the sidecar says that the texts have none."""
    if settings.add_special is not None:
        return settings.add_special
    sidecar = read_sidecar(prefix)
    options = {} if sidecar is None else sidecar.settings.get("options") or {}
    return options.get("add_special_tokens") is False


def _has_documents(settings: TrainSettings, prefix: str, part: str) -> bool:
    first, last = part_documents(settings.split, part, len(IndexedDataset(prefix).document_indices) - 1)
    return last > first


def _open_validation(settings: TrainSettings, prefix: str) -> TrainingSamples:
    try:
        return _opened(settings, prefix, "valid")
    except MaskgenError as error:
        raise TrainError(f"validation: {error} (or --split 1, for none)") from error


def _check_scheme(settings: TrainSettings) -> None:
    name = str(settings.scheme)
    known = scheme_options(name, settings.rows)  # an error for unknown names
    unknown = next((option for option in settings.options if option not in known), None)
    if unknown is not None:
        raise TrainError(f"--option {unknown}: the scheme {name} has none; expected {', '.join(known)}")
    if name != "bert" and not (name in SCHEMES and issubclass(SCHEMES[name], EncoderScheme)):
        raise TrainError(
            f"--scheme {name} makes texts for an encoder and a decoder; expected one that predicts tokens in their "
            "places, such as bert or roberta; docs/encoder-decoders.md shows how to train on its samples"
        )


def check_tokenizer(prefix: str, path: str) -> None:
    """Raise where the sidecar says that a tokenizer with other ids made the data; nothing is known without a sidecar.

    The digest there is of a file. It may also be that of another file beside `path`, with the same pieces.
    """
    sidecar = read_sidecar(prefix)
    if sidecar is None or sidecar.tokenizer is None:
        return
    made_by, given = sidecar.tokenizer, load_tokenizer(path, engine="reference", sample_one_in=0)
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    forms = [path, *(os.path.join(folder, name) for name in ("tokenizer.json", "vocab.txt"))]
    for form in filter(os.path.exists, forms):
        for lowercase, strip_accents in itertools.product((None, True, False), repeat=2):
            with suppress(MaskgenError):  # only a vocab.txt has these options
                tokenizer = load_tokenizer(
                    form, engine="reference", lowercase=lowercase, strip_accents=strip_accents, sample_one_in=0
                )
                if tokenizer.digest == made_by.sha256 and tokenizer.pieces == given.pieces:
                    return
    raise TrainError(
        f"{prefix}: tokenized with {made_by.name} ({made_by.vocabulary_size} ids, digest {made_by.sha256[:12]}); "
        f"{path} is another one ({given.vocabulary_size} ids); expected the same; pass that one, or --any-tokenizer if "
        "their ids are the same"
    )


def micro_batches(batch: Tensors, rows: int, device: torch.device) -> Iterator[Tensors]:
    """A batch in parts of at most `rows` rows, on the device; what is packed is cut where rows are."""
    if "images" in batch:
        from maskgen.train.pairs import pair_batches

        yield from pair_batches(batch, rows, device)
        return
    size, width = batch["text"].shape
    ends = batch["masked_counts"].cumsum(0).tolist()
    tokens = batch["lengths"].cumsum(0).tolist()
    starts = batch.get("cumulative_lengths")
    for first in range(0, size, rows):
        last = min(first + rows, size)
        begin, end = ends[first - 1] if first else 0, ends[last - 1]
        micro = {}
        for name, tensor in batch.items():
            if name in PACKED:
                micro[name] = tensor[begin:end]
            elif name not in UNUSED and name != "cumulative_lengths":
                micro[name] = tensor[first:last]
        if starts is not None:
            before = tokens[first - 1] if first else 0
            inside = starts[(starts >= before) & (starts <= tokens[last - 1])]
            micro["cumulative_lengths"] = inside - before
        if device.type != "cpu":
            micro |= unpadding(micro)  # before it goes where a look at it would make the host wait
        micro = {name: tensor.to(device, non_blocking=True) for name, tensor in micro.items()}
        micro["masked_positions"] = micro["masked_positions"] - first * width
        yield micro

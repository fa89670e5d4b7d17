"""From settings to what is trained: the networks, the objective around them, and what of it becomes model folders.

settings, vocabulary --configs--> networks (new, or --init-from) --objective--> Measuring, whose forward gives the sums
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from maskgen.train.clip import CLIP, ClipConfig, ClipObjective
from maskgen.train.diffusion import MaskedDiffusion
from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from maskgen.train.models import (
    Discriminator,
    EncoderConfig,
    MaskedLm,
    build_discriminator,
    build_masked_lm,
    encoder_inputs,
    generator_of,
    load_pretrained,
)
from maskgen.train.objectives import MLM, Electra, Measured, Objective
from maskgen.train.optimizers import build_optimizer
from maskgen.train.pairs import build_clip, clip_config
from maskgen.train.settings import TrainSettings
from maskgen.vocab import Vocab

ROUNDING = 64  # rows of the embedding: a multiple, for the matrix units of GPUs
Tensors = dict[str, torch.Tensor]
Network = MaskedLm | Discriminator
Configs = dict[str, Any]  # folder -> config as JSON: what is needed to build the networks again


@dataclass(frozen=True)
class Networks:
    """The networks of a run by the folder that each is exported to, and the objective around them."""

    objective: Objective
    exported: Mapping[str, Network | CLIP]

    @property
    def configs(self) -> Configs:
        """Their configurations, for a checkpoint."""
        return {name: dict(network.config.to_json()) for name, network in self.exported.items()}

    @property
    def model_config(self) -> EncoderConfig | None:
        """Of the encoder that is used afterwards; of a CLIP None."""
        config = self.exported["model"].config
        return config if isinstance(config, EncoderConfig) else None

    @property
    def generator_config(self) -> EncoderConfig | None:
        """Of ELECTRA's generator."""
        generator = self.exported.get("generator")
        return generator.config if isinstance(generator, MaskedLm) else None


class Measuring(nn.Module):
    """An objective whose forward measures a micro-batch: what is wrapped for several ranks."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, batch: Tensors, generator: torch.Generator) -> Measured:
        """Sums of losses, and figures."""
        if isinstance(self.objective, (Electra, ClipObjective)):
            return self.objective.measure(batch, generator=generator)
        return self.objective.measure(batch)


def build_networks(settings: TrainSettings, vocab: Vocab, configs: Configs | None = None) -> Networks:
    """The networks with new weights drawn from the seed or those of --init-from; of `configs`, to be filled later."""
    if settings.objective == "clip":
        own = (
            clip_config(settings, vocab, rounded(len(vocab)))
            if configs is None
            else ClipConfig.from_json(configs["model"])
        )
        clip, around = build_clip(settings, own)
        return Networks(around, {"model": clip})
    mask_id, pad_id = vocab.ids("mask", "pad")
    special = sorted(vocab.special_ids - {mask_id, pad_id})
    ids: dict[str, Any] = {"mask_token_id": mask_id, "pad_token_id": pad_id, "mask_ignore_token_ids": special}
    given: dict[str, MaskedLm | Discriminator] = {}
    if configs is not None:
        found = {name: EncoderConfig.from_json(facts) for name, facts in configs.items()}
    else:
        given = dict(zip(("model", "generator"), map(_loaded, settings.init_from), strict=False))
        _check_given(settings, vocab, given)
        found = {name: _with_dropout(network.config, settings) for name, network in given.items()}
        found.setdefault("model", new_config(settings, vocab))
        if settings.objective == "electra":
            found.setdefault("generator", generator_of(found["model"]))
    if settings.objective == "electra":
        ids["never_sampled"] = [*vocab.special_ids, *range(len(vocab), found["generator"].vocab_size)]
    return _assembled(settings, found, given, ids)


def _assembled(
    settings: TrainSettings, configs: Mapping[str, EncoderConfig], given: Mapping[str, Network], ids: dict[str, Any]
) -> Networks:
    if settings.objective == "mlm":
        model = build_masked_lm(configs["model"], pairs=settings.next_sentence, seed=settings.seed)
        _fill(model, given.get("model"))
        mlm = MLM(model.encoder, head=model.head, pair_head=model.pair_head, encoder_inputs=encoder_inputs, **ids)
        return Networks(mlm, {"model": model})
    if settings.objective == "diffusion":
        model = build_masked_lm(configs["model"], seed=settings.seed)
        _fill(model, given.get("model"))
        diffusion = MaskedDiffusion(
            model.encoder,
            head=model.head,
            weighting=settings.diffusion_weighting,
            encoder_inputs=encoder_inputs,
            **ids,
        )
        return Networks(diffusion, {"model": model})
    generator = build_masked_lm(configs["generator"], seed=settings.seed + 1)
    discriminator = build_discriminator(configs["model"], seed=settings.seed)
    _fill(generator, given.get("generator"))
    _fill(discriminator, given.get("model"))
    electra = Electra(
        generator.encoder,
        discriminator.encoder,
        generator_head=generator.head,
        discriminator_head=discriminator.head,
        encoder_inputs=encoder_inputs,
        tie_embeddings=True,
        **ids,
    )
    return Networks(electra, {"model": discriminator, "generator": generator})


def new_config(settings: TrainSettings, vocab: Vocab) -> EncoderConfig:
    """The configuration of a size, with as many rows of the embedding as the vocabulary needs."""
    config = EncoderConfig.of_size(
        settings.size,
        architecture=settings.architecture,
        vocab_size=rounded(len(vocab)),
        max_positions=settings.max_positions,
        pad_id=vocab.ids("pad")[0],
        **({"embedding_size": 0} if settings.next_sentence else {}),  # BertForPreTraining has no other
    )
    return _with_dropout(config, settings)


def _with_dropout(config: EncoderConfig, settings: TrainSettings) -> EncoderConfig:
    if settings.dropout is None:
        return config
    attention = settings.dropout if config.architecture == "bert" else 0.0
    return replace(config, dropout=settings.dropout, attention_dropout=attention)


def rounded(ids: int) -> int:
    """Rows of an embedding for that many ids."""
    return -(-ids // ROUNDING) * ROUNDING


def _loaded(folder: str) -> Network:
    return load_pretrained(folder, dtype=torch.float32)


def _check_given(settings: TrainSettings, vocab: Vocab, given: Mapping[str, Network]) -> None:
    for (name, network), folder in zip(given.items(), settings.init_from, strict=True):
        config = network.config
        if config.vocab_size < len(vocab):
            raise TrainError(
                f"--init-from {folder}: a vocabulary of {config.vocab_size} ids; expected at least {len(vocab)}, those "
                f"of {settings.tokenizer}; use the tokenizer of that model"
            )
        if config.max_positions < settings.max_seq_length:
            raise TrainError(
                f"--init-from {folder}: {config.max_positions} positions; expected at least {settings.max_seq_length}; "
                "lower --max-seq-length"
            )
        if config.architecture != settings.architecture:
            raise TrainError(
                f"--init-from {folder}: found a {config.architecture} model; add --architecture {config.architecture}"
            )
        pairs = settings.scheme == "bert" or settings.rows == "pairs"
        if pairs and config.architecture == "bert" and config.type_vocab_size == 1:
            raise TrainError(
                f"--init-from {folder}: one token type; expected 2, for samples of two parts; choose a --scheme "
                "without pairs, such as roberta"
            )
        if isinstance(network, Discriminator) and not (settings.objective == "electra" and name == "model"):
            raise TrainError(
                f"--init-from {folder}: found a Discriminator; expected a MaskedLm as the {name} of "
                f"{settings.objective}; name another folder"
            )
        shared = given["model"].config.embedding_size
        if name == "generator" and config.embedding_size != shared:
            raise TrainError(
                f"--init-from {folder}: embeddings of {config.embedding_size} numbers; expected {shared}, which it "
                "shares with the discriminator; leave it out (a modern generator is saved with its factors multiplied)"
            )


def _fill(network: Network, given: Network | None) -> None:
    """Take the weights of `given`; a head that it does not have keeps its new ones."""
    if given is not None and type(given) is type(network):
        network.load_state_dict(given.state_dict(), strict=False)
    elif given is not None:  # a discriminator that starts as a masked language model
        network.encoder.load_state_dict(given.encoder.state_dict())


def prepared(networks: Networks, settings: TrainSettings, world: World) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The module on its device, spread over the ranks, and its optimizer."""
    if settings.compile:
        # One limit for both networks of ELECTRA, training and validation, padding or none, and sizes that vary: with
        # the default of 8 one more would be computed without being compiled, and nothing would say so.
        limits = torch._dynamo.config
        name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"  # before PyTorch 2.6
        setattr(limits, name, max(64, getattr(limits, name)))
        for network in networks.exported.values():
            if not isinstance(network, CLIP):
                network.encoder.compile()
    precision = resolved_precision(settings, world.device)
    module = world.wrap(Measuring(networks.objective), settings.strategy, precision)
    optimizer = build_optimizer(
        module, settings.optimizer, lr=float(settings.lr or 0), weight_decay=settings.weight_decay
    )
    return module, optimizer


def resolved_precision(settings: TrainSettings, device: torch.device) -> str:
    """fp32 or bf16."""
    if settings.precision != "auto":
        return settings.precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Where the forward passes run."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)

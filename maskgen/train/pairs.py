"""The objective clip in the training loop: its samples, its networks, and what of a batch goes to the device.

settings, --option --> PairSamples of each dataset --> TrainingData
settings, vocabulary --> ClipConfig --> CLIP
a rank's rows --pair_batches--> one micro-batch: each pair is told from all others of the step
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from maskgen.mapping import part_documents
from maskgen.pairs import PairSamples
from maskgen.train.clip import CLIP, ClipConfig, ClipObjective
from maskgen.train.errors import TrainError
from maskgen.train.settings import TrainSettings
from maskgen.vocab import Vocab
from preprocess import IndexedDataset

OF_SAMPLES: Mapping[str, float] = {"min_scale": 1.0, "mirror": 0.0}
# Width, layers, heads and width of a head of both transformers, and the share of patches that training leaves out.
SIZES: Mapping[str, tuple[int, int, int, int, float]] = {
    "tiny": (64, 2, 2, 32, 0.0),
    "small": (256, 4, 4, 64, 0.5),
    "base": (512, 8, 8, 64, 0.5),
    "large": (768, 12, 12, 64, 0.5),
}
IMAGE_SIZE, PATCH_SIZE = 224, 16
# What follows from the data, the tokenizer and other flags.
FOLLOWING = ("num_text_tokens", "text_seq_len", "text_pad_id", "mlm_mask_token_id", "text_eos_id", "channels",
             "mlm_mask_ignore_token_ids")  # fmt: skip
Tensors = dict[str, torch.Tensor]


def known_options() -> dict[str, Any]:
    """The options of ``--option`` and their defaults."""
    fields = {field.name: field.default for field in dataclasses.fields(ClipConfig) if field.name not in FOLLOWING}
    return {**OF_SAMPLES, **fields, "visual_image_size": IMAGE_SIZE, "visual_patch_size": PATCH_SIZE}


def parse_clip_option(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``: an option of the samples or of ClipConfig, checked when they are made."""
    name, _, value = text.partition("=")
    name, known = name.strip().replace("-", "_"), known_options()
    if name not in known:
        raise TrainError(f"--option {text}: clip has no option {name!r}; expected some of {', '.join(known)}")
    kind = type(known[name])
    if kind is str:
        return name, value
    try:
        parsed = json.loads(value.lower())
    except ValueError:
        parsed = value if name == "visual_ssl_hidden_layer" else None
    fits = isinstance(parsed, (int, float) if kind is float else (int, str)) and isinstance(parsed, bool) == (
        kind is bool
    )
    if not fits or (kind is int and name != "visual_ssl_hidden_layer" and not isinstance(parsed, int)):
        raise TrainError(f"--option {text}; expected a value such as {known[name]}; correct it")
    return name, parsed


def clip_config(settings: TrainSettings, vocab: Vocab, rows: int) -> ClipConfig:
    """The configuration of a size, with `rows` of the embedding, as the options change it."""
    width, layers, heads, of_head, dropped = SIZES[settings.size]
    (pad_id,) = vocab.ids("pad")
    facts: dict[str, Any] = {
        "dim_text": width, "dim_image": width, "dim_latent": width,
        "text_enc_depth": layers, "text_heads": heads, "text_dim_head": of_head,
        "visual_enc_depth": layers, "visual_heads": heads, "visual_dim_head": of_head,
        "visual_patch_dropout": dropped, "visual_image_size": IMAGE_SIZE, "visual_patch_size": PATCH_SIZE,
        "num_text_tokens": rows, "text_seq_len": settings.max_seq_length, "text_pad_id": pad_id,
    }  # fmt: skip
    facts |= {name: value for name, value in settings.options.items() if name not in OF_SAMPLES}
    if facts.get("text_causal_mask"):
        (facts["text_eos_id"],) = vocab.ids("sep")
    if facts.get("use_mlm"):
        mask_id = vocab.ids("mask")[0]
        others = sorted(vocab.special_ids - {mask_id, pad_id})
        facts |= {"mlm_mask_token_id": mask_id, "mlm_mask_ignore_token_ids": others}
    return ClipConfig.from_json(facts)


def build_clip(settings: TrainSettings, config: ClipConfig) -> tuple[CLIP, ClipObjective]:
    """New weights, drawn from the seed, and the objective around them."""
    clip = CLIP(config, seed=settings.seed)
    return clip, ClipObjective(clip)


def open_pairs(settings: TrainSettings, vocab: Vocab, prefix: str, part: str, add_special: bool) -> PairSamples:
    """The pairs of one part of a dataset; what is drawn for their images is for training alone."""
    dataset = IndexedDataset(prefix)
    documents = range(*part_documents(settings.split, part, len(dataset.document_indices) - 1))
    if not len(documents):
        raise TrainError(f"{prefix}: no pair in the part {part} of the split {settings.split}; expected at least one")
    drawn = {name: settings.options.get(name, default) for name, default in OF_SAMPLES.items()}
    return PairSamples(
        dataset,
        vocab,
        max_seq_length=settings.max_seq_length,
        image_size=int(settings.options.get("visual_image_size", IMAGE_SIZE)),
        documents=documents,
        add_special=add_special,
        seed=settings.seed,
        **(drawn if part == "train" else {}),
    )


def pair_batches(batch: Tensors, rows: int, device: torch.device) -> Iterator[Tensors]:
    """Pairs in parts of at most `rows`, on the device, images from 0 to 1."""
    for first in range(0, len(batch["text"]), rows):
        part = {name: tensor[first : first + rows].to(device, non_blocking=True) for name, tensor in batch.items()}
        part["padding_mask"] = part["padding_mask"].bool()
        part["images"] = part["images"].float() / 255
        yield part


def check_pairs(settings: TrainSettings) -> None:
    """Raise where flags of other objectives are given, or steps of several micro-batches."""
    for flag, given in {
        "--architecture modern": settings.architecture != "bert", "--rows": settings.rows,
        "--mask-rate": settings.mask_rate, "--init-from": settings.init_from, "--compile": settings.compile,
        "--next-sentence": settings.next_sentence, "--dropout": settings.dropout is not None,
    }.items():  # fmt: skip
        if given:
            raise TrainError(f"{flag} with --objective clip; expected only with the other objectives; leave it out")
    if settings.scheme != "pairs":
        raise TrainError(f"--scheme {settings.scheme} with --objective clip, which has pairs of its own; leave it out")
    if settings.micro_batch is not None:
        raise TrainError(
            f"--micro-batch {settings.micro_batch} with --objective clip; expected none, since each pair is told from "
            "all others of the step; lower --batch-size, take more ranks, or --option checkpoint_during_training=true"
        )

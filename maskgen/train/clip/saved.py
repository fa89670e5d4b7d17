"""A CLIP in a folder of its own form: config.json, model.safetensors, and the tokenizer's files.

CLIP --save_clip--> folder --load_clip--> the same CLIP. Hugging Face has no model with these options.
"""

import json
import os
import shutil
from typing import Any

import torch

from maskgen.train.clip.config import ClipConfig
from maskgen.train.clip.model import CLIP
from maskgen.train.errors import TrainError
from preprocess.pipeline.work_folder import write_file

MODEL_TYPE = "maskgen-clip"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def save_clip(clip: CLIP, folder: str | os.PathLike[str], *, tokenizer: str | None = None) -> None:
    """Write a folder; `tokenizer`, a file or a folder, is copied into it."""
    from safetensors.torch import save_file

    path = os.fspath(folder)
    os.makedirs(path, exist_ok=True)
    facts: dict[str, Any] = {"model_type": MODEL_TYPE, "version": 1, "clip": clip.config.to_json()}
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in _state(clip).items()}
    save_file(tensors, os.path.join(path, WEIGHTS), metadata={"format": "pt"})
    write_file(os.path.join(path, CONFIG), (json.dumps(facts, indent=1) + "\n").encode())
    if tokenizer is not None:
        names = [os.path.join(tokenizer, name) for name in TOKENIZER_FILES] if os.path.isdir(tokenizer) else [tokenizer]
        for name in filter(os.path.isfile, names):
            shutil.copyfile(name, os.path.join(path, os.path.basename(name)))


def load_clip(folder: str | os.PathLike[str]) -> CLIP:
    """The CLIP of a folder, with encoders of its own."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = os.path.join(os.fspath(folder), CONFIG)
    try:
        with open(path, "rb") as file:
            facts = json.load(file)
    except (OSError, ValueError) as error:
        raise TrainError(
            f"{path}: found no JSON file ({error}); expected what save_clip writes; name its folder"
        ) from None
    if not isinstance(facts, dict) or facts.get("model_type") != MODEL_TYPE or not isinstance(facts.get("clip"), dict):
        raise TrainError(
            f"{path}: found another model; expected {MODEL_TYPE}, as maskgen train --objective clip saves it"
        )
    clip = CLIP(ClipConfig.from_json(facts["clip"]))
    weights = os.path.join(os.fspath(folder), WEIGHTS)
    try:
        tensors = load_file(weights)
        clip.load_state_dict(tensors, strict=set(tensors) != set(_state(clip)))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TrainError(f"{weights}: found {error}; expected the tensors of {path}; copy or save it again") from None
    return clip


def _state(clip: CLIP) -> dict[str, torch.Tensor]:
    """The tensors, each once: those that modules share under the first of their names."""
    seen: set[int] = set()
    state = {}
    for name, tensor in clip.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            state[name] = tensor.data
    return state

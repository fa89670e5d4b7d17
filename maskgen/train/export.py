"""Trained weights as folders that ``from_pretrained`` of Hugging Face loads: model/, of ELECTRA also generator/.

A CLIP has a form of its own: maskgen.train.clip.load_clip reads it.

whole weights of a module (see full_state) --networks built anew on the CPU--> save_pretrained --rename--> folder
"""

import os
import shutil
from collections.abc import Mapping

import torch

from maskgen.train.clip import CLIP, save_clip
from maskgen.train.full_state import load_model_state
from maskgen.train.models import save_pretrained
from maskgen.train.settings import TrainSettings
from maskgen.train.setup import Configs, Measuring, build_networks
from maskgen.vocab import Vocab


def export(weights: Mapping[str, torch.Tensor], configs: Configs, settings: TrainSettings, vocab: Vocab) -> None:
    """Write a folder of each network with these weights, in place of older ones."""
    fresh = build_networks(settings, vocab, configs)
    load_model_state(Measuring(fresh.objective), weights)
    for name, network in fresh.exported.items():
        folder = os.path.join(settings.output, name)
        own = f"{folder}.{os.urandom(6).hex()}.partial"
        if isinstance(network, CLIP):
            save_clip(network, own, tokenizer=settings.tokenizer)
        else:
            save_pretrained(network, own, tokenizer=settings.tokenizer, roles=settings.roles)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(own, folder)

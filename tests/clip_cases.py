"""Small CLIPs, their batches, and what ranks do with them."""

import numpy as np
import torch
from torch import nn

from maskgen.train.clip import CLIP, ClipObjective
from maskgen.train.distributed import World
from maskgen.train.optimizers import build_optimizer

PAD, MASK, EOS = 0, 19, 18
TINY = {
    "dim_text": 8, "dim_image": 12, "dim_latent": 6, "num_text_tokens": 20, "text_enc_depth": 1, "text_seq_len": 7,
    "text_heads": 2, "text_dim_head": 4, "visual_enc_depth": 1, "visual_heads": 2, "visual_dim_head": 4,
    "visual_image_size": 8, "visual_patch_size": 2, "visual_ssl_projection_size": 5,
    "visual_ssl_projection_hidden_size": 7,
}  # fmt: skip
MLM = {"use_mlm": True, "mlm_mask_token_id": MASK}


def flipped(images):
    return images.flip(3)


def darker(images):
    return images * 0.5


def tiny(still=False, **options):
    """With weights that are not the new ones' in what begins equal, such as extra projections.

    `still`: the views of its visual SSL are no matter of chance.
    """
    clip = CLIP(**TINY | options)
    if still:
        clip.visual_ssl.augment_fn, clip.visual_ssl.augment_fn2 = flipped, darker
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in clip.parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return clip


def batch(rows=4, length=6, seed=0):
    """Texts of 2 to `length` tokens that end with EOS, and images."""
    rng = np.random.default_rng(seed)
    text = rng.integers(1, EOS, (rows, length))
    for row, end in enumerate(rng.integers(2, length + 1, rows)):
        text[row, end - 1] = EOS
        text[row, end:] = PAD
    images = rng.random((rows, 3, 8, 8), dtype=np.float32)
    return {
        "text": torch.from_numpy(text),
        "padding_mask": torch.from_numpy((text != PAD).astype(np.int64)),
        "images": torch.from_numpy(images),
    }


def gradients(module):
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.grad is not None}


def on_ranks(store, options, sizes):
    """On each rank: the loss of its rows and all gradients, by forward in DDP, and by the objective as the loop does.

    Ranks have `sizes` rows of one batch; texts are cut to what a rank needs, so that their lengths differ.
    """
    with World.start("cpu", init_method=f"file://{store}") as world:
        start = sum(sizes[: world.rank])
        whole = batch(sum(sizes))
        own = {name: value[start : start + sizes[world.rank]] for name, value in whole.items()}
        longest = int(own["padding_mask"].sum(1).max())
        own |= {name: own[name][:, :longest] for name in ("text", "padding_mask")}
        clip = tiny(visual_patch_dropout=0.0, **options)
        module = world.wrap(clip)
        loss = module(own["text"], own["images"], return_loss=True)
        loss.backward()
        found = {"loss": loss.item(), "gradients": gradients(clip)}

        objective = ClipObjective(tiny(visual_patch_dropout=0.0, **options))
        totals = world.sum(objective.counts(own))
        measured = objective.measure(own)
        measured.loss(objective.weights, totals).backward()
        summed = world.sum(gradients(objective.clip))
        figures, sums = world.sum(measured.figures), world.sum(measured.sums)
        return found | {
            "summed": summed,
            "objective": measured._replace(sums=sums).loss(objective.weights, totals).item(),
            "summary": objective.summary(figures, totals),
        }


class Measuring(nn.Module):
    """As the loop has it: an objective whose forward measures."""

    def __init__(self, objective):
        super().__init__()
        self.objective = objective

    def forward(self, rows, generator):
        return self.objective.measure(rows, generator)


def losses_on_ranks(store, mode):
    """The losses of three steps with everything on, as DDP or FSDP."""
    with World.start("cpu", init_method=f"file://{store}") as world:
        clip = tiny(
            **MLM, use_visual_ssl=True, extra_latent_projection=True, sim_reg_loss_weight=0.1,
            checkpoint_during_training=True,
        )  # fmt: skip
        objective = ClipObjective(clip, image_views=1)
        module = world.wrap(Measuring(objective), mode)
        optimizer = build_optimizer(module, lr=0.01)
        own, found = {name: value[3 * world.rank :][:3] for name, value in batch(6).items()}, []
        for step in range(3):
            totals = world.sum(objective.counts(own))
            measured = module(own, torch.Generator().manual_seed(step))
            loss = measured.loss(objective.weights, totals)
            (loss * world.size).backward()
            optimizer.step()
            optimizer.zero_grad()
            found.append(world.sum({"loss": loss})["loss"].item())
        return found

"""CLIP learns which caption is of which picture, and to fill masks in captions, from shapes drawn while it trains."""

import time

import numpy as np
import pytest
import shapes
import torch

from maskgen.train.clip import CLIP, ClipObjective
from maskgen.train.optimizers import build_optimizer, set_learning_rate

STEPS, RATE = 480, 2e-3


def make_clip():
    return CLIP(
        dim_text=48, dim_image=48, dim_latent=48, num_text_tokens=len(shapes.WORDS), text_seq_len=shapes.LENGTH,
        text_enc_depth=2, text_heads=4, text_dim_head=12, visual_enc_depth=2, visual_heads=4, visual_dim_head=12,
        visual_image_size=shapes.SIZE, visual_patch_size=4, visual_patch_dropout=0.0, text_pad_id=shapes.PAD,
        use_mlm=True, mlm_mask_token_id=shapes.MASK, initial_scale=14.0,
    )  # fmt: skip


def looks(batch):
    return {hash(image.tobytes()) for image in batch["images"].numpy()}


def trained():
    """The objective, and the hashes of the pictures that it has seen."""
    objective, rng, generator = ClipObjective(make_clip()), np.random.default_rng(1), torch.Generator().manual_seed(1)
    optimizer, seen = build_optimizer(objective, lr=RATE), set()
    for step in range(STEPS):
        set_learning_rate(optimizer, RATE * min(1, (step + 1) / 20) * (1 - step / STEPS))
        pairs = shapes.random_batch(64, rng)
        seen |= looks(pairs)
        objective(pairs, generator=generator).backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return objective.eval(), seen


@pytest.mark.slow
def test_retrieval_and_masked_captions_of_held_out_pairs():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.process_time()
        objective, seen = trained()
        seconds = time.process_time() - start
        rng = np.random.default_rng(99)
        held_out = shapes.batch(shapes.KINDS, rng)  # a picture of each of the 64 kinds
        assert not looks(held_out) & seen
        similarities = objective.clip.similarities(held_out["text"], held_out["images"])
        own = torch.arange(64)
        images, texts = ((similarities.argmax(way) == own).double().mean().item() for way in (1, 0))

        many = shapes.batch(shapes.KINDS * 8, rng)
        with torch.no_grad():
            measured = objective.measure(many, torch.Generator().manual_seed(3))
        counts = objective.counts(many)
        loss = (measured.sums["mlm"] / counts["mlm"]).item()
        accuracy = objective.summary(measured.figures, counts)["mlm_accuracy"]
    finally:
        torch.set_num_threads(before)
    tokens = shapes.batch(shapes.KINDS * 8, np.random.default_rng(5))["text"]
    shares = torch.bincount(tokens[tokens != shapes.PAD]).double()
    shares = shares[shares > 0] / shares.sum()
    entropy, most = -(shares * shares.log()).sum().item(), shares.max().item()
    print(
        f"\nretrieval@1 among 64: text to image {images:.3f}, image to text {texts:.3f}; masked captions: accuracy "
        f"{accuracy:.3f} (unigrams {most:.3f}), loss {loss:.3f} (unigrams {entropy:.3f}); {seconds:.0f} s of one core"
    )
    assert images >= 0.9
    assert texts >= 0.9
    assert accuracy > 2 * most
    assert loss < entropy - 0.5

"""What a model learns from ``--objective diffusion``, on the demo's corpus, and writes by the Denoiser."""

import json

import numpy as np
import pytest
import torch

from maskgen import cli, demo_training
from maskgen.train import Predictor
from maskgen.train.data import open_data
from maskgen.train.denoising import Denoiser, Tally, infill_accuracy, model_of, perplexity_by_unmasking
from maskgen.train.settings import TrainSettings
from preprocess import IndexedDataset

SHAPE = ["--size", "tiny", "--rows", "chunks", "--max-seq-length", "64", "--split", "9,1", "--eval-samples", "128"]
RECIPE = ["--diffusion-weighting", "xlm", "--batch-size", "16", "--lr", "4e-3", "--steps", "800"]


def opened(folder):
    """The data of a run, as it was."""
    names = set(TrainSettings.__dataclass_fields__)
    settings = json.loads((folder / "settings.json").read_text())
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return open_data(TrainSettings(**{name: value for name, value in given.items() if name in names}).resolved())


@pytest.mark.slow
def test_masked_diffusion_writes_and_infills_better_than_chance(tmp_path, capsys):
    """Chance is a uniform sampler for what is written, and the most frequent token of the corpus for what is filled."""
    torch.set_num_threads(1)
    prefix, run = demo_training._prepare(str(tmp_path)), tmp_path / "run"
    command = ["train", "--objective", "diffusion", "--data", prefix, "--tokenizer", str(tmp_path / "tokenizer.json")]
    assert cli.main([*command, *SHAPE, *RECIPE, "--output", str(run), "--quiet"]) == 0
    validation = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-1]
    entropy = demo_training.unigram_entropy(prefix)

    predictor, dataset = Predictor.load(run), IndexedDataset(prefix)
    offered = predictor.offered.numpy()
    counts = np.bincount(np.concatenate([dataset[i] for i in range(len(dataset))]), minlength=len(offered)) * offered
    nats = -np.log((counts + 1) / (counts + 1)[offered].sum())
    model, never = model_of(predictor.network), np.flatnonzero(~offered).tolist()
    options = {"mask_id": predictor.mask_id, "never": never}

    written = Denoiser(model, **options, max_new_tokens=32, max_steps=16).generate([[]] * 64).ids.numpy()
    chance = np.random.RandomState(1).choice(np.flatnonzero(offered), size=written.shape)
    of_model, of_chance = nats[written].mean(), nats[chance].mean()

    def perplexity(ids):
        return perplexity_by_unmasking(model, torch.as_tensor(ids), mask_id=predictor.mask_id, passes=8).value

    # Held-out paragraphs at three levels of noise, p = 1/16, 3/16, 5/16; filled in four steps by the likeliest tokens.
    filler = Denoiser(model, **options, max_steps=4, temperature=0.0, confidence="top")
    found = common = Tally(0, 0)
    for batch in opened(run).fixed_batches()[:3]:
        masked = batch["loss_mask"].bool()
        whole = torch.where(masked, batch["labels"], batch["text"]).long()
        filled = filler.fill(batch["text"].long(), batch["padding_mask"])
        assert ((filled.ids == whole) | masked).all()
        found += infill_accuracy(filled.ids, whole, masked)
        common += infill_accuracy(torch.full_like(whole, int(counts.argmax())), whole, masked)

    perplexities = perplexity(written), perplexity(chance)
    with capsys.disabled():
        print(
            f"\nunigram cross-entropy: written {of_model:.2f}, uniform {of_chance:.2f} nats; perplexity: written "
            f"{perplexities[0]:.0f}, uniform {perplexities[1]:.0f}; infill accuracy: model {found.share:.3f}, most "
            f"frequent token {common.share:.3f} of {found.total}; bound {validation['bound']:.2f}, unigram "
            f"{entropy:.2f}"
        )
    assert of_model < of_chance - 1.5  # 5.64 and 8.05
    assert perplexities[0] < perplexities[1] / 3  # 265 and 5189
    assert found.share > 1.5 * common.share  # 0.098 and 0.044
    assert validation["bound"] < entropy  # 5.44 and 5.64

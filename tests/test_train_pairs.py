"""``maskgen train --objective clip`` on captions with images: it learns, goes on exactly, and its model loads again."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from image_files import png, write_pairs
from pipeline_runs import run, vocabulary
from rank_runs import finish, start_ranks

torch = pytest.importorskip("torch")

from train_runs import flags  # noqa: E402

from maskgen import cli  # noqa: E402
from maskgen.train.clip import CLIP, load_clip, save_clip  # noqa: E402
from maskgen.train.data import micro_batches, open_data  # noqa: E402
from maskgen.train.distributed import World  # noqa: E402
from maskgen.train.errors import TrainError  # noqa: E402
from maskgen.train.evaluation import Evaluation  # noqa: E402
from maskgen.train.loop import train  # noqa: E402
from maskgen.train.pairs import clip_config, parse_clip_option  # noqa: E402
from maskgen.train.settings import TrainSettings, settings_of  # noqa: E402
from maskgen.vocab import Vocab  # noqa: E402
from preprocess.pipeline.options import Options  # noqa: E402

OPTIONS = {"visual_image_size": 8, "visual_patch_size": 4, "min_scale": 0.8}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pairs(tmp_path):
    lines, _, _ = write_pairs(tmp_path, 48)
    return run(lines, tmp_path / "p", Options(json_keys=("caption",), images="image")).prefixes[0]


def settings(tmp_path, pairs, output, **changes):
    given = {
        "data": (pairs,), "tokenizer": vocabulary(tmp_path), "output": str(tmp_path / output), "steps": 6,
        "objective": "clip", "size": "tiny", "max_seq_length": 8, "batch_size": 8, "device": "cpu", "quiet": True,
        "split": "5,1", "log_every": 1, "save_every": 3, "options": OPTIONS,
    }  # fmt: skip
    return TrainSettings(**{**given, **changes})


def trained(*arguments, **changes):
    with World.start("cpu") as world:
        return train(settings(*arguments, **changes), world)


def read_records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder):
    return [(each["kind"], each["step"], each["loss"]) for each in read_records(folder)]


def test_a_run_goes_on_with_the_very_losses(tmp_path, pairs):
    trained(tmp_path, pairs, "whole")
    found = losses(tmp_path / "whole")
    assert [step for kind, step, _ in found if kind == "train"] == [1, 2, 3, 4, 5, 6]
    assert [step for kind, step, _ in found if kind == "validation"] == [3, 6]
    trained(tmp_path, pairs, "parts", steps=3, warmup=0.0, schedule="constant")
    trained(tmp_path, pairs, "parts", steps=6, warmup=0.0, schedule="constant")
    trained(tmp_path, pairs, "once", steps=6, warmup=0.0, schedule="constant")
    assert losses(tmp_path / "parts") == losses(tmp_path / "once")
    one, other = (load_clip(tmp_path / name / "model").state_dict() for name in ("parts", "once"))
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_ranks_train_and_validate_as_one_process(tmp_path, pairs, strategy):
    """Each of 19 validation pairs is told from the same 5 or 6 others, however ranks share them."""
    given = {"split": "29,19", "save_every": 2, "options": {**OPTIONS, "decoupled_contrastive_learning": True}}
    trained(tmp_path, pairs, "one", steps=4, **given)
    both = settings(tmp_path, pairs, "two", steps=4, strategy=strategy, **given).resolved()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = finish(start_ranks([*command, "-m", "maskgen.cli", "train", *flags(both)], 1))
    assert [code for *_, code in ended] == [0], ended
    one, two = (read_records(tmp_path / name) for name in ("one", "two"))
    assert [(each["kind"], each["step"]) for each in one] == [(each["kind"], each["step"]) for each in two]
    assert len(one) == 6
    for alone, shared in zip(one, two, strict=True):
        for name in ("loss", "grad_norm") if alone["kind"] == "train" else ("loss",):
            assert alone[name] == pytest.approx(shared[name], rel=1e-4), (alone["kind"], alone["step"], name)
    weights = [load_clip(tmp_path / name / "model").state_dict() for name in ("one", "two")]
    assert all(torch.allclose(tensor, weights[1][name], atol=1e-4) for name, tensor in weights[0].items())


@pytest.mark.parametrize(("ranks", "batch_size", "sizes"), [(1, 8, [6, 6, 7]), (2, 8, [6, 6, 7]), (8, 8, [9, 10])])
def test_validation_pairs_are_told_from_a_batch_of_others(tmp_path, pairs, ranks, batch_size, sizes):
    data = open_data(settings(tmp_path, pairs, "no", split="29,19", batch_size=batch_size).resolved())
    alone, shares = data.fixed_batches(), [data.fixed_batches(rank, ranks) for rank in range(ranks)]
    found = [torch.cat([share[place]["images"] for share in shares]) for place in range(len(shares[0]))]
    assert [len(images) for images in found] == sizes
    assert torch.equal(torch.cat(found), torch.cat([batch["images"] for batch in alone]))
    assert all(len(batch["text"]) for share in shares for batch in share)
    assert Evaluation(data, World(), 4, "fp32").rows >= 7  # not cut


def test_it_learns_and_its_model_is_that_of_the_run(tmp_path):
    """Eight colours, each with a word of its own: in the end every text finds its image."""
    lines = []
    for number, word in enumerate("abcdefgh"):
        colour = np.array([255 * (number >> bit & 1) for bit in range(3)], np.uint8)
        (tmp_path / f"{word}.png").write_bytes(png(np.tile(colour, (8, 8, 1))))
        lines.append(json.dumps({"caption": word, "image": f"{word}.png"}) + "\n")
    (tmp_path / "colours.jsonl").write_text("".join(lines))
    options = Options(json_keys=("caption",), images="image")
    pairs = run(str(tmp_path / "colours.jsonl"), tmp_path / "c", options).prefixes[0]
    trained(tmp_path, pairs, "run", steps=60, split="1", log_every=10, save_every=60)
    found = [loss for kind, _, loss in losses(tmp_path / "run") if kind == "train"]
    assert found[-1] < 0.5 * found[0]
    model = load_clip(tmp_path / "run" / "model")
    assert model.config.visual_image_size == 8
    assert model.config.text_seq_len == 8
    assert (tmp_path / "run" / "model" / "vocab.txt").exists()
    checkpoint = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert checkpoint["model_type"] == "maskgen-clip"


def test_the_command(tmp_path, pairs, capsys):
    more = [flag for name, value in OPTIONS.items() for flag in ("--option", f"{name}={value}")]
    arguments = ["train", "--data", pairs, "--tokenizer", vocabulary(tmp_path), "--objective", "clip", "--size", "tiny"]
    arguments += ["--max-seq-length", "8", "--batch-size", "8", "--steps", "2", "--split", "1", "--device", "cpu"]
    parsed = settings_of({"data": [pairs], "tokenizer": "t", "output": "o", "steps": 2, "objective": "clip",
                          "option": more[1::2]})  # fmt: skip
    assert parsed.options == OPTIONS
    assert cli.main([*arguments, *more, "--output", str(tmp_path / "run")]) == 0
    assert "2 steps; the model is in" in capsys.readouterr().out
    assert cli.main([*arguments, *more, "--output", str(tmp_path / "no"), "--micro-batch", "4"]) == 2
    assert "each pair is told from all others" in capsys.readouterr().err
    assert cli.main([*arguments, *more, "--output", str(tmp_path / "no"), "--option", "dim_tex=3"]) == 2
    assert "no option 'dim_tex'" in capsys.readouterr().err
    assert cli.main(["predict", str(tmp_path / "run" / "model"), "a [MASK]"]) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scheme": "roberta"}, "--scheme roberta"),
        ({"rows": "chunks"}, "--rows"),
        ({"mask_rate": "0.2"}, "--mask-rate"),
        ({"init_from": ("x",)}, "--init-from"),
        ({"compile": True}, "--compile"),
        ({"architecture": "modern"}, "--architecture modern"),
        ({"next_sentence": True}, "--next-sentence"),
        ({"split": "0,1"}, "no pair in the part train"),
    ],
)
def test_flags_of_other_objectives_are_refused(tmp_path, pairs, changes, words):
    with pytest.raises(TrainError, match=words):
        trained(tmp_path, pairs, "no", **changes)


@pytest.mark.parametrize(
    ("text", "value"),
    [("use_mlm=true", True), ("dim_latent=32", 32), ("mirror=0.5", 0.5), ("visual_ssl_type=simclr", "simclr"),
     ("visual-patch-dropout=0", 0)],
)  # fmt: skip
def test_options(text, value):
    assert parse_clip_option(text)[1] == value


@pytest.mark.parametrize("text", ["use_mlm=3", "dim_latent=x", "dim_latent=1.5", "mirror=true", "text_pad_id=1", "x"])
def test_options_that_are_none(text):
    with pytest.raises(TrainError):
        parse_clip_option(text)


def test_options_of_clip_reach_the_model(tmp_path, pairs):
    more = {"use_mlm": True, "decoupled_contrastive_learning": True, "text_causal_mask": False}
    trained(tmp_path, pairs, "run", steps=2, options={**OPTIONS, **more})
    config = load_clip(tmp_path / "run" / "model").config
    assert config.use_mlm
    assert config.mlm_mask_token_id == 4
    assert all("mlm_loss" in json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines())


def test_ids_of_the_configuration_are_those_of_the_tokenizer(tmp_path, pairs):
    vocab = Vocab.from_tokenizer(vocabulary(tmp_path))
    given = settings(tmp_path, pairs, "no", options={**OPTIONS, "use_mlm": True, "text_causal_mask": True}).resolved()
    config = clip_config(given, vocab, 64)
    (eos_id,), (mask_id, pad_id) = vocab.ids("sep"), vocab.ids("mask", "pad")
    assert (config.text_eos_id, config.mlm_mask_token_id, config.text_pad_id) == (eos_id, mask_id, pad_id)
    assert {*config.mlm_mask_ignore_token_ids} == vocab.special_ids - {mask_id, pad_id}
    assert eos_id in config.mlm_mask_ignore_token_ids


def test_images_go_to_the_model_from_0_to_1_and_only_those_of_training_are_drawn(tmp_path, pairs):
    drawn = {**OPTIONS, "min_scale": 0.3, "mirror": 0.5}
    data, plain = (
        open_data(settings(tmp_path, pairs, "no", options=each).resolved())
        for each in (drawn, {**OPTIONS, "min_scale": 1.0})
    )
    for one, other in zip(data.fixed_batches(), plain.fixed_batches(), strict=True):
        assert torch.equal(one["images"], other["images"])
    whole, other = ({name: torch.from_numpy(each) for name, each in one.source().batch_at(0).items()}
                    for one in (data, plain))  # fmt: skip
    assert torch.equal(whole["text"], other["text"])
    assert not torch.equal(whole["images"], other["images"])
    (micro,) = micro_batches(whole, 8, torch.device("cpu"))
    assert torch.equal((micro["images"] * 255).round().to(torch.uint8), whole["images"])
    assert 0.9 < micro["images"].max() <= 1


def test_folders_that_hold_no_clip(tmp_path):
    clip = CLIP(dim_text=8, dim_image=8, dim_latent=8, num_text_tokens=64, text_enc_depth=1, text_heads=1,
                text_dim_head=8, visual_enc_depth=1, visual_heads=1, visual_dim_head=8, visual_image_size=8,
                visual_patch_size=4, text_seq_len=8)  # fmt: skip
    save_clip(clip, tmp_path / "m")
    loaded = load_clip(tmp_path / "m").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in clip.state_dict().items())
    weights, config = tmp_path / "m/model.safetensors", tmp_path / "m/config.json"
    whole = weights.read_bytes()
    for content in (whole[:-9], whole[:5], b""):
        weights.write_bytes(content)
        with pytest.raises(TrainError, match=r"model\.safetensors: found"):
            load_clip(tmp_path / "m")
    weights.unlink()
    for content, words in ((b"{", "no JSON"), (b"[]", "another model"), (b'{"model_type": "bert"}', "another model")):
        Path(config).write_bytes(content)
        with pytest.raises(TrainError, match=words):
            load_clip(tmp_path / "m")
    with pytest.raises(TrainError, match="no JSON file"):
        load_clip(tmp_path / "none")

"""Settings of training: defaults, one-line errors, what a resumed run may change; the command's flags."""

import json
from dataclasses import fields, replace

import pytest
from train_runs import flags, tiny

from maskgen import cli
from maskgen.commands import train as command
from maskgen.train.errors import TrainError
from maskgen.train.settings import DEFAULTS, MAY_CHANGE, TrainSettings, settings_of
from preprocess.errors import MaskgenError

BASE = {"data": ("a",), "tokenizer": "t", "output": "o", "steps": 1000}


def made(**changes):
    return TrainSettings(**{**BASE, **changes}).resolved()


@pytest.mark.parametrize("objective", DEFAULTS)
def test_each_objective_and_size_has_its_learning_rate_and_batch_and_the_help_says_so(objective):
    for size, (lr, batch) in DEFAULTS[objective].items():
        settings = made(objective=objective, size=size)
        assert (settings.lr, settings.batch_size) == (lr, batch)
        (line,) = [line for line in command.DEFAULTS.splitlines() if line.split()[0] == objective]
        assert f"{size} {lr:.0e}".replace("e-0", "e-") + f", {batch}" in line
    assert made(objective=objective, lr=3.0, batch_size=7).lr == 3.0


def test_the_default_scheme_rows_and_positions():
    assert (made().scheme, made().rows, made().max_positions) == ("bert", None, 512)
    modern = made(architecture="modern", max_seq_length=1024)
    assert (modern.scheme, modern.rows, modern.max_positions) == ("modernbert", "best-fit", 1024)
    assert made(objective="electra").scheme == "electra"
    assert made(objective="electra", architecture="modern").scheme == "electra"
    diffusion = made(objective="diffusion")
    assert (diffusion.architecture, diffusion.scheme, diffusion.rows) == ("modern", "masked-diffusion", "best-fit")
    assert made(objective="diffusion", architecture="bert").architecture == "bert"
    assert made(architecture="modern", rows="chunks").rows == "chunks"
    assert made(scheme="pmi").scheme == "pmi"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "clm"}, "--objective is 'clm'; expected one of mlm, electra, diffusion"),
        ({"steps": 0}, "--steps is 0"),
        ({"batch_size": -3}, "--batch-size is -3"),
        ({"lr": float("nan")}, "peak learning rate nan"),
        ({"mask_rate": "1.5"}, "1.5"),
        ({"max_time": "soon"}, "soon"),
        ({"eval_rate": 1.0}, "--eval-rate"),
        ({"dropout": 1.0}, "--dropout"),
        ({"warmup": 2000}, "--warmup is 2000 steps of 1000"),
        ({"max_seq_length": 513}, "longer than the 512 positions"),
        ({"architecture": "modern", "max_seq_length": 300, "max_positions": 200}, "longer than the 200 positions"),
        ({"next_sentence": True, "objective": "electra"}, "--next-sentence"),
        ({"next_sentence": True, "objective": "diffusion"}, "--next-sentence with --objective diffusion"),
        ({"objective": "diffusion", "scheme": "roberta"}, "--scheme roberta with --objective diffusion; expected mask"),
        ({"objective": "diffusion", "mask_rate": "0.3"}, "--mask-rate with --objective diffusion; expected none"),
        ({"objective": "diffusion", "eval_rate": 0.3}, "--eval-rate with --objective diffusion; expected none"),
        ({"diffusion_weighting": "mdlm"}, "--diffusion-weighting with --objective mlm; expected diffusion"),
        ({"diffusion_weighting": "elbo"}, "--diffusion-weighting is 'elbo'; expected one of llada, mdlm, xlm"),
        ({"next_sentence": True, "architecture": "modern"}, "--next-sentence"),
        ({"next_sentence": True, "scheme": "roberta"}, "--rows pairs"),
        ({"init_from": ("a", "b")}, "--init-from names 2"),
        ({"batch_ramp": "32:32"}, "START:INCREMENT:SAMPLES"),
        ({"batch_ramp": "32:33:1000"}, "a ramp from 32 to 256 by 33"),
        ({"data": ()}, "--data is empty"),
    ],
)
def test_bad_settings_are_one_line(changes, words):
    with pytest.raises(MaskgenError) as caught:
        made(**changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_datasets():
    assert made(data=("a", "b")).weighted_data() == (["a", "b"], None)
    assert made(data=("a=0.3", "b=7", "x=y=1")).weighted_data() == (["a", "b", "x=y"], [0.3, 7.0, 1.0])
    assert made(data=("a=b",)).weighted_data() == (["a=b"], None)
    for wrong in (("a=0.3", "b"), ("a=0",), ("a=-1", "b=2"), ("a=nan",), ("a=inf",)):
        with pytest.raises(TrainError, match="expected"):
            made(data=wrong).weighted_data()


def test_every_rank_needs_as_many_micro_batches():
    settings = made(batch_size=24, micro_batch=4)
    settings.check_division(1)
    settings.check_division(3)
    with pytest.raises(TrainError, match="24 samples for 4 ranks and micro-batches of 4; expected a multiple of 16"):
        settings.check_division(4)
    with pytest.raises(TrainError, match="a global batch of 12 samples"):
        made(batch_size=24, batch_ramp="12:12:100").check_division(8)


@pytest.mark.parametrize("ramp", [None, "4:4:100", "8:8:7"])
def test_samples_after_steps(ramp):
    settings, consumed = made(batch_size=16, batch_ramp=ramp), 0
    from maskgen.batches import BatchSizes

    sizes = BatchSizes(settings.batch_sizes())
    for steps in range(60):
        assert settings.samples_after(steps) == consumed
        consumed += sizes.at(consumed)


def test_warmup_is_a_share_or_a_number_of_steps():
    assert [made(warmup=x).warmup_steps for x in (0, 0.1, 1, 50)] == [0, 100, 1, 50]
    assert made().warmup_steps == 60
    assert made(objective="electra").warmup_steps == 10


def test_a_run_goes_on_with_other_cadences_and_devices_and_with_nothing_else_changed():
    saved = json.loads(json.dumps(made().identity()))
    for each in fields(TrainSettings):
        settings = made()
        other = {"batch_ramp": "32:32:1000", "mask_rate": "0.2", "options": {"x": 1}, "roles": {"x": "y"}}
        value = getattr(settings, each.name)
        changed = other.get(each.name, not value if isinstance(value, bool) else f"{value}x")
        changed = replace(settings, **{each.name: changed})
        if each.metadata.get(MAY_CHANGE):
            changed.check_same_run(saved, "here")
        else:
            with pytest.raises(TrainError, match=rf"here: a run with other settings: {each.name}.* \(saved, here\)"):
                changed.check_same_run(saved, "here")


def test_every_setting_has_a_flag_and_flags_give_the_settings_back(tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for each in fields(TrainSettings):
        name = {"options": "option", "roles": "role"}.get(each.name, each.name)
        assert f"--{name.replace('_', '-')}" in shown
    import argparse

    settings = tiny(tmp_path, "p", "t", mask_rate="0.3:0.1", clip=2.5, options={"max_ngrams": 2}, keep_every=5)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert settings_of(vars(parser.parse_args(flags(settings)))) == settings
    few = settings_of(vars(parser.parse_args(["--data", "a", "--tokenizer", "t", "--steps", "1000", "--output", "o"])))
    assert few == made()

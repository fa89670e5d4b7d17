"""Texts written step by step with models of the two architectures, and maskgen predict --steps."""

import io
import json
import os
import sys

import pytest
import torch
from doc_pages import run_page
from test_train_predict import PIECES, TEXTS, fails, network, saved

from maskgen import cli
from maskgen.history import History
from maskgen.train import Predictor, TrainError
from maskgen.train.denoising import Denoiser, denoise_texts, model_of

ARCHITECTURES = ["bert", "modern"]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_is_not_seen(architecture):
    """Rows of a batch, padded on the left, get the logits that they get alone."""
    made = network(architecture=architecture)
    model = model_of(made)
    prefixes = [[7, 8, 9, 20, 21], [30], [40, 41]]
    denoiser = Denoiser(model, mask_id=4, pad_id=0, max_new_tokens=4, max_steps=2, temperature=0.0, confidence="top")
    whole = denoiser.generate(prefixes)
    for row, prefix in enumerate(prefixes):
        assert denoiser.generate([prefix]).ids[0, len(prefix) :].tolist() == whole.ids[row, 5:].tolist()
    ids, real = torch.tensor([[0, 0, 7, 8], [9, 10, 11, 12]]), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]).bool()
    positions = torch.tensor([[0, 0, 0, 1], [0, 1, 2, 3]])
    with torch.inference_mode():
        alone = model(ids[:1, 2:], attention_mask=real[:1, 2:], positions=positions[:1, 2:])
        found = model(ids, attention_mask=real, positions=positions)
    torch.testing.assert_close(found[:1, 2:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_texts_are_filled_and_continued(tmp_path, architecture):
    made = network(architecture=architecture)
    with torch.no_grad():  # special tokens, and rows without one, would be the likeliest
        made.head.bias[:5] += 20.0
        made.head.bias[len(PIECES) :] += 20.0
    predictor = Predictor.load(saved(tmp_path, made))
    texts = [TEXTS[1], "hello world", ""]
    found = denoise_texts(predictor, [TEXTS[1]], max_steps=2) + denoise_texts(
        predictor, texts[1:], new_tokens=5, max_steps=3, confidence="entropy"
    )
    assert [(each.masks, each.steps) for each in found] == [(3, 2), (5, 3), (5, 3)]
    for text, each in zip(texts, found, strict=True):
        given = predictor.tokenizer.encode(text).ids
        assert (each.ids[0], each.ids[-1]) == (given[0], given[-1])
        assert all(5 <= id_ < len(PIECES) for id_ in each.ids[1:-1])
        assert each.text == predictor.tokenizer.decode(each.ids[1:-1], skip_special_tokens=False)
    given = predictor.tokenizer.encode(TEXTS[1]).ids
    assert [a for a, b in zip(found[0].ids, given, strict=True) if b != 4] == [id_ for id_ in given if id_ != 4]
    assert found[1].ids[1:3] == predictor.tokenizer.encode("hello world").ids[1:-1]


def test_texts_do_not_depend_on_those_beside_them(tmp_path):
    predictor = Predictor.load(saved(tmp_path))
    options = {"max_steps": 2, "confidence": "gap", "temperature": 3.0}
    whole = denoise_texts(predictor, TEXTS, **options)
    assert whole == [denoise_texts(predictor, [text], **options)[0] for text in TEXTS]
    assert whole != denoise_texts(predictor, TEXTS, **options, seed=7)


def test_one_mask_a_step_and_the_likeliest_is_what_iterative_does(tmp_path):
    """Of masks of one text, where no special token has a share that moves the order."""
    made = network()
    with torch.no_grad():
        made.head.bias[:5] -= 100.0
        made.head.bias[len(PIECES) :] -= 100.0
    predictor = Predictor.load(saved(tmp_path, made))
    found = denoise_texts(predictor, TEXTS, temperature=0.0, confidence="top")
    assert [each.text for each in found] == [each.text for each in predictor.fill(TEXTS)]


def lines(capsys, *arguments):
    capsys.readouterr()
    assert cli.main(["predict", *map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_command(tmp_path, capsys, monkeypatch):
    folder = saved(tmp_path)
    shown = lines(capsys, folder, TEXTS[1], "--steps", 2)
    predictor = Predictor.load(folder)
    [expected] = denoise_texts(predictor, TEXTS[1:2], max_steps=2, confidence="top")
    assert shown == [expected.text, "  masks: 3, steps: 2"]
    flags = ["--steps", 4, "--new-tokens", 8, "--strategy", "entropy", "--threshold", 0.1, "--schedule", "cosine",
             "--temperature", 0.7, "--top-k", 9, "--top-p", 0.9, "--seed", 5]  # fmt: skip
    options = {"max_steps": 4, "new_tokens": 8, "confidence": "entropy", "threshold": 0.1, "noise_schedule": "cosine",
               "temperature": 0.7, "top_k": 9, "top_p": 0.9, "seed": 5}  # fmt: skip
    [expected] = denoise_texts(predictor, ["the sea"], **options)
    [found] = map(json.loads, lines(capsys, folder, "the sea", *flags, "--json"))
    assert found == {
        "text": "the sea", "filled": expected.text, "masks": 8, "steps": expected.steps, "ids": expected.ids
    }  # fmt: skip
    for temperature in (0, 9):
        options = {"max_steps": 1, "new_tokens": 8, "temperature": temperature, "confidence": "top"}
        [expected] = denoise_texts(predictor, ["the sea"], **options)
        shown = lines(capsys, folder, "the sea", "--steps", 1, "--new-tokens", 8, "--temperature", temperature)
        assert shown[0] == expected.text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"the [MASK]\n\nthe sea\n")))
    shown = lines(capsys, folder, "--steps", 1, "--new-tokens", 2, "--history", tmp_path / "steps.jsonl")
    assert shown[1::2] == ["  masks: 3, steps: 1", "  masks: 2, steps: 1"]
    history = History.load(tmp_path / "steps.jsonl")
    assert len(history.rows) == 2
    assert history.name(history.rows[0].ids[1]) == "the"


def test_flags_that_do_not_fit(tmp_path, capsys):
    folder = saved(tmp_path)
    assert "--new-tokens without --steps" in fails(capsys, folder, "the", "--new-tokens", 3)
    assert "--history without --steps" in fails(capsys, folder, "[MASK]", "--history", tmp_path / "x")
    assert "--steps and --iterative" in fails(capsys, folder, "[MASK]", "--steps", 3, "--iterative")
    assert "max_steps is 0" in fails(capsys, folder, "[MASK]", "--steps", 0)
    assert "has no mask" in fails(capsys, folder, "the sea", "--steps", 3)
    assert "has 43 tokens; expected at most 40" in fails(capsys, folder, "the", "--steps", 3, "--new-tokens", 40)
    assert "new_tokens is -1" in fails(capsys, folder, "the", "--steps", 3, "--new-tokens", -1)
    assert "threshold is 1.0 with the confidence uniform" in fails(
        capsys, folder, "[MASK]", "--steps", 3, "--threshold", 1, "--strategy", "uniform"
    )
    assert not os.path.exists(tmp_path / "x")
    with pytest.raises(TrainError, match="texts is one string"):
        denoise_texts(Predictor.load(folder), "[MASK]")


def test_the_page_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "--steps", "0"]) == 0
    names, printed = run_page("docs/generating.md", capsys)
    assert os.path.getsize(tmp_path / "steps.html") > 10_000
    assert any("masks: 16, steps: 8" in shown for shown in printed.values())
    assert names["done"].steps == [8, 8]
    assert names["perplexity"].value > 1

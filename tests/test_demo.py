"""The demo runs, in a process of its own, and gives the same bytes every time; it trains, and its models learn."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import torch

from maskgen import cli, demo_corpora, demo_training
from maskgen.train.models import Discriminator, MaskedLm, load_pretrained
from preprocess import verify_dataset


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def last(run):
    """The last record of a run's validation."""
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


def test_demo_twice(tmp_path):
    outputs = []
    for name in ("first", "second"):
        command = [sys.executable, "-m", "maskgen.cli", "demo", "--steps", "0", "--output", str(tmp_path / name)]
        outputs.append(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True))
    names = {
        path.relative_to(tmp_path / "first").as_posix(): path
        for path in (tmp_path / "first").rglob("*")
        if path.is_file()
    }
    kinds = [f"corpus_text_{level}.{kind}" for level in ("document", "sentence") for kind in ("bin", "idx", "json")]
    cache = [name for name in names if name.startswith("corpus_text_sentence.maskgen-cache/")]
    assert sorted(names) == sorted(
        ["corpus.jsonl", "corpus_text_document.lines.npy", "tokenizer.json", "vocab.txt", *kinds, *cache]
    )
    assert sum(name.endswith(".npy") for name in cache) == 1
    for name, path in names.items():
        if name.startswith("corpus_text_") and name.endswith(".json"):  # they have the path and the date of the corpus
            continue
        assert path.read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    assert "corpus.jsonl, line 1" in outputs[0].stdout
    assert "the lighthouse stands on a narrow rock" in outputs[0].stdout
    first, second = (
        output.stdout.split("7. Masked samples")[1].replace(str(tmp_path / name), "")
        for output, name in zip(outputs, ("first", "second"), strict=True)
    )
    assert first == second
    assert "[MASK→" in first
    assert "The same seed gave the same bits: " in first
    report = verify_dataset(tmp_path / "first" / "corpus_text_document", full=True)
    assert report.ok
    assert report.documents == 40
    assert "range of ids" in report.checked
    again = [sys.executable, "-m", "maskgen.cli", "demo", "--steps", "0", "--output", str(tmp_path / "first")]
    subprocess.run(again, capture_output=True, timeout=120, check=True)


def test_training_twice_and_what_can_not_go_on(tmp_path, capsys, monkeypatch):
    """The commands that are printed are the ones that ran."""
    command = ["demo", "--steps", "2", "--output", str(tmp_path)]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert all(f"\n{number}. " in said for number in range(1, 12))
    assert "step 2/2" not in said  # nobody looks on
    assert isinstance(load_pretrained(tmp_path / "python" / "mlm" / "model"), MaskedLm)
    assert isinstance(load_pretrained(tmp_path / "python" / "electra" / "model"), Discriminator)
    before = last(tmp_path / "python" / "mlm")
    for printed in re.findall(r"^   maskgen ((?:train|predict) .*)$", said, re.MULTILINE):
        assert cli.main(shlex.split(printed)) == 0
        answer = capsys.readouterr().out
        assert "finished already" in answer or answer.split("\n")[0] in said

    assert cli.main(command) == 0
    assert capsys.readouterr().out.count("finished already, 2 steps") == 2
    monkeypatch.setitem(demo_training.MLM, "lr", "2e-3")
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "a run with other settings: lr" in said
    assert said.count("finished already, 2 steps") == 1
    assert last(tmp_path / "python" / "mlm")["loss"] != before["loss"]


def test_interrupted_training_ends_the_demo(tmp_path, capsys, monkeypatch):
    from maskgen.commands import train

    monkeypatch.setattr(train, "run", lambda arguments: 130)
    assert cli.main(["demo", "--output", str(tmp_path)]) == 130
    said = capsys.readouterr().out
    assert "9. Train" in said
    assert "10. Train" not in said


def test_without_torch_the_rest_runs_and_says_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["demo", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "needs torch: pip install 'maskgen[train]'" in said
    assert f"All of it is in {tmp_path}" in said
    assert not os.path.exists(tmp_path / "python")


def test_no_paragraph_is_in_two_documents():
    documents, origin = demo_corpora.python()
    paragraphs = [text for document in documents for text in document.split("\n")]
    assert len(set(paragraphs)) == len(paragraphs) > 1000
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in origin
    assert len(documents) > 100
    assert sum(map(len, documents)) > 200_000
    assert not any(re.fullmatch(r"={4,}|\*{4,}|\+-.*", text) for text in paragraphs)


def test_without_the_documentation_it_is_the_small_corpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    documents, origin = demo_corpora.python()
    assert documents == demo_corpora.small()
    assert "came without pydoc_data" in origin


@pytest.mark.slow
def test_models_learn_from_context(tmp_path):
    """In the steps of the demo, on validation samples, which have no paragraph in common with those of training."""
    assert cli.main(["demo", "--output", str(tmp_path)]) == 0
    python = tmp_path / "python"
    mlm, electra = last(python / "mlm"), last(python / "electra")
    assert (mlm["kind"], mlm["step"], electra["step"]) == ("validation", 800, 200)
    assert mlm["loss"] < demo_training.unigram_entropy(str(python / "corpus_text_document")) - 0.5
    assert electra["disc_auc"] > 0.7

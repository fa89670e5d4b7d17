"""docs/ecosystem.md runs as it stands."""

import importlib.util
import re
from pathlib import Path

import pytest
from helpers import contents

from maskgen import cli

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

PAGE = (Path(__file__).parent.parent / "docs/ecosystem.md").read_text()


@pytest.fixture
def names(tmp_path, monkeypatch, capsys):
    """What the page's blocks define, after they have run in the folder of a demo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert cli.main(["demo", "--steps", "0"]) == 0
    found = {}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            exec(compile(block, "docs/ecosystem.md", "exec"), found)
        yield found
    torch.set_num_threads(threads)


def test_the_page_runs(names):
    assert contents("again") == contents("maskgen-demo/corpus_text_sentence")
    documents, chosen = names["documents"], names["chosen"]
    assert len(documents) == len(names["dataset"].document_indices) - 1
    assert 0 < len(names["short"]) < len(documents)
    assert len(chosen.document_indices) - 1 == len(names["short"])
    assert chosen.dtype == names["dataset"].dtype

    batch, samples = names["batch"], names["samples"]
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == dict.fromkeys(
        ("input_ids", "attention_mask", "token_type_ids", "labels"), (8, 64)
    )
    assert (batch["labels"] != -100).any(1).all()
    assert len(names["loader"]) == len(samples) // 8
    names["loss"].backward()
    assert float(names["loss"].detach()) > 3

    training = names["training"]
    before = training[0]
    names["NextMasks"]().on_epoch_begin(None, type("State", (), {"epoch": 5.0})(), None)
    assert training.epoch == 5
    assert not torch.equal(training[0]["labels"], before["labels"])


def test_the_block_that_is_not_run_says_so_and_compiles():
    """Where accelerate is installed, it could be run: then make it a block that is."""
    (block,) = re.findall(r"<!-- not run in tests: [^\n]*accelerate[^\n]*-->\n```py\n(.*?)```", PAGE, re.DOTALL)
    compile(block, "docs/ecosystem.md", "exec")
    assert "\nnot run in tests: " in PAGE
    assert PAGE.count("```py\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
def test_a_trainer_trains(names):
    (block,) = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "docs/ecosystem.md", "exec"), names)
    assert Path("trained/config.json").exists()

"""docs/ecosystem.md runs as it stands."""

from pathlib import Path

import pytest
from doc_pages import quiet_torch, run_page
from helpers import contents

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
pytest.importorskip("accelerate")


@pytest.fixture
def names(demo, tmp_path, monkeypatch, capsys):
    """What the page's blocks define, after they have run in the folder of a demo."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    names, _ = run_page("docs/ecosystem.md", capsys)
    with quiet_torch():
        yield names


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
    assert Path("trained/config.json").exists()  # the Trainer's block has run
    names["loss"].backward()
    assert float(names["loss"].detach()) > 3

    training = names["training"]
    before = training[0]
    names["NextMasks"]().on_epoch_begin(None, type("State", (), {"epoch": 5.0})(), None)
    assert training.epoch == 5
    assert not torch.equal(training[0]["labels"], before["labels"])

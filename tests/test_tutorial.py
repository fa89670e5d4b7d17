"""Whoever follows docs/tutorial.md ends with a model that transformers loads."""

import re

import pytest
from doc_pages import run_page

from preprocess import IndexedDataset


def test_up_to_the_proof_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, printed = run_page("docs/tutorial.md", capsys, until="6. Train")
    assert [command.split()[1] for command in printed] == [
        *["train-tokenizer", "tokenize", "verify", "inspect", "sample", "report", "fingerprint", "fingerprint"]
    ]
    assert list(printed.values())[-1].splitlines()[-1] == "ok: as in proof.json"
    assert len(IndexedDataset("corpus_text_sentence")) == 160
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_to_the_end(tmp_path, monkeypatch, capsys):
    """The model of transformers is that of training: the same three words."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other make a tiny model ten times slower on a busy machine
    try:
        names, printed = run_page("docs/tutorial.md", capsys)
    finally:
        torch.set_num_threads(before)
    predicted = list(printed.values())[-1]
    assert names["words"] == re.findall(r"0\.\d{4}  (\S+)$", predicted, re.MULTILINE)
    assert type(names["model"]).__name__ == "BertForMaskedLM"

"""What docs/moving.md shows runs, and the options that it names on our side exist."""

import inspect
import re

import pytest
from doc_pages import ROOT, run_page

from maskgen.commands import tokenize, train
from preprocess import IndexedDataset


def test_the_page_runs(demo, capsys):
    names, printed = run_page("docs/moving.md", capsys)
    assert sorted(names["batch"]) == ["attention_mask", "input_ids", "labels"]
    assert names["batch"]["labels"].min() == -100
    assert len(IndexedDataset("corpus_text_document").document_indices) - 1 == len(names["documents"]) == 40
    assert "sample 0" in list(printed.values())[-1]


def test_its_flags_exist():
    text = (ROOT / "docs/moving.md").read_text()
    cells = [line.split("|")[2] for line in text.splitlines() if line.startswith("| `")]
    ours = set(re.findall(r"`(--[\w-]+)", "".join(cells)))
    assert len(ours) > 20
    sources = inspect.getsource(tokenize) + inspect.getsource(train)
    for flag in ours - {"--option", "--no-lowercase", "--no-strip-accents"}:
        assert f'"{flag}"' in sources, flag


def test_every_option_of_the_collator_is_there():
    transformers = pytest.importorskip("transformers")
    named = (ROOT / "docs/moving.md").read_text()
    for option in inspect.signature(transformers.DataCollatorForLanguageModeling).parameters:
        assert f"`{option}" in named, option

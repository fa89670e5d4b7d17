"""docs/masked-diffusion.md: what it shows runs, and each defect has its test."""

import re
from pathlib import Path

import torch
from doc_pages import run_page

from maskgen import cli

ROOT = Path(__file__).parent.parent


def test_the_page_runs_and_its_tests_exist(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "--steps", "0"]) == 0
    names, printed = run_page("docs/masked-diffusion.md", capsys)
    filled, written = [text for command, text in printed.items() if command.startswith("maskgen predict")]
    assert "mask 1" in filled
    assert "masks: 8, steps: 4" in written
    assert torch.equal(names["objective"](names["tokens"], generator=torch.Generator().manual_seed(7)), names["loss"])
    assert names["logits"].shape[:2] == names["batch"]["input_ids"].shape
    text = (ROOT / "docs" / "masked-diffusion.md").read_text()
    tests = "".join((ROOT / f"tests/{file}.py").read_text() for file in ("test_diffusion_loss", "test_collators"))
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) == 5
    for name in named:
        assert f"def {name}(" in tests, name

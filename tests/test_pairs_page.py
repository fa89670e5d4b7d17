"""docs/image-captions.md: its Python and its commands run, and what they make is what it says."""

import pytest
from doc_pages import run_page

torch = pytest.importorskip("torch")


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        names, printed = run_page("docs/image-captions.md", capsys)
    finally:
        torch.set_num_threads(before)
    assert names["batch"]["images"].shape == (2, 3, 8, 8)
    assert names["first"] == (tmp_path / "the.png").read_bytes()
    assert any(command.startswith("maskgen train ") for command in printed)
    assert torch.isfinite(names["similar"]).all()
    assert (tmp_path / "clip/model/tokenizer.json").exists()

"""The cost model finds the costs that its points were made with, and its script writes a page."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizer_files import small_vocabulary, write_vocabulary

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "tools" / "bench"


@pytest.fixture(scope="module")
def model():
    spec = importlib.util.spec_from_file_location("scaling_model_for_tests", BENCH / "scaling_model.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # where dataclasses look for annotations
    spec.loader.exec_module(loaded)
    return loaded


def test_costs_come_back(model):
    truth = model.Cost(0.5, 3e-9, 2e-7)
    sizes = [(1e8, 3e4), (2e8, 6e4), (4e8, 12e4), (1e8, 5e5), (2e8, 1e6)]
    found = model.fitted([(*size, truth(*size)) for size in sizes])
    assert found.fixed == pytest.approx(truth.fixed)
    assert found.text == pytest.approx(truth.text)
    assert found.document == pytest.approx(truth.document)
    assert found(8e8, 24e4) == pytest.approx(truth(8e8, 24e4))


def test_no_cost_is_negative(model):
    """Noise may make documents look as if they saved time; the rest is then fitted without them."""
    found = model.fitted([(1e8, 1e4, 1.0), (2e8, 2e4, 2.0), (4e8, 4e4, 4.1), (1e8, 1e6, 0.9), (2e8, 2e6, 1.8)])
    assert min(found.fixed, found.text, found.document) >= 0
    assert found.document == 0
    assert found(8e8, 8e4) == pytest.approx(8.0, rel=0.1)


def test_figures_for_people(model):
    assert [model.amount(value) for value in (0, 1.5e3, 2e9, 4.4e12, 1.2e16)] == [
        "0 bytes", "1.5 kB", "2 GB", "4.4 TB", "12,000 TB",
    ]  # fmt: skip
    assert [model.duration(value) for value in (0.25, 600, 7200)] == ["0.25 s", "10 min", "2.0 h"]
    assert model.Cluster().shards == round(10e12 / (256 << 20))


@pytest.mark.slow
def test_the_page_is_written(tmp_path):
    vocabulary = write_vocabulary(tmp_path, small_vocabulary())
    corpus, page = tmp_path / "corpus.jsonl", tmp_path / "page.md"
    corpus.write_text("".join(json.dumps({"text": f"hello world of token {n} " * 60}) + "\n" for n in range(100)))
    page.write_text("# Mine\n\n<!-- table: begin -->\n<!-- table: end -->\n\nWords that stay.\n")
    command = [sys.executable, str(BENCH / "bench_scaling.py"), str(corpus), "--tokenizer", vocabulary]
    command += ["--quick", "--rounds", "1", "--workers", "1", "--folder", str(tmp_path), "--output", str(page)]
    command += ["--results", str(tmp_path / "results.jsonl")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    text = page.read_text()
    assert text.endswith("<!-- table: end -->\n\nWords that stay.\n")
    (predicted, truth) = re.search(
        r"^\| `\.idx` \|.*\| ([\d.]+ \w+) \| ([\d.]+ \w+) \| [+-]0\.0% \|$", text, re.M
    ).groups()
    assert predicted == truth
    for words in ("ratio", "`--finish`, apart", "plan of 1,000 files", "10 TB, 64 machines of 64 cores", "at commit"):
        assert words in text, words
    assert str(tmp_path) not in text
    assert json.loads((tmp_path / "results.jsonl").read_text())["against"] == "cat and sync of the input"
    assert not list(tmp_path.glob("bench-scaling-*"))

"""The script that runs all benches: it knows each of them, shows what fails, and keeps the words of a page."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "tools" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"


def bench_all(*arguments):
    command = [sys.executable, str(BENCH / "bench_all.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def module(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}_module", BENCH / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # where dataclasses look for annotations
    spec.loader.exec_module(loaded)
    return loaded


def test_every_bench_is_known():
    suite = module("suite")
    files = {file.stem.removeprefix("bench_") for file in BENCH.glob("bench_*.py")}
    assert files == set(suite.SUITE) | set(suite.APART)
    assert not set(suite.SUITE) & set(suite.APART)


@pytest.mark.parametrize("file", sorted(BENCH.glob("bench_*.py")), ids=lambda file: file.stem)
def test_every_bench_takes_the_shared_flags(file):
    if file.stem != "bench_all":
        assert "bench_parser(__doc__" in file.read_text() or "parser_of(__doc__)" in file.read_text()
        assert "arguments.results" in file.read_text()


def test_a_quick_run_writes_a_page_and_its_plot_between_the_markers(tmp_path):
    page, before = tmp_path / "page.md", PAGE.read_bytes()
    page.write_text("# Mine\n\n<!-- table: begin -->\nold\n<!-- table: end -->\n\nWords that stay.\n")
    finished = bench_all("--quick", "--only", "readers", "sentences", "--output", page)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "== bench_readers.py" in finished.stdout
    assert "read_text, block" in finished.stdout
    text = page.read_text()
    assert text.startswith("# Mine\n\n<!-- table: begin -->\n")
    assert text.endswith("<!-- table: end -->\n\nWords that stay.\n")
    assert "\nold\n" not in text
    assert re.search(
        r"^\| readers: line_blocks \| [\d.,]+ GB/s \| [\d.,]+ GB/s, reading alone \| [\d.,]+ \|$", text, re.M
    )
    assert re.search(r"^\| sentences: rules, starts in bytes, embedded.jsonl \| ", text, re.M)
    for words in ("at commit ", "Python ", "numpy ", "torch", "tokenizers", "GiB", "![", "(page.svg)"):
        assert words in text, words
    assert str(tmp_path) not in text
    drawing = (tmp_path / "page.svg").read_text()
    texts = [each.text for each in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]
    assert {"readers", "sentences", "line_blocks / reading alone"} <= set(texts)
    assert "prefers-color-scheme: dark" in drawing
    assert PAGE.read_bytes() == before


def test_what_fails_is_named_and_the_others_go_on(tmp_path):
    broken, fine = tmp_path / "broken.jsonl", tmp_path / "page.md"
    broken.write_text('{"no text": 1}\n')
    finished = bench_all("--only", "sentences", "readers", "--corpus", broken, "--rounds", "1", "--output", fine)
    assert finished.returncode == 1
    assert "failed: sentences" in finished.stderr
    assert "| sentences | **failed**: KeyError: 'text' | | |" in fine.read_text()
    assert "| readers: line_blocks |" in fine.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "pipeline"], "--corpus: found none, expected one for pipeline"),
        (["--quick", "--output", PAGE], "expected another page"),
        (["--quick", "--tokenizer", "t.json"], "expected neither"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_refused(arguments, words):
    finished = bench_all(*arguments)
    assert finished.returncode == 2
    assert words in finished.stderr


def test_a_page_without_markers_is_refused_before_any_work(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")
    finished = bench_all("--quick", "--only", "help", "--output", page)
    assert finished.returncode == 1
    assert "<!-- table: begin -->" in finished.stderr
    assert "== bench_help" not in finished.stdout
    assert page.read_text() == "# Mine\n"


def test_the_page_of_the_docs_has_a_place_for_the_table():
    assert re.search(r"^<!-- table: begin -->\n(.*\n)*?<!-- table: end -->\n", PAGE.read_text(), re.M)


def test_results_come_back_as_they_were(tmp_path):
    results = module("results")
    faster = results.Row("a", 10.0, "MB/s", 2.0, "other")
    smaller = results.Row("b", 10.0, "ms", 2.0, "other", less_is_better=True)
    alone = results.Row("c", 1.0, "MB", against="limit 2 MB")
    missing = results.Missing("peer", "No module named 'peer'")
    path = tmp_path / "results.jsonl"
    results.record(str(path), [faster, smaller])
    results.record(str(path), [alone, missing])
    results.record(None, [faster])
    assert [json.loads(line) for line in path.read_text().splitlines()]
    assert results.read_results(str(path)) == [faster, smaller, alone, missing]
    assert (faster.ratio, smaller.ratio, alone.ratio) == (5.0, 0.2, None)

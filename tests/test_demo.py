"""The demo runs, in a process of its own, and gives the same bytes every time."""

import os
import subprocess
import sys

from preprocess import verify_dataset


def test_demo_twice(tmp_path):
    outputs = []
    for name in ("first", "second"):
        command = [sys.executable, "-m", "maskgen.cli", "demo", "--output", str(tmp_path / name)]
        outputs.append(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True))
    files = sorted(os.listdir(tmp_path / "first"))
    assert files == ["corpus.jsonl", "corpus_text_document.bin", "corpus_text_document.idx",
                     "corpus_text_document.json", "corpus_text_document.lines.npy", "tokenizer.json",
                     "vocab.txt"]  # fmt: skip
    for file in files:
        if file == "corpus_text_document.json":  # it has the path and the date of the corpus
            continue
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file
    assert "corpus.jsonl, line 1" in outputs[0].stdout
    assert "the lighthouse stands on a narrow rock" in outputs[0].stdout
    report = verify_dataset(tmp_path / "first" / "corpus_text_document", full=True)
    assert report.ok
    assert report.documents == 40
    assert "range of ids" in report.checked
    again = [sys.executable, "-m", "maskgen.cli", "demo", "--output", str(tmp_path / "first")]
    subprocess.run(again, capture_output=True, timeout=120, check=True)

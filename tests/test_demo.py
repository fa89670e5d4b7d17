"""The demo runs, in a process of its own, and gives the same bytes every time."""

import subprocess
import sys

from preprocess import verify_dataset


def test_demo_twice(tmp_path):
    outputs = []
    for name in ("first", "second"):
        command = [sys.executable, "-m", "maskgen.cli", "demo", "--output", str(tmp_path / name)]
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
    again = [sys.executable, "-m", "maskgen.cli", "demo", "--output", str(tmp_path / "first")]
    subprocess.run(again, capture_output=True, timeout=120, check=True)

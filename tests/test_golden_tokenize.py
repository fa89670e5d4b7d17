"""`maskgen tokenize` writes the bytes that Megatron-LM's own tool wrote."""

import subprocess
import sys

import pytest
from helpers import GOLDEN, contents

from preprocess import verify_dataset


@pytest.mark.parametrize(("name", "flags"), [("indexed_plain", []), ("indexed_eod", ["--append-eod"])])
@pytest.mark.parametrize("how", [["--workers", "2", "--shard-bytes", "50000"], ["--workers", "0"]])
def test_the_bytes_of_the_golden_files(tmp_path, name, flags, how):
    command = [sys.executable, "-m", "maskgen.cli", "tokenize", str(GOLDEN / "indexed_input.jsonl")]
    command += ["--tokenizer", str(GOLDEN / "bert-base-uncased-vocab.txt"), "--output-prefix", str(tmp_path / "out")]
    finished = subprocess.run(
        [*command, "--add-special-tokens", *flags, *how], capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert contents(tmp_path / "out_text_document") == contents(GOLDEN / name)
    assert verify_dataset(str(tmp_path / "out_text_document"), full=True).ok
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"out_text_document.{e}" for e in ("bin", "idx", "json")
    ]

"""The scripts in tools/, with the flags that Megatron-LM users know."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import contents, read_all, write_dataset

MERGE = Path(__file__).parent.parent / "tools" / "merge_datasets.py"


def merge(*arguments):
    return subprocess.run(
        [sys.executable, str(MERGE), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    for number in (2, 0, 1):
        write_dataset(folder / f"part{number}", [[[number, number]], []])
    (folder / "README").touch()
    return folder


def test_a_folder_is_merged_in_the_order_of_names(shards, tmp_path):
    finished = merge("--input", shards, "--output-prefix", tmp_path / "out")
    assert finished.returncode == 0, finished.stderr
    assert "merged 3 datasets" in finished.stdout
    assert read_all(tmp_path / "out") == [[0, 0], [1, 1], [2, 2]]


def test_the_output_may_lie_in_the_same_folder(shards):
    assert merge("--input", shards, "--output-prefix", shards / "all").returncode == 0
    first = contents(shards / "all")
    assert merge("--input", shards, "--output-prefix", shards / "all").returncode == 0
    assert contents(shards / "all") == first


def test_multimodal(tmp_path):
    write_dataset(tmp_path / "in" / "a", [[[1], [2]]], modes=[[0, 1]])
    assert merge("--input", tmp_path / "in", "--output-prefix", tmp_path / "out", "--multimodal").returncode == 0
    write_dataset(tmp_path / "in" / "a", [[[1]]])
    finished = merge("--input", tmp_path / "in", "--output-prefix", tmp_path / "out", "--multimodal")
    assert finished.returncode == 2
    assert "found no modes" in finished.stderr


@pytest.mark.parametrize("missing", [".bin", ".idx"])
def test_half_a_dataset_is_an_error(shards, tmp_path, missing):
    (shards / f"part1{missing}").unlink()
    finished = merge("--input", shards, "--output-prefix", tmp_path / "out")
    assert finished.returncode == 2
    assert f"part1{missing}: missing beside its other half" in finished.stderr


def test_folders_without_datasets(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        finished = merge("--input", folder, "--output-prefix", tmp_path / "out")
        assert finished.returncode == 2
        assert finished.stderr.count("\n") == 1

"""Shards whose tokens are in the unfinished dataset alone: every kind of next run finds them again."""

import errno
import os
from pathlib import Path

import pytest
from helpers import leftovers
from pipeline_runs import documents, outcome, run, write_jsonl

from preprocess import MaskgenError
from preprocess.pipeline.options import Options
from preprocess.pipeline.work_folder import WorkFolder

OPTIONS = Options(shard_bytes=20_000, on_error="skip")


@pytest.fixture
def stopped(tmp_path):
    """The corpus of a run that came to its last shard and then to its limit of bad records."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents(2000))
    Path(corpus).write_bytes(Path(corpus).read_bytes() + b"junk\n")
    stop(corpus, tmp_path / "out")
    return corpus


def stop(corpus, prefix, **manner):
    with pytest.raises(MaskgenError, match="expected at most"):
        run(corpus, prefix, OPTIONS, max_errors="0", **manner)


def work_files(tmp_path, pattern):
    return list((tmp_path / "out.maskgen-work").glob(pattern))


def continued(tmp_path, corpus, **manner):
    """The summary of the run that goes on, whose datasets are those of one that was never stopped."""
    summary = run(corpus, tmp_path / "out", OPTIONS, max_errors="1", **manner)
    run(corpus, tmp_path / "expected", OPTIONS, max_errors="1", **manner)
    names = sorted(path.name for path in tmp_path.glob("expected*.idx"))
    assert names
    for name in names:
        made = tmp_path / name.removesuffix(".idx").replace("expected", "out", 1)
        assert outcome(made) == outcome(tmp_path / name.removesuffix(".idx"))
    assert not list(tmp_path.glob("*.maskgen-work"))
    assert leftovers(tmp_path) == []
    return summary


def test_tokens_are_on_the_disk_once(tmp_path, stopped):
    sizes = [path.stat().st_size for path in work_files(tmp_path, "assembled.0.bin")]
    assert not work_files(tmp_path, "?????.0.bin.*")
    assert not list(tmp_path.glob("out_*"))
    summary = continued(tmp_path, stopped)
    assert summary.shards_done == 0
    assert sizes == [(tmp_path / "out_text_document.bin").stat().st_size]


def test_stopped_again_and_again(tmp_path, stopped):
    for _ in range(3):
        stop(stopped, tmp_path / "out")
    assert continued(tmp_path, stopped).shards_done == 0


@pytest.mark.parametrize("manner", [{"keep_shards": True}, {"finish": True}, {"workers": 2}])
def test_another_manner(tmp_path, stopped, manner):
    """Each shard as a dataset of its own, too."""
    whole = {} if manner.get("finish") else manner
    summary = run(stopped, tmp_path / "out", OPTIONS, max_errors="1", **manner)
    assert summary.shards_done == 0
    run(stopped, tmp_path / "expected", OPTIONS, max_errors="1", **whole)
    made, expected = (sorted(tmp_path.glob(f"{name}*.bin")) for name in ("out", "expected"))
    assert len(made) == (summary.shards_found if manner.get("keep_shards") else 1)
    assert [path.read_bytes() for path in made] == [path.read_bytes() for path in expected]


def test_a_task_leaves_them_to_others(tmp_path, stopped):
    run(stopped, tmp_path / "out", OPTIONS, max_errors="1", share=(0, 2))
    assert continued(tmp_path, stopped).shards_done == 0


def test_several_keys(tmp_path):
    lines = "".join(f'{{"a": "the {"hello " * (number % 9)}", "b": "world"}}\n' for number in range(3000))
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines + "junk\n")
    options = Options(shard_bytes=20_000, on_error="skip", json_keys=("a", "b"))
    with pytest.raises(MaskgenError, match="expected at most"):
        run(corpus, tmp_path / "out", options, max_errors="0")
    assert len(work_files(tmp_path, "assembled.?.bin")) == 2
    summary = run(corpus, tmp_path / "out", options, max_errors="1")
    assert summary.shards_done == 0
    run(corpus, tmp_path / "expected", options, max_errors="1")
    for key in "ab":
        assert outcome(tmp_path / f"out_{key}_document") == outcome(tmp_path / f"expected_{key}_document")


def test_a_work_folder_on_another_file_system(tmp_path, stopped, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    stop(stopped, tmp_path / "out")
    assert len(work_files(tmp_path, "?????.0.bin.*")) == len(work_files(tmp_path, "*.receipt.json"))
    assert not work_files(tmp_path, "assembled.*")
    assert continued(tmp_path, stopped).shards_done == 0


def test_a_receipt_is_gone(tmp_path, stopped):
    """Where the shards behind it begin is not known any more: they are done again."""
    shards = len(work_files(tmp_path, "*.receipt.json"))
    (tmp_path / "out.maskgen-work" / "00003.receipt.json").unlink()
    assert continued(tmp_path, stopped).shards_done == shards - 3


def test_their_end_is_gone(tmp_path, stopped):
    """As a power cut may leave a file."""
    path = tmp_path / "out.maskgen-work" / "assembled.0.bin"
    os.truncate(path, path.stat().st_size - 1)
    assert continued(tmp_path, stopped).shards_done == 1


def test_a_finished_dataset_is_never_written_to(tmp_path, stopped, monkeypatch):
    """The run that ended between its last rename and the removal of its work is finished by the next one."""
    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "remove", lambda _: None)
        run(stopped, tmp_path / "out", OPTIONS, max_errors="1")
    kept = tmp_path / "kept.bin"
    os.link(tmp_path / "out_text_document.bin", kept)
    before = kept.read_bytes()
    assert work_files(tmp_path, "assembled.0.bin")
    assert continued(tmp_path, stopped).shards_done == 0
    assert kept.read_bytes() == before
    assert not os.path.samefile(kept, tmp_path / "out_text_document.bin")

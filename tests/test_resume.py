"""Stopped anywhere, by anything: the same command goes on, and the datasets are the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from helpers import leftovers
from pipeline_runs import documents, outcome, run, vocabulary, write_jsonl

from preprocess import MaskgenError, verify_dataset
from preprocess.pipeline.options import Options
from preprocess.pipeline.work_folder import WorkFolder

WAIT = 60


def command(tmp_path, corpus, *more, prefix="out"):
    options = ["--tokenizer", vocabulary(tmp_path), "--output-prefix", str(tmp_path / prefix)]
    return [sys.executable, "-m", "maskgen.cli", "tokenize", str(corpus), *options, *map(str, more)]


def start(*arguments):
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children(pid):
    """The processes that a process has started, by the system's own list."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in path.read_text().split()]
    except OSError:
        return []


def wait_for(condition, seconds=WAIT):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def receipts(tmp_path, prefix="out"):
    return list(tmp_path.glob(f"{prefix}.maskgen-work/*.receipt.json"))


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def corpus(tmp_path):
    return write_jsonl(tmp_path / "corpus.jsonl", documents(4000))


def killed_runs(tmp_path, corpus, kills, seed, *more):
    """Runs until so many were killed, workers and parents in turn, wherever they happened to be; then one to the end.

    The moment is a number of finished shards and a short time after it, so that a kill hits a run at work on a machine
    of any speed; a run that was faster than its killer does not count.
    """
    rng = random.Random(seed)
    arguments = command(tmp_path, corpus, "--workers", 2, "--shard-bytes", "8K", *more)
    shards = -(-os.path.getsize(corpus) // (8 << 10))
    killed, runs = 0, 0
    while killed < kills:
        runs += 1
        assert runs < 10 + 6 * kills
        process = start(*arguments)
        reached = len(receipts(tmp_path)) + rng.randrange(shards // 3)
        wait_for(lambda process=process, reached=reached: process.poll() is not None or passed(tmp_path, reached))
        time.sleep(rng.uniform(0, 0.02))
        workers = children(process.pid)
        victim = rng.choice(workers) if killed % 2 and workers else process.pid
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        _, errors = process.communicate(timeout=WAIT)
        for worker in workers:
            wait_for(partial(is_gone, worker))
        killed += process.returncode != 0
        if process.returncode == 2:
            assert "was ended by SIGKILL" in errors
            assert errors.count("\n") == 1
        else:
            assert process.returncode in (0, -signal.SIGKILL), errors
        if list(tmp_path.glob("out*.idx")):  # an index that exists belongs to a complete dataset
            assert verify_dataset(tmp_path / "out_text_document", full=True).ok
            if not list(tmp_path.glob("*.maskgen-work")):
                begin_anew(tmp_path)
    subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=WAIT)
    assert not list(tmp_path.glob("*.maskgen-work"))
    assert leftovers(tmp_path) == []


@pytest.fixture
def long_corpus(tmp_path):
    """Enough for a run to be met at work: most of its shards are still to be done when the first are finished."""
    return write_jsonl(tmp_path / "corpus.jsonl", documents(12_000))


def passed(tmp_path, reached):
    """Whether so many shards are finished, or the run has gone on to write its datasets."""
    return len(receipts(tmp_path)) > reached or any(tmp_path.glob("out_*"))


def begin_anew(tmp_path):
    for path in tmp_path.glob("out*"):
        path.unlink()


@pytest.mark.parametrize("more", [(), ("--shuffle", "--seed", "3", "--provenance")])
def test_killed_a_few_times(tmp_path, long_corpus, more):
    killed_runs(tmp_path, long_corpus, 4, 1, *more)
    options = Options(shuffle_seed=3, provenance=True) if more else Options()
    run(long_corpus, tmp_path / "expected", options)
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "expected_text_document")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 8])
def test_killed_many_times(tmp_path, long_corpus, seed):
    """Sixty kills in all, of workers and of their parent."""
    killed_runs(tmp_path, long_corpus, 30, seed)
    run(long_corpus, tmp_path / "expected")
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "expected_text_document")


def test_interrupted(tmp_path, long_corpus):
    """Ctrl-C goes to the whole group, as a terminal sends it."""
    arguments = command(tmp_path, long_corpus, "--workers", 2, "--shard-bytes", "4K")
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: len(receipts(tmp_path)) > 3)
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert "run the same command again" in errors
    assert errors.count("\n") == 1
    assert all(is_gone(worker) for worker in workers)
    assert not list(tmp_path.glob("out_*"))
    finished = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=WAIT)
    assert "were there from an earlier run" in finished.stdout
    run(long_corpus, tmp_path / "expected")
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "expected_text_document")


def test_a_dead_worker_ends_the_run_with_its_reason(tmp_path, long_corpus):
    process = start(*command(tmp_path, long_corpus, "--workers", 2, "--shard-bytes", "4K"))
    wait_for(lambda: len(receipts(tmp_path)) > 1)
    victim = children(process.pid)[1]
    os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == 2
    assert f"worker process {victim} was ended by SIGKILL while it worked on shard" in errors
    assert "fewer --workers" in errors


def test_workers_do_not_outlive_their_parent(tmp_path, long_corpus):
    process = start(*command(tmp_path, long_corpus, "--workers", 2, "--shard-bytes", "4K"))
    wait_for(lambda: len(receipts(tmp_path)) > 1)
    workers = children(process.pid)
    assert len(workers) == 2
    process.kill()
    process.communicate(timeout=WAIT)
    wait_for(lambda: all(is_gone(worker) for worker in workers), 10)


def test_two_runs_at_once(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr("preprocess.pipeline.work_folder.PATIENCE", 0.2)
    work = WorkFolder(str(tmp_path / "out.maskgen-work"))
    with work.lock(), pytest.raises(MaskgenError, match="another run at work"):
        run(corpus, tmp_path / "out")
    run(corpus, tmp_path / "out")


def damage(work, kind):
    """Flip a bit of the third shard, whose tokens lie behind those of two others."""
    paths, place = list(work.glob(f"00002.{kind}.*")), 10
    if not paths:
        facts = [json.loads((work / f"0000{number}.receipt.json").read_bytes()) for number in range(2)]
        place += sum(part["bytes"] for fact in facts for part in fact["files"][kind]["parts"])
        paths = [work / f"assembled.{kind}"]
    content = bytearray(paths[0].read_bytes())
    content[place] ^= 1
    paths[0].write_bytes(content)


def test_a_shard_that_a_power_cut_has_damaged(tmp_path, corpus):
    """Its receipt survived and its bytes did not: it is thrown away, never used."""
    Path(corpus).write_bytes(Path(corpus).read_bytes() + b"junk\n")
    skipping = Options(shard_bytes=20_000, on_error="skip")
    with pytest.raises(MaskgenError, match="expected at most"):
        run(corpus, tmp_path / "out", skipping, max_errors="0")
    for kind in ("0.bin", "0.lengths", "0.counts"):
        damage(tmp_path / "out.maskgen-work", kind)
        with pytest.raises(MaskgenError, match="found other bytes than were written"):
            run(corpus, tmp_path / "out", skipping, max_errors="1")
        with pytest.raises(MaskgenError, match="expected at most"):
            run(corpus, tmp_path / "out", skipping, max_errors="0")
    summary = run(corpus, tmp_path / "out", skipping, max_errors="1")
    assert summary.shards_found > 10
    run(corpus, tmp_path / "expected", skipping, max_errors="1")
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "expected_text_document")


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"plan": "x", "number": 0}', b"\xff" * 50])
def test_damaged_plan(tmp_path, corpus, damage):
    """An error that says which file, and what to do; never a crash, never the wrong bytes."""
    options = Options(shard_bytes=20_000)
    run(corpus, tmp_path / "out", options, share=(0, 2))
    path = tmp_path / "out.maskgen-work" / "plan.json"
    path.write_bytes(damage)
    with pytest.raises(MaskgenError, match=r"plan\.json.*--overwrite"):
        run(corpus, tmp_path / "out", options)
    path.unlink()
    run(corpus, tmp_path / "out", options)
    run(corpus, tmp_path / "expected")
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "expected_text_document")


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[1]", b'{"plan": "x", "number": 0}', "no bin", "short bin", "other plan"]
)
def test_a_receipt_that_is_worth_nothing(tmp_path, corpus, damage):
    """Damaged, of another plan, or without its files: its shard is done again."""
    options = Options(shard_bytes=20_000)
    run(corpus, tmp_path / "out", options, share=(0, 1))
    work = tmp_path / "out.maskgen-work"
    if isinstance(damage, bytes):
        (work / "00001.receipt.json").write_bytes(damage)
    elif damage == "no bin":
        next(work.glob("00001.0.bin.*")).unlink()
    elif damage == "short bin":
        os.truncate(next(work.glob("00001.0.bin.*")), 10)
    else:
        receipt = (work / "00001.receipt.json").read_text()
        (work / "00001.receipt.json").write_text(receipt.replace('"plan": "', '"plan": "0'))
    assert run(corpus, tmp_path / "out", options).shards_done == 1
    run(corpus, tmp_path / "expected")
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "expected_text_document")


def test_shards_without_a_token(tmp_path):
    """Blank lines fill whole shards; these are finished like others."""
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_bytes(b'{"text": "the"}\n' + b"\n" * 900 + b'{"text": "world"}\n')
    run(corpus, tmp_path / "out", Options(shard_bytes=100), share=(0, 1))
    summary = run(corpus, tmp_path / "out", Options(shard_bytes=100), finish=True)
    assert summary.totals.documents == 2
    assert summary.shards_found > 5


def test_another_policy_destroys_nothing(tmp_path, corpus):
    """A run whose policy cannot use the shards that are there leaves them to the run that can."""
    Path(corpus).write_bytes(Path(corpus).read_bytes() + b"junk\n")
    skipping = Options(shard_bytes=20_000, on_error="skip")
    run(corpus, tmp_path / "out", skipping, share=(0, 1))
    with pytest.raises(MaskgenError, match="give --finish the same --on-error"):
        run(corpus, tmp_path / "out", Options(shard_bytes=20_000), finish=True)
    with pytest.raises(MaskgenError, match="not JSON"):
        run(corpus, tmp_path / "out", Options(shard_bytes=20_000))
    assert run(corpus, tmp_path / "out", skipping, finish=True, max_errors="1").totals.skipped == {"not JSON": 1}


def mount_small(folder):
    """A file system of 400 KB; None where this user may not mount."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    return done.returncode == 0


def test_a_full_disk_and_then_room(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents(4000))
    vocabulary(tmp_path)
    small = tmp_path / "small"
    if not mount_small(small):
        pytest.skip("only root may mount a small file system")
    try:
        options = ("--tokenizer", vocabulary(tmp_path), "--output-prefix", str(small / "out"), "--workers", "2")
        arguments = [sys.executable, "-m", "maskgen.cli", "tokenize", corpus, *options, "--shard-bytes", "20K"]
        full = subprocess.run(arguments, capture_output=True, text=True, timeout=WAIT, check=False)
        assert full.returncode == 2
        assert "No space left on device" in full.stderr
        assert "make room there and run the same command again" in full.stderr
        assert full.stderr.count("\n") == 1
        assert not list(small.glob("out_*"))
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True, capture_output=True)
        finished = subprocess.run(arguments, capture_output=True, text=True, timeout=WAIT, check=True)
        assert "were there from an earlier run" in finished.stdout
        run(corpus, tmp_path / "expected")
        assert outcome(small / "out_text_document") == outcome(tmp_path / "expected_text_document")
    finally:
        subprocess.run(["umount", str(small)], check=True, capture_output=True)


def test_shards_and_finish_by_hand(tmp_path, corpus):
    """Parts in any order, one of them twice, one in between unfinished."""
    for share in ((2, 3), (0, 3), (2, 3)):
        run(corpus, tmp_path / "out", Options(shard_bytes=20_000), share=share)
    with pytest.raises(MaskgenError, match="shards missing"):
        run(corpus, tmp_path / "out", Options(shard_bytes=20_000), finish=True)
    run(corpus, tmp_path / "out", Options(shard_bytes=20_000), share=(1, 3))
    assert run(corpus, tmp_path / "out", Options(shard_bytes=20_000), finish=True).shards_done == 0
    run(corpus, tmp_path / "expected")
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "expected_text_document")

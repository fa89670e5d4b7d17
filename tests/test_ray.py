"""Shards as Ray tasks: the same bytes and the same errors as without, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import GOLDEN, contents
from pipeline_runs import documents, outcome, run, vocabulary, write_jsonl, write_lines

from preprocess import MaskgenError
from preprocess.pipeline.options import Options

BAD = b'{"text": 3}'
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}  # so that Ray keeps none in the home folder


SERVE = """
import ray, sys
from preprocess.pipeline.executors import ray_tasks
ray_tasks.start(ray, 2)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray instance that all runs of this module may join."""
    environment = {name: value for name, value in {**os.environ, **TOKEN}.items() if name != "RAY_ADDRESS"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process.stdout.readline().strip()
        process.communicate(timeout=60)


def join(cluster, corpus, prefix, *more):
    """A run on a cluster, in a process of its own as users have it."""
    flags = ["--tokenizer", vocabulary(prefix.parent), "--output-prefix", str(prefix), "--executor", "ray", *more]
    return subprocess.run(
        [sys.executable, "-m", "maskgen.cli", "tokenize", corpus, "--workers", "2", *flags],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **TOKEN, "RAY_ADDRESS": cluster},
    )  # fmt: skip


def processes():
    """Parent and title of every process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if title:  # a zombie has none
            found[int(folder.name)] = (parent, title)
    return found


def descendants(pid):
    """Of a process, with their titles."""
    found = processes()
    family = {pid}
    while more := {child for child, (parent, _) in found.items() if parent in family} - family:
        family |= more
    return {child: found[child][1] for child in family - {pid}}


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def command(tmp_path, *more):
    corpus = tmp_path / "corpus.jsonl"
    if not corpus.exists():
        corpus.write_bytes((GOLDEN / "indexed_input.jsonl").read_bytes() * 20)
    flags = ["--tokenizer", str(GOLDEN / "bert-base-uncased-vocab.txt"), "--output-prefix", str(tmp_path / "out")]
    flags += ["--shard-bytes", "500000", "--workers", "2", *more]
    return [sys.executable, "-m", "maskgen.cli", "tokenize", str(corpus), *flags]


@contextmanager
def started(tmp_path):
    """A run of its own Ray instance whose shards take their time, when the first of them is done."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with subprocess.Popen(
        command(tmp_path, "--executor", "ray", "--engine", "reference"),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**environment, "HOME": str(tmp_path)},
        process_group=0,
    ) as process:
        try:
            work = tmp_path / "out.maskgen-work"
            wait_for(lambda: process.poll() is not None or list(work.glob("*.receipt.json")))
            assert process.poll() is None
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("most", [None, 77])
def test_the_same_bytes(tmp_path, cluster, most):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents(200))
    options = Options(shard_bytes=5000, max_documents=most)
    expected = outcome(run(corpus, tmp_path / "inline", options).prefixes[0])
    flags = ["--shard-bytes", "5000"] + ([] if most is None else ["--max-documents", str(most)])
    finished = join(cluster, corpus, tmp_path / "ray", *flags)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert outcome(tmp_path / "ray_text_document") == expected
    assert not (tmp_path / "ray.maskgen-work").exists()


def test_an_expected_error_is_the_same_and_the_first_in_the_order_of_the_plan(tmp_path, cluster):
    good = b'{"text": "hello world"}'
    corpus = write_lines(tmp_path / "corpus.jsonl", *[good] * 50, BAD, *[good] * 50, BAD, *[good] * 5)
    with pytest.raises(MaskgenError) as expected:
        run(corpus, tmp_path / "inline", Options(shard_bytes=300))
    finished = join(cluster, corpus, tmp_path / "ray", "--shard-bytes", "300")
    assert finished.returncode == 2
    assert finished.stderr == f"maskgen tokenize: error: {expected.value}\n"
    assert "line 51" in finished.stderr


def test_no_cluster_where_the_environment_says(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents(5))
    finished = join("nonsense", corpus, tmp_path / "ray")
    assert finished.returncode == 2
    assert finished.stderr.startswith("maskgen tokenize: error: --executor ray: found no cluster")
    assert finished.stderr.endswith("expected one at nonsense; check RAY_ADDRESS\n")


@pytest.mark.slow
def test_a_killed_task_ends_the_run_and_the_same_command_continues(tmp_path):
    with started(tmp_path) as process:
        busy = wait_for(lambda: [pid for pid, title in descendants(process.pid).items() if "run_task" in title])
        killed = time.monotonic()
        os.kill(busy[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert time.monotonic() - killed < 15
    assert process.returncode == 2, errors
    assert errors.startswith("maskgen tokenize: error: a Ray worker was lost while it worked on shard ")
    assert errors.endswith("; run the same command again to continue\n")
    assert errors.count("\n") == 1
    finished = subprocess.run(command(tmp_path, "--executor", "ray"), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert "shards were there from an earlier run" in finished.stdout
    subprocess.run(command(tmp_path, "--output-prefix", str(tmp_path / "local")), check=True, capture_output=True)
    assert contents(tmp_path / "out_text_document") == contents(tmp_path / "local_text_document")


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["alone", "terminal"])
def test_ctrl_c_leaves_no_process(tmp_path, group):
    with started(tmp_path) as process:
        family = descendants(process.pid)
        assert any("raylet" in title for title in family.values())
        (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors == "maskgen tokenize: interrupted; run the same command again\n"
    wait_for(lambda: not {pid: title for pid, title in family.items() if processes().get(pid, ("", ""))[1] == title})
    assert (tmp_path / "out.maskgen-work").exists()


def test_ray_is_named_when_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents(5))
    with pytest.raises(MaskgenError, match=r"found no package ray.*pip install 'maskgen\[ray\]'"):
        run(corpus, tmp_path / "out", executor="ray", workers=1)

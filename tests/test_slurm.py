"""Several tasks that share one work folder, as a Slurm job array runs them, and the job that finishes."""

import os
import subprocess
import sys

import pytest
from pipeline_runs import documents, outcome, run, vocabulary, write_jsonl
from slurm_controller import slurm

from preprocess import MaskgenError
from preprocess.pipeline import work_folder
from preprocess.pipeline.options import Options
from preprocess.pipeline.sharing import share_of_work
from preprocess.pipeline.work_folder import BusyError, ResumeError, WorkFolder

OPTIONS = Options(shard_bytes=2000)


@pytest.fixture
def corpus(tmp_path):
    return write_jsonl(tmp_path / "corpus.jsonl", documents(300))


def command(tmp_path, corpus, *more):
    flags = ["--tokenizer", vocabulary(tmp_path), "--output-prefix", str(tmp_path / "out"), "--workers", "0"]
    return [sys.executable, "-m", "maskgen.cli", "tokenize", corpus, *flags, "--shard-bytes", "2000", *more]


def numbers(task, tasks):
    """The environment of one task of a job array."""
    values = {"ID": task, "COUNT": len(tasks), "MIN": min(tasks), "MAX": max(tasks)}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def run_array(tmp_path, corpus, tasks, absent=(), times=1):
    """All tasks at the same time, except those that are lost."""
    running = [
        subprocess.Popen(
            command(tmp_path, corpus, "--executor", "slurm"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **numbers(task, tasks)},
        )
        for task in list(tasks) * times if task not in absent
    ]  # fmt: skip
    said = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * len(running), said
    assert all(errors == "" for _, errors in said)
    return [output for output, _ in said]


def finish(tmp_path, corpus):
    return subprocess.run(
        command(tmp_path, corpus, "--executor", "slurm", "--finish"),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def expected(tmp_path, corpus):
    return outcome(run(corpus, tmp_path / "whole", OPTIONS).prefixes[0])


@pytest.mark.parametrize("tasks", [[10, 20, 30], [7]], ids=str)
def test_tasks_at_the_same_time_and_a_finish(tmp_path, corpus, tasks):
    said = run_array(tmp_path, corpus, tasks)
    assert not any("dataset" in output for output in said)
    assert not (tmp_path / "out_text_document.idx").exists()
    finished = finish(tmp_path, corpus)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert outcome(tmp_path / "out_text_document") == expected(tmp_path, corpus)
    assert not (tmp_path / "out.maskgen-work").exists()
    again = finish(tmp_path, corpus)
    assert again.returncode == 0
    assert "already complete" in again.stdout


def test_a_missing_task_is_named_by_its_own_number(tmp_path, corpus):
    run_array(tmp_path, corpus, [4, 6, 8], absent=[6])
    finished = finish(tmp_path, corpus)
    assert finished.returncode == 2
    assert "shards missing (1, 4, 7" in finished.stderr
    assert "submit the array again, or of it the tasks 6: what is done is kept" in finished.stderr
    run_array(tmp_path, corpus, [6])  # alone it takes all that is missing
    assert finish(tmp_path, corpus).returncode == 0
    assert outcome(tmp_path / "out_text_document") == expected(tmp_path, corpus)


def test_a_task_that_runs_twice_does_no_harm(tmp_path, corpus):
    run_array(tmp_path, corpus, [0, 1], times=2)
    assert finish(tmp_path, corpus).returncode == 0
    assert outcome(tmp_path / "out_text_document") == expected(tmp_path, corpus)


def test_parts_said_by_hand(tmp_path, corpus):
    for part in (0, 2):
        run(corpus, tmp_path / "out", OPTIONS, share=(part, 3))
    with pytest.raises(ResumeError, match="run again --shard 1/3"):
        run(corpus, tmp_path / "out", OPTIONS, finish=True)
    run(corpus, tmp_path / "out", OPTIONS, share=(1, 3))
    run(corpus, tmp_path / "out", OPTIONS, share=(1, 3))
    run(corpus, tmp_path / "out", OPTIONS, finish=True)
    assert outcome(tmp_path / "out_text_document") == expected(tmp_path, corpus)


def test_finish_before_any_task(tmp_path, corpus):
    with pytest.raises(ResumeError, match="run the tasks first, or the command without --finish"):
        run(corpus, tmp_path / "out", OPTIONS, finish=True)


def test_finish_does_not_run_beside_a_task_nor_a_task_beside_it(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(work_folder, "PATIENCE", 0.2)
    work = WorkFolder.of(str(tmp_path / "out"), None)
    with work.lock(shared=True):
        run(corpus, tmp_path / "out", OPTIONS, share=(0, 1))
        with pytest.raises(BusyError, match="found another run at work there"):
            run(corpus, tmp_path / "out", OPTIONS, finish=True)
        assert work.load_plan() is not None
    with work.lock(), pytest.raises(BusyError):
        run(corpus, tmp_path / "out", OPTIONS, share=(0, 1))
    run(corpus, tmp_path / "out", OPTIONS, finish=True)


def test_who_fails_early_leaves_the_folder_to_who_is_about_to_begin(tmp_path, monkeypatch):
    monkeypatch.setattr(work_folder, "PATIENCE", 0.2)
    work = WorkFolder(str(tmp_path / "work"))
    with work.lock(shared=True):
        with WorkFolder(work.path).lock(shared=True):
            pass
        work.remove_if_empty()
        assert os.listdir(work.path) == ["lock"]
    work.remove_if_empty()
    assert not os.path.exists(work.path)


def test_the_lock_of_a_folder_that_was_taken_away_is_worth_nothing(tmp_path):
    work = WorkFolder(str(tmp_path / "work"))
    with work.lock():
        work.remove()
        with WorkFolder(work.path).lock():
            assert os.listdir(work.path) == ["lock"]


def test_a_task_does_not_throw_away_what_others_may_be_doing(tmp_path, corpus):
    run(corpus, tmp_path / "out", OPTIONS, share=(0, 2))
    other = Options(shard_bytes=2000, append_eod=True)
    with pytest.raises(ResumeError, match=r"option append_eod: was False, is True"):
        run(corpus, tmp_path / "out", other, share=(0, 2))
    with pytest.raises(ResumeError, match="remove that folder and submit them again"):
        run(corpus, tmp_path / "out", other, share=(0, 2), overwrite=True)
    run(corpus, tmp_path / "out", OPTIONS, share=(1, 2), overwrite=True)
    run(corpus, tmp_path / "out", OPTIONS, finish=True)


@pytest.mark.parametrize(
    "tasks",
    [[0], [5], [0, 1, 2], [1, 2, 3], [10, 20, 30], [3, 10], range(7, 100, 13)],
    ids=lambda tasks: str(list(tasks)),
)
def test_every_even_numbering_covers_all_parts(tasks):
    shares = [share_of_work(None, "slurm", finish=False, environment=numbers(task, tasks)) for task in tasks]
    assert shares == [(index, len(tasks)) for index in range(len(tasks))]


@pytest.mark.parametrize("tasks", [[0, 1, 3], [1, 5, 6], [2, 2, 3, 9]])
def test_uneven_numberings_are_refused(tasks):
    with pytest.raises(MaskgenError, match="expected evenly spaced numbers; submit all of the array"):
        [share_of_work(None, "slurm", finish=False, environment=numbers(task, tasks)) for task in tasks]


def test_what_is_said_by_hand_comes_first():
    assert share_of_work("3/16", "slurm", finish=False, environment=numbers(1, [0, 1])) == (3, 16)
    assert share_of_work(None, "local", finish=False, environment=numbers(1, [0, 1])) is None
    assert share_of_work(None, "slurm", finish=True, environment={}) is None
    with pytest.raises(MaskgenError, match="found --finish beside it"):
        share_of_work("3/16", "local", finish=True, environment={})
    for wrong in ("3", "16/16", "-1/3", "a/b", "0/0", "/"):
        with pytest.raises(MaskgenError, match=r"--shard: found .*, expected I/N"):
            share_of_work(wrong, "local", finish=False, environment={})


def test_outside_of_an_array():
    with pytest.raises(MaskgenError, match=r"found no number in SLURM_ARRAY_TASK_ID, .*--array=0-15"):
        share_of_work(None, "slurm", finish=False, environment={"SLURM_JOB_ID": "1"})


@pytest.mark.slow
def test_under_a_real_controller(tmp_path, corpus):
    logs = tmp_path / "logs"
    logs.mkdir()
    (tmp_path / "slurm").mkdir()
    line = " ".join(command(tmp_path, corpus, "--executor", "slurm"))
    with slurm(tmp_path / "slurm") as controller:

        def submit(name, *arguments, wrap):
            return controller.submit(f"--job-name={name}", f"--output={logs}/%x-%a", *arguments, "--wrap", wrap)

        array = submit("array", "--array=3-9:3", wrap=line)
        submit("finish", f"--dependency=afterok:{array}", wrap=f"{line} --finish")
        controller.wait()
        assert outcome(tmp_path / "out_text_document") == expected(tmp_path, corpus), said(logs)
        assert not (tmp_path / "out.maskgen-work").exists()

        # A task that dies is named by the job that finishes; submitted alone it takes what is missing.
        for path in tmp_path.glob("out_text_document.*"):
            path.unlink()
        array = submit("dying", "--array=3-9:3", wrap=f"[ $SLURM_ARRAY_TASK_ID != 6 ] || kill -9 $$; {line}")
        submit("early", f"--dependency=afterany:{array}", wrap=f"{line} --finish")
        controller.wait()
        assert "submit the array again, or of it the tasks 6: what is done is kept" in said(logs)["early-4294967294"]
        array = submit("again", "--array=6", wrap=line)
        submit("late", f"--dependency=afterok:{array}", wrap=f"{line} --finish")
        controller.wait()
        assert outcome(tmp_path / "out_text_document") == expected(tmp_path, corpus), said(logs)


def said(folder):
    """What the jobs have written."""
    return {path.name: path.read_text() for path in folder.iterdir()}

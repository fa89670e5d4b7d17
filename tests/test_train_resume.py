"""A run that was killed anywhere goes on with the very losses of one that never stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from train_runs import flags, records, tiny, write_corpus

from maskgen.train import loop
from maskgen.train.distributed import World

# `maskgen train`, killed by the kernel in the middle of a step.
KILLED = """
import os, signal, sys
from maskgen import cli
from maskgen.train import loop
one_step = loop.Run.one_step
def killed(self, step, loader):
    if step == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
    return one_step(self, step, loader)
loop.Run.one_step = killed
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def losses(folder):
    return [(record["step"], record["consumed"], record["loss"], record["grad_norm"], record["lr"]) for record in
            records(Path(folder) / "run")]  # fmt: skip


def weights(folder):
    checkpoints = Path(folder) / "run" / "checkpoints"
    return torch.load(checkpoints / max(os.listdir(checkpoints)) / "model.pt", weights_only=True)


class StoppedHereError(Exception):
    """Instead of a power cut."""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"objective": "electra"},
        {"objective": "diffusion", "dropout": 0.1, "micro_batch": 2},
        {"architecture": "modern", "scheme": "roberta", "dropout": 0.1, "micro_batch": 2, "optimizer": "stable-adamw"},
        {"batch_ramp": "2:2:30", "mask_rate": "0.4:0.1", "schedule": "cosine"},
    ],
    ids=["mlm", "electra", "diffusion", "modern", "ramps"],
)
def test_a_run_that_breaks_off_goes_on_as_if_nothing_had_happened(tmp_path, corpus, monkeypatch, changes):
    torch.set_num_threads(1)

    def run(folder, **more):
        with World.start("cpu") as world:
            loop.train(tiny(tmp_path / folder, *corpus, **{"steps": 8, "save_every": 3, **changes, **more}), world)

    run("straight")
    one_step = loop.Run.one_step

    def breaks(self, step, loader):
        if step == 5:
            raise StoppedHereError
        return one_step(self, step, loader)

    monkeypatch.setattr(loop.Run, "one_step", breaks)
    with pytest.raises(StoppedHereError):
        run("broken")
    assert len(losses(tmp_path / "broken")) == 5
    with open(tmp_path / "broken" / "run" / "metrics.jsonl", "a") as file:
        file.write('{"kind": "train", "st')  # as a power cut leaves it
    monkeypatch.undo()
    torch.manual_seed(99)  # nobody depends on the generators of the process
    run("broken")
    assert losses(tmp_path / "broken") == losses(tmp_path / "straight")
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "broken")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert records(tmp_path / "broken" / "run", "validation") == records(tmp_path / "straight" / "run", "validation")


def command(*arguments, killed_at=None):
    script = ["-m", "maskgen.cli"] if killed_at is None else ["-c", KILLED.format(step=killed_at)]
    return subprocess.run(
        [sys.executable, *script, "train", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["mlm", "electra", "diffusion"])
def test_40_steps_are_17_steps_sigkill_and_23_more(tmp_path, corpus, objective):
    for folder in ("straight", "killed"):
        settings = tiny(tmp_path / folder, *corpus, objective=objective, steps=40, save_every=17)
        if folder == "killed":
            finished = command(*flags(settings), killed_at=19)  # two steps after a checkpoint
            assert finished.returncode == -signal.SIGKILL, finished.stderr
            assert losses(tmp_path / folder)[-1][0] == 19
        finished = command(*flags(settings))
        assert finished.returncode == 0, finished.stderr
    assert len(losses(tmp_path / "killed")) == 40
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_sigterm_exits_with_143_and_leaves_a_checkpoint(tmp_path, corpus):
    settings = tiny(tmp_path, *corpus, steps=100_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "maskgen.cli", "train", *flags(settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        metrics = tmp_path / "run" / "metrics.jsonl"
        while not metrics.exists() or not metrics.read_text():
            assert process.poll() is None
        process.terminate()
        _, errors = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 143
    assert "(SIGTERM); run the same command again" in errors
    assert len(os.listdir(tmp_path / "run" / "checkpoints")) == 1

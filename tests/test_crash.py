"""Killed, or out of space, at every single step: nothing partial ever opens, and the next run gives the same bytes."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from helpers import contents, leftovers

STEPS = Path(__file__).parent / "crash_steps.py"


@pytest.mark.parametrize("way", ["kill", "fail"])
@pytest.mark.parametrize(
    "job",
    [
        "write",
        pytest.param("write_with_modes", marks=pytest.mark.slow),
        "merge",
        pytest.param("merge_widening", marks=pytest.mark.slow),
        "write_to_a_store",
    ],
)
def test_stopped_at_every_step(tmp_path, job, way):
    finished = subprocess.run(
        [sys.executable, str(STEPS), job, str(tmp_path / "work"), way],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TMPDIR": str(tmp_path / "work" / "staging")},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) > 40


def test_killed_at_random_moments(tmp_path):
    """From outside, without any fault injection: twelve kills, then one run to the end."""
    code = f"""
        import numpy as np
        from preprocess import IndexedDatasetWriter
        with IndexedDatasetWriter({str(tmp_path / "out")!r}, "uint16") as writer:
            print("started", flush=True)
            for number in range(150):
                tokens = np.arange(20_000, dtype=np.uint16) + number
                writer.add_documents(tokens, np.full(2000, 10), np.full(200, 10))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    rng = random.Random(8)
    for _ in range(12):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.12))
            process.send_signal(signal.SIGKILL)
        if os.path.exists(tmp_path / "out.idx"):
            break
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    first = contents(tmp_path / "out")
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert contents(tmp_path / "out") == first
    assert leftovers(tmp_path) == []

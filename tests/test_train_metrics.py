"""metrics.jsonl after anything that can happen to it, and the figures of the clock."""

import json
import os

import pytest
import torch
from train_runs import records

from maskgen.train import metrics
from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from maskgen.train.metrics import Clock, MetricsLog

FIRST = {"kind": "train", "step": 1}


@pytest.mark.parametrize(
    "end",
    [
        b'{"kind": "train", "st',
        b'{"kind": "train", "step": 2}',  # all of it but the end of the line
        b"\0\0\0\0\n",
        b'\xff\xfe{"step": 1}\n',
        b'{"kind": "train", "step": 3}\n',
        b'{"step": 1e999}\n',
        b'[1]\n"step"\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_what_a_killed_run_left_beyond_the_step_or_half_written_goes(tmp_path, end):
    line = json.dumps(FIRST).encode() + b"\n"
    (tmp_path / "metrics.jsonl").write_bytes(line + end)
    log = MetricsLog(str(tmp_path), step=2, tensorboard=False)
    log.write({"kind": "train", "step": 3, "loss": 1.0})
    log.close()
    assert records(tmp_path) == [FIRST, {"kind": "train", "step": 3, "loss": 1.0}]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_full_disk_is_one_line_with_the_file(tmp_path):
    log = MetricsLog(str(tmp_path), step=0, tensorboard=False)
    log._file.close()
    log._file = open("/dev/full", "a", encoding="utf-8")  # noqa: SIM115 - closed by close
    with pytest.raises(TrainError, match=r"metrics\.jsonl: write a record: found No space left") as caught:
        log.write(FIRST)
    assert "\n" not in str(caught.value)
    log.close()


class OfTwo(World):
    """A rank whose twin did as much and waited for 6 seconds."""

    def sum(self, values):
        twin = {**values, "waited": torch.tensor([0.0, 6.0])}
        return {name: value + twin[name] for name, value in values.items()}


def test_figures_are_of_all_ranks_and_leave_out_pauses(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: now[0])
    clock = Clock()
    for _ in range(2):
        with clock.waiting():
            now[0] += 1
        now[0] += 4
        clock.count({"lengths": torch.tensor([30, 10]), "text": torch.zeros(2, 32)}, 500.0)
    with clock.paused():
        now[0] += 90
    assert clock.interval(OfTwo(size=2)) == {
        "tokens_per_second": 16.0,
        "seconds_per_step": 5.0,
        "data_wait": 0.6,  # of the rank that waited longest: the other one waits for it, too
        "packing_efficiency": 0.625,
        "flops_per_second": 100.0,
    }
    now[0] += 1
    assert clock.interval(OfTwo(size=2))["tokens_per_second"] == 0.0

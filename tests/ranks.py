"""Functions run by several processes at once, as torchrun would run them.

The processes are forked from a server that has imported PyTorch already, so that one costs a fraction of a second.
"""

import contextlib
import faulthandler
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

# An optimizer imports torch._dynamo when it first steps, which takes a second or two.
PRELOADED = ["torch", "torch._dynamo", "torch.distributed.fsdp", "maskgen.train.checkpoints"]


@dataclass
class Rank:
    """What became of one process."""

    code: int | None
    output: str
    result: Any


class Started:
    """Processes that run ``function(*args)`` with the environment of torchrun, their files in `folder`."""

    def __init__(self, folder, size, function, *args):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.files = [os.path.join(folder, f"rank-{time.monotonic_ns()}-{rank}") for rank in range(size)]
        self.processes = [
            context.Process(target=_run, args=(rank, size, self.files[rank], function, args)) for rank in range(size)
        ]
        for process in self.processes:
            process.start()

    def output(self, rank):
        try:
            with open(f"{self.files[rank]}.txt", encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait(self, timeout=90):
        """The ranks at their end; those that are alive after `timeout` are killed and have the code None."""
        deadline = time.monotonic() + timeout
        codes = []
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
            codes.append(process.exitcode)
        for process in self.processes:
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGABRT)  # with a traceback, thanks to faulthandler
                process.join(5)
                process.kill()
                process.join()
        return [Rank(code, self.output(rank), self._result(rank)) for rank, code in enumerate(codes)]

    def _result(self, rank):
        with contextlib.suppress(FileNotFoundError), open(f"{self.files[rank]}.pickle", "rb") as file:
            return pickle.load(file)


def run_ranks(folder, size, function, *args, timeout=90):
    """The results of all ranks, which all have to end well."""
    ranks = Started(folder, size, function, *args).wait(timeout)
    assert [rank.code for rank in ranks] == [0] * size, "\n".join(rank.output for rank in ranks)
    return [rank.result for rank in ranks]


def _run(rank, size, path, function, args):
    output = os.open(f"{path}.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    faulthandler.enable(sys.stderr)
    warnings.simplefilter("error")
    signal.alarm(120)  # also where whoever waits for this process is gone
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank), GLOO_SOCKET_IFNAME="lo")

    import torch

    torch.set_num_threads(1)
    try:
        result = function(*args)
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        print(f"ENDED WITH {type(error).__name__}: {error}", flush=True)
        sys.stdout.flush()
        os._exit(3)  # as an uncaught exception would, without waiting for anything
    with open(f"{path}.pickle", "wb") as file:
        pickle.dump(result, file)
    sys.stdout.flush()
    os._exit(0)  # see end_process in maskgen/train/distributed.py

"""Training on several ranks, for the tests: processes that do a list of runs and leave what they saw.

jobs.json --start_ranks: one process a rank--> FOLDER/NAME.RANK.pt: losses, norms, gradients, rows of each step
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def start_ranks(command, ranks, **environment):
    """The processes of a command, as torchrun starts them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return [
        subprocess.Popen(
            command,
            env={**os.environ, **shared, "PYTHONPATH": path, "RANK": str(rank), "LOCAL_RANK": str(rank), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]


def finish(processes, timeout=150):
    """(exit code, output, errors) of each; nobody is left behind."""
    try:
        return [(*process.communicate(timeout=timeout), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_jobs(folder, jobs, ranks):
    """Do these runs (name -> settings) on so many ranks; what each rank saw, by name."""
    import torch

    folder = Path(folder)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    for out, errors, code in finish(start_ranks([sys.executable, str(TESTS / "rank_runs.py"), str(folder)], ranks)):
        assert code == 0, out + errors
    return {
        name: [torch.load(folder / f"{name}.{rank}.pt", weights_only=True) for rank in range(ranks)] for name in jobs
    }


class Watch:
    """Looks over the shoulder of runs: gradients of their first step, and the rows of every one."""

    def __init__(self, patch):
        from maskgen.train import loop
        from maskgen.train.distributed import World

        self.clear()
        clip, micro_batches = World.clip_gradients, loop.micro_batches

        def clip_gradients(world, parameters, largest):
            if not self.seen["gradients"]:
                whole = [
                    each.grad.full_tensor() if hasattr(each.grad, "full_tensor") else each.grad for each in parameters
                ]
                self.seen["gradients"] = [gradient.clone() for gradient in whole]
            norm = clip(world, parameters, largest)
            self.seen["norms"].append(float(norm))
            return norm

        def watched(batch, rows, device):
            self.seen["rows"].append(batch["text"].clone())
            self.seen["masked"].append(len(batch["masked_labels"]))
            return micro_batches(batch, rows, device)

        patch(World, "clip_gradients", clip_gradients)
        patch(loop, "micro_batches", watched)

    def clear(self):
        """Forget."""
        self.seen = {"gradients": [], "norms": [], "rows": [], "masked": []}


def main(folder):
    """One rank: every run of jobs.json."""
    import torch

    from maskgen.train.distributed import World
    from maskgen.train.loop import train
    from maskgen.train.settings import TrainSettings

    torch.set_num_threads(1)
    watch = Watch(setattr)
    jobs = json.loads((Path(folder) / "jobs.json").read_text())
    with World.start("cpu") as world:
        for name, settings in jobs.items():
            watch.clear()
            settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
            outcome = train(TrainSettings(**settings).resolved(), world)
            torch.save({**watch.seen, "step": outcome.step}, Path(folder) / f"{name}.{world.rank}.pt")


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)  # see end_process in maskgen/train/distributed.py

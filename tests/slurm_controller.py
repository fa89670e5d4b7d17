"""A Slurm of one node on this machine, in a folder: munged, slurmctld and slurmd, ended with the test."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/local/bin"])
SETTINGS = """\
ClusterName=maskgen
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CryptoType=crypto/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def program(name):
    """The path of one of Slurm's programs; a failure that says what to install when there is none."""
    path = shutil.which(name, path=PLACES)
    assert path is not None, f"no {name} here: this test needs Slurm and munge (on Debian: apt-get install slurm-wlm)"
    return path


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Slurm:
    """What a test says to it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def ask(self, name, *arguments):
        finished = subprocess.run(
            [program(name), *arguments],
            capture_output=True, text=True, timeout=30, env=self.environment, check=False, cwd=self.folder,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def submit(self, *arguments):
        """The number of a job that runs what follows --wrap."""
        return self.ask("sbatch", "--parsable", *arguments).strip()

    def wait(self, seconds=120):
        """Until the queue is empty."""
        deadline = time.monotonic() + seconds
        while queue := self.ask("squeue", "--noheader", "--format=%i %T %r"):
            assert time.monotonic() < deadline, queue
            time.sleep(0.3)


@contextmanager
def slurm(folder):
    """Start it, wait until its node is idle, and end it."""
    folder = Path(folder)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    settings = SETTINGS.format(host=host, ports=free_ports(2), folder=folder, user=getpass.getuser())
    (folder / "slurm.conf").write_text(settings)
    files = [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
    commands = [
        [program("munged"), "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.sock", *files],
        [program("slurmctld"), "-D", "-f", f"{folder}/slurm.conf"],
        [program("slurmd"), "-D", "-f", f"{folder}/slurm.conf"],
    ]
    running = []
    found = Slurm(folder)
    with (folder / "log").open("wb") as log:
        try:
            for command in commands:
                running.append(subprocess.Popen(command, stdout=log, stderr=log, env=found.environment))
                time.sleep(1)
            deadline = time.monotonic() + 30
            while "idle" not in found.ask("sinfo", "--noheader", "--format=%T"):
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.3)
            yield found
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(timeout=30)

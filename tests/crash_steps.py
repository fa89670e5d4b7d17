"""Runs one job again and again, dying or failing at its first, second, third ... system call that changes the disk.

    python crash_steps.py JOB FOLDER kill|fail

After each death or failure: no partial dataset may open, and the same job run again must give the same bytes and leave
no temporary file. Prints the number of steps that were tried; test_crash.py starts it. A process of its own, since a
test runner with threads must not fork.
"""

import errno
import os
import shutil
import signal
import sys
from pathlib import Path

import fsspec.implementations.local
from helpers import contents, leftovers, write_dataset

from preprocess import IndexedDataset, IndexedDatasetError, merge_datasets
from preprocess.indexed import partial, writer

DOCUMENTS = [[[1, 2, 3], [4]], [], [[5, 6], [], [7, 8, 9, 10]]] * 3
OLDER = [[[99]]]


def write(folder):
    """Write a dataset."""
    write_dataset(f"{folder}/out", DOCUMENTS)


def write_with_modes(folder):
    """Write a multimodal dataset."""
    write_dataset(f"{folder}/out", DOCUMENTS, modes=[[1] * len(document) for document in DOCUMENTS])


def merge(folder):
    """Merge three datasets."""
    merge_datasets([f"{folder}/in{i}" for i in range(3)], f"{folder}/out")


def merge_widening(folder):
    """Merge datasets of two types."""
    merge_datasets([f"{folder}/in0", f"{folder}/wide"], f"{folder}/out", widen=True)


def write_to_a_store(folder):
    """Write a dataset to an object store (a local folder that is used as one)."""
    os.environ["TMPDIR"] = f"{folder}/staging"
    write_dataset(f"file://{folder}/out", DOCUMENTS)


JOBS = {job.__name__: job for job in (write, write_with_modes, merge, merge_widening, write_to_a_store)}
# What changes the disk. An object store's put is one step: it happens or it does not.
SYSTEM_CALLS = ("write", "fsync", "replace", "unlink", "copy_file_range", "sendfile", "rmdir", "makedirs")


def arm(step, way, to_store):
    """Replace every call in SYSTEM_CALLS by one that counts, and stops the process or fails at `step`."""
    count = 0

    def armed(name, original):
        def call(*arguments, **options):
            nonlocal count
            count += 1
            if count == step:
                if name == "write":  # half of it arrives
                    original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                if way == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*arguments, **options)

        return call

    for name in SYSTEM_CALLS:
        if hasattr(os, name):
            setattr(os, name, armed(name, getattr(os, name)))
    if to_store:
        store = fsspec.implementations.local.LocalFileSystem
        store.put_file = armed("put", lambda self, source, target: Path(target).write_bytes(Path(source).read_bytes()))
        store.rm = armed("rm", lambda self, path: os.remove(path))
    return lambda: count


def attempt(job, folder, step, way):
    """Run `job` in a child that stops at `step`; True when it came to its end before that."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            arm(step, way, job is write_to_a_store)
            job(folder)
            code = 0
        except IndexedDatasetError as error:
            code = 4 if "make room there" in str(error) else 5
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL or way != "kill":
            sys.exit(f"step {step}: ended by signal {os.WTERMSIG(status)}")
        return False
    code = os.WEXITSTATUS(status)
    if code == 0:
        return True
    if way == "kill" or code != 4:
        sys.exit(f"step {step}: exit code {code}")
    return False


def must_not_be_partial(folder, step, allowed):
    """Only complete datasets, the older one or the new one, may open."""
    try:
        sequences = [sequence.tolist() for sequence in IndexedDataset(f"{folder}/out")]
    except IndexedDatasetError:
        if os.path.exists(f"{folder}/out.idx"):
            sys.exit(f"step {step}: an index without its dataset")
        return
    if (contents(f"{folder}/out")) not in allowed:
        sys.exit(f"step {step}: a partial dataset opens: {sequences}")


def prepare(folder, with_older):
    """An empty folder with the inputs, and with an older dataset in the way."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/staging")
    for number in range(3):
        write_dataset(f"{folder}/in{number}", [*DOCUMENTS, [[number]]])
    write_dataset(f"{folder}/wide", [[[1 << 20]]], "int32")
    os.unlink(f"{folder}/in1.json")  # one input without a sidecar
    if with_older:
        write_dataset(f"{folder}/out", OLDER)


def main():
    """Try every step, with and without an older dataset in the way."""
    name, folder, way = sys.argv[1:]
    job = JOBS[name]
    # Small buffers make many writes of a small dataset.
    writer.BUFFER, writer.CHUNK, partial.COPY_CHUNK = 16, 4, 16
    tried = 0
    for with_older in (False, True):
        prepare(folder, with_older)
        older = [contents(f"{folder}/out")] if with_older else []
        job(folder)
        expected = contents(f"{folder}/out")
        step, finished = 0, False
        while not finished:
            step += 1
            prepare(folder, with_older)
            finished = attempt(job, folder, step, way)
            must_not_be_partial(folder, step, [*older, expected])
            if way == "fail" and leftovers(folder):
                sys.exit(f"step {step}: a failed job leaves {leftovers(folder)}")
            job(folder)
            if contents(f"{folder}/out") != expected:
                sys.exit(f"step {step}: the second run gives other bytes")
            if leftovers(folder) or leftovers(f"{folder}/staging"):
                sys.exit(f"step {step}: leftovers {leftovers(folder)} {leftovers(f'{folder}/staging')}")
        tried += step - 1
    print(tried)


if __name__ == "__main__":
    main()

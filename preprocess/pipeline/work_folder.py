"""The folder beside the output where unfinished work lies: the plan, and the files of each finished shard.

    PREFIX.maskgen-work/plan.json
                       /00007.0.bin.3f9c...  .lengths .counts   of the first key: tokens; length of each sequence;
                                                                sequences of each document
                       /00007.lines.3f9c...  .quarantine        where they are asked for
                       /00007.receipt.json                      last, by a rename: a shard with a receipt is complete
                       /assembled.0.bin                         the tokens of the first shards, whose own .bin are gone
                       /inputs                                  local copies of what URLs name (staging.py)

A receipt names the files that belong to it. Their names end in random digits, so that two processes that run the same
shard (a worker whose parent was killed, and its successor) do not meet; whose receipt comes last does not matter, since
the bytes are the same. (Renaming every file took 2 % of a run.)
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import FileIO

from preprocess.errors import MaskgenError, os_failure
from preprocess.pipeline.plan import Plan, differences
from preprocess.stores import is_url

SPOOL = "stdin"  # the name under which standard input is kept
INPUTS = "inputs"  # the folder of local copies of what URLs name
PATIENCE = 10.0  # seconds to wait for the processes of a run that was killed a moment ago


class ResumeError(MaskgenError):
    """Unfinished or finished work under the same output that this command does not continue."""


class BusyError(ResumeError):
    """Another run is at work on the same output."""


class WorkFolder:
    """The folder of one output prefix."""

    def __init__(self, path: str) -> None:
        self.path = path

    @staticmethod
    def of(output_prefix: str, chosen: str | None) -> "WorkFolder":
        """The folder that belongs to an output, or the one the user chose."""
        if chosen is None and is_url(output_prefix):
            raise MaskgenError(
                f"{output_prefix}: found an object store, expected a folder for its work; name one with --work-dir"
            )
        return WorkFolder(os.path.abspath(chosen or f"{output_prefix}.maskgen-work"))

    def create(self) -> None:
        """Make it, and the folders above."""
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise os_failure(self.path, "create the folder", error, "choose another output prefix") from None

    @property
    def plan_path(self) -> str:
        """Where the plan is."""
        return os.path.join(self.path, "plan.json")

    @property
    def inputs(self) -> str:
        """The folder for local copies of inputs."""
        return self.file(INPUTS)

    def receipt_path(self, number: int) -> str:
        """A shard's receipt."""
        return self.file(f"{number:05d}.receipt.json")

    def file(self, name: str) -> str:
        """The path of a file here."""
        return os.path.join(self.path, name)

    def load_plan(self) -> Plan | None:
        """The plan of unfinished work, or None."""
        try:
            with open(self.plan_path, "rb") as file:
                return Plan.from_json(file.read())
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ResumeError(
                f"{self.plan_path}: found no plan of this version ({error!r}), expected one; add --overwrite"
            ) from None

    def load_plan_or_none(self) -> Plan | None:
        """The plan, if there is one that can be read."""
        try:
            return self.load_plan()
        except ResumeError:
            return None

    def adopt_plan(self, plan: Plan) -> Plan:
        """Save a new plan; or go on with the one here, with its shards, if it is from the same.

        Of one by which nothing was finished (a key was misspelt, say) nothing is lost.
        """
        known = self.load_plan()
        if known is not None and self.finished(known):
            refuse_differences(self.path, "unfinished work", known.identity, plan.identity)
            plan = replace(plan, shards=known.shards)
        write_file(self.plan_path, plan.to_json())
        return plan

    def finished(self, plan: Plan) -> set[int]:
        """The shards that have a receipt."""
        names = set(os.listdir(self.path))
        return {number for number in range(len(plan.shards)) if f"{number:05d}.receipt.json" in names}

    def remove(self) -> None:
        """Take it away with all that is in it."""
        with suppress(FileNotFoundError):
            for _ in range(3):  # a worker that was left alone may still be writing a file
                shutil.rmtree(self.path, ignore_errors=True)
                if not os.path.exists(self.path):
                    return
                time.sleep(0.2)

    def clear(self) -> None:
        """Take away all unfinished work, but neither the lock nor copies of inputs."""
        for name in set(os.listdir(self.path)) - {"lock", SPOOL, INPUTS}:
            path = os.path.join(self.path, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def remove_inputs(self) -> None:
        """Take away the copies of inputs, when nothing needs them any more."""
        shutil.rmtree(self.inputs, ignore_errors=True)

    def remove_if_empty(self) -> None:
        """Take the folder away when there is no work in it, so that a refused command leaves nothing."""
        with suppress(OSError):
            if set(os.listdir(self.path)) <= {"lock", "plan.json", SPOOL}:
                with FileIO(self.file("lock"), "a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # else another run is about to begin
                    if set(os.listdir(self.path)) <= {"lock", "plan.json", SPOOL}:
                        self.remove()
            os.rmdir(self.path)

    def remove_strays(self, known: set[str]) -> None:
        """Take away what killed processes left: shards' files that no receipt names."""
        for name in os.listdir(self.path):
            stray = name[:5].isdecimal() and not name.endswith(".receipt.json") and name not in known
            if stray or name.endswith(".partial"):
                with suppress(FileNotFoundError):
                    os.unlink(self.file(name))

    @contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Keep others out: everyone, or (shared) only those who want to be alone."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with self._open_lock() as file:
                try:
                    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                    here = os.path.exists(file.name) and os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
                except BlockingIOError:
                    here = False
                except OSError:
                    here = True  # a file system without locks: one run at a time is then the user's promise
                if here:
                    yield
                    return
            # Held by another, or its last holder has taken the folder away.
            if time.monotonic() > deadline:
                raise BusyError(f"{self.path}: found another run at work there, expected none; wait for it or end it")
            time.sleep(0.1)

    def _open_lock(self) -> FileIO:
        path = self.file("lock")
        while True:
            self.create()
            try:
                return FileIO(path, "a")
            except FileNotFoundError:  # another process has just taken the folder away
                time.sleep(0.01)
            except OSError as error:
                raise os_failure(path, "create it", error, "check the folder") from None


def refuse_differences(path: str, what: str, old: dict[str, object], new: dict[str, object]) -> None:
    """Raise when `old`, found at `path`, was made from something else than `new`, with every difference by name."""
    found = differences(old, new)
    if found:
        shown = "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
        raise ResumeError(
            f"{path}: found {what} that was made otherwise ({shown}), expected the same; put that back to continue, "
            "or start again with --overwrite"
        )


def write_file(path: str, content: bytes) -> None:
    """Write a whole file under a name of this process, and give it its own."""
    write_chunks(path, [content])


def write_chunks(path: str, chunks: Iterable[bytes]) -> None:
    """Do so with one that is too large for memory."""
    own = f"{path}.{os.urandom(6).hex()}.partial"
    try:
        with open(own, "wb") as file:
            file.writelines(chunks)
        os.replace(own, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(own)
        raise os_failure(path, "write it", error, "check the folder") from None


def dump(facts: object) -> bytes:
    """JSON as all files here have it."""
    return json.dumps(facts, separators=(",", ":")).encode("ascii")

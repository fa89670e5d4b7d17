"""One rank's failure becomes everybody's, with its reason: nobody waits for ever for a rank that is gone.

failing rank --reason--> store --a thread on each rank, twice a second--> its collective fails with it, or it is ended

Collectives of gloo fail by themselves when the process of a peer ends, those of NCCL only after their time limit. The
thread is for them, and for ranks that compute: a rank that has not left by itself some seconds after the reason came
is ended.
"""

import contextlib
import json
import os
import sys
import threading
import time
from typing import Any

from preprocess.errors import MaskgenError

POLL_SECONDS = 0.5
GRACE_SECONDS = 10.0
TOLD_SECONDS = 3.0
SPEAKING_SECONDS = 1.0  # for the rank that speaks for others: torchrun ends all when the first one has ended
REASON, SEEN = "failed", "seen"


class JointEnd:
    """What one rank tells the others when it fails, and hears of them, through a torch.distributed store."""

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._store = store
        self._failure: dict[str, Any] | None = None
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="maskgen ranks", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Stop listening: what happens to the others no longer ends this rank."""
        self._left.set()
        self._thread.join()

    def tell(self, error: BaseException) -> bool:
        """Say why this rank ends, unless another one was first; returns when the others know, or some seconds later.

        True where another rank ends for the very same reason and has said so: settings, say, that none of them can use.
        """
        text = str(error) if isinstance(error, MaskgenError) else f"{type(error).__name__}: {error}"
        reason = {"rank": self.rank, "reason": " ".join(text.split())[:500]}
        with contextlib.suppress(Exception):  # the store may be gone with its rank; there is nobody left to tell then
            first = json.loads(self._store.compare_set(REASON, "", json.dumps(reason)))
            self._wait_until_seen()
            if first["rank"] != self.rank and first["reason"] == reason["reason"]:
                time.sleep(SPEAKING_SECONDS)
                return True
        return False

    def heard(self, seconds: float = TOLD_SECONDS) -> str | None:
        """Which other rank failed, and why; waits so long for the news, which may come after the broken connection."""
        deadline = time.monotonic() + seconds
        while self._failure is None and time.monotonic() < deadline and self._thread.is_alive():
            time.sleep(0.02)
        if self._failure is None or self._failure["rank"] == self.rank:
            return None
        with contextlib.suppress(Exception):
            self._wait_until_seen()  # this rank may be the host of the store
        return self._line()

    def _line(self) -> str:
        failure = self._failure or {}
        who = "the store of the ranks" if failure.get("rank") is None else f"rank {failure['rank']}"
        return f"rank {self.rank} ends because {who} failed: {failure.get('reason')}"

    def _wait_until_seen(self) -> None:
        deadline = time.monotonic() + TOLD_SECONDS
        while self._store.add(SEEN, 0) < self.size and time.monotonic() < deadline:
            time.sleep(0.02)

    def _watch(self) -> None:
        while not self._left.wait(POLL_SECONDS):
            try:
                if self._store.check([REASON]):
                    self._failure = json.loads(self._store.get(REASON))
                    self._store.add(SEEN, 1)
            except Exception as error:
                if self._failure is None:
                    self._failure = {"rank": None, "reason": " ".join(str(error).split())[:500]}
            if self._failure is not None:
                break
        if self._failure is None or self._failure["rank"] == self.rank or self._left.wait(GRACE_SECONDS):
            return
        sys.stderr.write(f"{self._line()}\n")
        sys.stderr.flush()
        os._exit(1)  # the main thread is inside a collective or a kernel that nothing else ends

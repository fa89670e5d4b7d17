"""A progress bar over many shards that run at once: bytes of input with rate and time left, documents, tokens."""

from tqdm import tqdm

from preprocess.pipeline.shard import Progress


class ProgressBar:
    """Shown on a terminal only, and only when a run takes long enough to be looked at."""

    def __init__(self, total: int, done: int, *, quiet: bool) -> None:
        self._bar = tqdm(
            total=total,
            initial=done,
            unit="B",
            unit_scale=True,
            desc="tokenize",
            disable=True if quiet else None,
            delay=1.0,
            mininterval=0.2,
        )
        self._running: dict[int, Progress] = {}
        self._documents = self._tokens = 0
        self._done = done

    def update(self, progress: Progress) -> None:
        """A running shard has come so far."""
        self._running[progress.number] = progress
        self._show()

    def finish(self, number: int, size: int, documents: int, tokens: int) -> None:
        """A shard is done."""
        self._running.pop(number, None)
        self._done += size
        self._documents += documents
        self._tokens += tokens
        self._show()

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._bar.close()

    def _show(self) -> None:
        if self._bar.disable:
            return
        running = self._running.values()
        documents = self._documents + sum(progress.documents for progress in running)
        tokens = self._tokens + sum(progress.tokens for progress in running)
        self._bar.set_postfix_str(f"{documents:,} documents, {tokens / 1e6:,.1f} M tokens", refresh=False)
        self._bar.update(min(self._bar.total, self._done + sum(progress.bytes for progress in running)) - self._bar.n)

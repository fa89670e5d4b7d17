"""The texts of a corpus, for the other scripts here."""

import io
import json
from collections.abc import Iterator


def corpus_texts(path: str, key: str) -> Iterator[str]:
    """Yield the texts of a JSON-lines file, which may be compressed with zstd."""
    if path.endswith(".zst"):
        import zstandard

        with open(path, "rb") as raw:
            stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
            yield from (json.loads(line)[key] for line in stream)
    else:
        with open(path, encoding="utf-8") as file:
            yield from (json.loads(line)[key] for line in file)


def read_texts(path: str, key: str, megabytes: float) -> list[str]:
    """Return texts from the head of the corpus, about so many megabytes of UTF-8."""
    texts: list[str] = []
    left = megabytes * 1e6
    for text in corpus_texts(path, key):
        texts.append(text)
        left -= len(text.encode())
        if left <= 0:
            break
    return texts

"""Texts to train a tokenizer on: JSON lines or plain text, plain or gzipped, read as a stream."""

import gzip
import json
from collections.abc import Iterable, Iterator

from preprocess.errors import MaskgenError


def read_texts(paths: Iterable[str], key: str) -> Iterator[str]:
    """The texts of all files, one after the other."""
    for path in paths:
        is_json = path.removesuffix(".gz").endswith((".jsonl", ".json"))
        try:
            with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    try:
                        text = json.loads(line)[key] if is_json else line.decode().rstrip("\r\n")
                    except (ValueError, KeyError, TypeError) as error:
                        raise MaskgenError(
                            f"{path}, line {number}: found {line[:60]!r} ({error!r}), expected "
                            + (f"a JSON object with the key {key!r}" if is_json else "UTF-8 text")
                            + "; repair the line, or name the key with --json-key"
                        ) from error
                    if not isinstance(text, str):
                        raise MaskgenError(
                            f"{path}, line {number}: found a {type(text).__name__} under {key!r}, expected text; "
                            "repair the line"
                        )
                    yield text.encode("utf-8", "replace").decode()  # half a surrogate pair counts as "?"
        except OSError as error:
            raise MaskgenError(f"{path}: found {error.strerror or error}, expected a readable file") from error

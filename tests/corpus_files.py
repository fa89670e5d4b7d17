"""Corpus files as the readers' tests need them."""

import os

from preprocess.corpora.corpus_file import CorpusFile

MAX = 1 << 20


def write(path, content, *, kind="text", compression=None):
    """Write bytes and describe the file, without any of what find_inputs does."""
    path.write_bytes(content)
    return describe(path, kind=kind, compression=compression)


def describe(path, *, kind="text", compression=None):
    state = os.stat(path)
    return CorpusFile(path.name, str(path), state.st_size, state.st_mtime_ns, kind, compression)

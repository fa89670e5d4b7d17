"""Datasets in object stores, read from local copies: readers map files, and a URL cannot be mapped.

URL --staging.py--> MASKGEN_CACHE/<digest of the URL>/corpus.bin, .json, .idx --> a prefix like any other

A copy is used as long as the store has the same files, and nothing is ever removed from the folder: that is its
user's to do.
"""

import os

from preprocess.errors import IndexedDatasetError
from preprocess.staging import Staging
from preprocess.stores import RemoteFile, Store

CACHE = "MASKGEN_CACHE"  # the environment variable that names the folder
KINDS = ("idx", "bin", "json")


def copies_folder() -> str:
    """Where local copies are kept."""
    default = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "maskgen")
    return os.environ.get(CACHE) or default


def local_copy(url: str) -> str:
    """The prefix of a local copy of the dataset at `url`, made now or earlier."""
    store = Store(url)
    files = _files(store, url)
    staged = Staging(copies_folder(), quiet=False).fetch([(store, file) for file in files], together=url)
    if _files(store, url) != files:  # or two states of it could be together
        found, remedy = "another dataset than a moment ago", "another process has just replaced it: open it again"
        raise IndexedDatasetError(f"{url}.idx", "copy it", found, "an unchanged one", remedy)
    return os.path.splitext(staged[0].path)[0]


def _files(store: Store, url: str) -> list[RemoteFile]:
    files = []
    for kind in KINDS:
        if store.exists(f".{kind}"):
            file = store.look(f"{store.path}.{kind}")
            if file is not None:
                files.append(file)
        elif kind != "json":
            remedy = "check the URL; a dataset is named by its prefix, without .bin or .idx"
            raise IndexedDatasetError(f"{url}.{kind}", "open it", "nothing of that name", "a dataset", remedy)
    return files

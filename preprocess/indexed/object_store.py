"""Datasets that go to an object store: written to a local staging folder, then sent, the index last and as one PUT.

A store shows an object when all of it has arrived, so the order of the PUTs gives the same promise as the order of
renames on a disk: an index that exists belongs to a complete dataset.
"""

import glob
import hashlib
import os
import tempfile

from preprocess.errors import IndexedDatasetError
from preprocess.indexed.sidecar import Sidecar, begins_as_sidecar, parse_sidecar, read_sidecar
from preprocess.stores import Store, is_url

PUBLISHED = ("bin", "json", "idx")  # the files of a dataset, in the order in which they get their final names


class ObjectStore:
    """The place that a prefix such as ``s3://bucket/corpus`` names; opened before any work is done."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store = Store(url)

    def staging_prefix(self, folder: str | None = None) -> str:
        """Name the local prefix: the same for the same URL, so that the next run clears what a killed one left."""
        name = hashlib.sha256(self.url.encode()).hexdigest()[:24]
        return os.path.join(folder or tempfile.gettempdir(), f"maskgen-staging-{name}", os.path.basename(self.url))

    def has_dataset(self) -> bool:
        """Whether there is an index under this URL."""
        return self._store.exists(".idx")

    def size(self, ending: str) -> int | None:
        """The size of one of its files; None where there is none."""
        file = self._store.look(self._store.path + ending) if self._store.exists(ending) else None
        return None if file is None else file.bytes

    def sidecar(self) -> Sidecar | None:
        """The sidecar, where there is one; another kind of file is none."""
        content = self._store.read(".json") if self._store.exists(".json") else b""
        return parse_sidecar(f"{self.url}.json", content) if begins_as_sidecar(content) else None

    def has_foreign_json(self) -> bool:
        """Whether there is a file under the sidecar's name that is none."""
        return self._store.exists(".json") and not begins_as_sidecar(self._store.read(".json", end=100))

    def upload(self, staged: str) -> None:
        """Send the finished local dataset `staged`."""
        try:
            if self.has_dataset():
                self._store.remove(".idx")
            for kind in PUBLISHED:
                self._store.upload(f"{staged}.{kind}", f".{kind}")
        except IndexedDatasetError as error:
            error.remedy = (
                f"{error.remedy}; the complete dataset lies at {staged}: copy it there, .idx last, or run the same "
                "command again"
            )
            raise


def dataset_exists(prefix: str) -> bool:
    """Whether a finished dataset lies under a local prefix or a URL."""
    return ObjectStore(prefix).has_dataset() if is_url(prefix) else os.path.lexists(f"{prefix}.idx")


def dataset_sidecar(prefix: str) -> Sidecar | None:
    """The sidecar of a dataset under a local prefix or a URL."""
    return ObjectStore(prefix).sidecar() if is_url(prefix) else read_sidecar(prefix)


def file_size(name: str) -> int | None:
    """The size of a local file or of that behind a URL; None where there is none."""
    if is_url(name):
        return ObjectStore(name).size("")
    return os.path.getsize(name) if os.path.exists(name) else None


def names_like(start: str, pattern: str) -> list[str]:
    """The names, local or URLs, that begin with `start` and go on as `pattern` says."""
    if not is_url(start):
        return glob.glob(f"{glob.escape(start)}{pattern}")
    store = Store(f"{glob.escape(start)}{pattern}")
    return [file.url for file in store.files()]


def remove_file(name: str) -> None:
    """Take a local file or one behind a URL away, if it is there."""
    if is_url(name):
        store = Store(name)
        if store.exists():
            store.remove()
    elif os.path.lexists(name):
        os.unlink(name)

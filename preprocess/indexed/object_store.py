"""Datasets that go to an object store: written to a local staging folder, then sent, the index last and as one PUT.

A store shows an object when all of it has arrived, so the order of the PUTs gives the same promise as the order of
renames on a disk: an index that exists belongs to a complete dataset.
"""

import hashlib
import os
import tempfile
from typing import Any

from preprocess.errors import IndexedDatasetError

PUBLISHED = ("bin", "json", "idx")  # the files of a dataset, in the order in which they get their final names


def is_url(prefix: str) -> bool:
    """Whether a prefix names an object store and not a local file."""
    return "://" in prefix


class ObjectStore:
    """The store that a URL such as ``s3://bucket/corpus`` names; asked for before any work is done."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            import fsspec

            self._filesystem, self._path = fsspec.core.url_to_fs(url)
        except Exception as error:  # a missing package, an unknown protocol, missing credentials: each has its own type
            remedy = (
                'pip install "maskgen[cloud]" and the package for this kind of store; check the URL and credentials'
            )
            raise self._failure("open the store", error, remedy) from error

    def staging_prefix(self) -> str:
        """Name the local prefix: the same for the same URL, so that the next run clears what a killed one left."""
        name = hashlib.sha256(self.url.encode()).hexdigest()[:24]
        return os.path.join(tempfile.gettempdir(), f"maskgen-staging-{name}", os.path.basename(self.url))

    def has_dataset(self) -> bool:
        """Whether there is an index under this URL."""
        try:
            return bool(self._filesystem.exists(f"{self._path}.idx"))
        except Exception as error:
            raise self._failure("look for a dataset there", error, "check the URL and credentials") from error

    def upload(self, staged: str) -> None:
        """Send the finished local dataset `staged`."""
        try:
            if self.has_dataset():
                self._filesystem.rm(f"{self._path}.idx")
            for kind in PUBLISHED:
                self._filesystem.put_file(f"{staged}.{kind}", f"{self._path}.{kind}")
        except IndexedDatasetError:
            raise
        except Exception as error:
            remedy = f"the complete dataset lies at {staged}: copy it there, .idx last, or run the same command again"
            raise self._failure("send the dataset", error, remedy) from error

    def _failure(self, attempt: str, error: Exception, remedy: str) -> IndexedDatasetError:
        reason: Any = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        return IndexedDatasetError(self.url, attempt, str(reason), "success", remedy)


def dataset_exists(prefix: str) -> bool:
    """Whether a finished dataset lies under a local prefix or a URL."""
    return ObjectStore(prefix).has_dataset() if is_url(prefix) else os.path.lexists(f"{prefix}.idx")

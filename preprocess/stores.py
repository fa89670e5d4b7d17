"""Files behind URLs: everything that is asked of fsspec, in one place, with errors that explain themselves.

URL --open--> Store --list--> RemoteFile: path, size, version --download, upload--> local files, whole or not there

fsspec is imported when the first URL is opened, and nothing else here needs it.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from preprocess.errors import IndexedDatasetError, os_failure

# Two letters or more, so that C://data is a path; s3://..., and chains such as simplecache::s3://..., zip://a::s3://...
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+"
_MAGIC = re.compile(r"[*?[]")
URL = re.compile(rf"(?P<head>(?:{_SCHEME}::)*{_SCHEME}://)(?P<path>.*?)(?P<tail>::.*)?", re.DOTALL)
_LOCAL = ("file://", "local://")
# What changes with an object's content, the surest first; of dates, the one that a store gives.
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated", "created")
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "http": "aiohttp requests",
    "https": "aiohttp requests",
    "hf": "huggingface_hub",
    "sftp": "paramiko",
    "ssh": "paramiko",
}
_CREDENTIALS = "check the URL, the network and the credentials, and run the same command again"


def is_url(name: str) -> bool:
    """Whether a name is a URL that fsspec opens, and not a local path."""
    return URL.fullmatch(name) is not None


@dataclass(frozen=True)
class RemoteFile:
    """A file as its store describes it."""

    url: str
    path: str  # within the store
    bytes: int | None  # None where the store does not say
    version: str  # changes with the content; empty where the store says nothing but the size


class Store:
    """What a URL is in, opened; the rest of it is `path`."""

    def __init__(self, url: str) -> None:
        self.url = url
        match = URL.fullmatch(url)
        self._head, self._rest, self._tail = match.group("head", "path", "tail") if match else (url, "", "")
        try:
            import fsspec
        except ImportError as error:
            remedy = 'pip install "maskgen[cloud]"'
            raise self.failure("open the store", error, remedy) from error
        options = {"auto_mkdir": True} if url.startswith(_LOCAL) else {}
        try:
            self._filesystem, self.path = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            protocol = self._head.removesuffix("://").rpartition("::")[2]
            package = _PACKAGES.get(protocol)
            remedy = f"pip install {package}" if package else f"install the package that opens {protocol}:// for fsspec"
            raise self.failure("open the store", error, remedy) from error
        except Exception as error:  # an unknown protocol, missing credentials: each has its own type
            raise self.failure("open the store", error, _CREDENTIALS) from error

    @property
    def name(self) -> str:
        """The same for two URLs into the same store."""
        return f"{self._filesystem.protocol} {self._tail or ''}"

    @property
    def root(self) -> str:
        """The folder, within the store, of a pattern's matches, or the one that the URL names."""
        return _literal(self.path)

    def look(self, path: str | None = None) -> RemoteFile | None:
        """A file as it is now, by default that of the URL itself; None for a folder."""
        path = self.path if path is None else path
        with self._explained("look at it"):
            self._filesystem.invalidate_cache()  # what was listed a while ago is not what is there now
            info = self._filesystem.info(path)
        return None if info.get("type") == "directory" else self._described(self._url_of(path), path, info)

    def exists(self, ending: str = "") -> bool:
        """Whether there is anything of that name; `ending` is added to that of the URL."""
        with self._explained("look for it"):
            self._filesystem.invalidate_cache()
            return bool(self._filesystem.exists(self.path + ending))

    def is_glob(self) -> bool:
        """Whether the URL is a pattern; as with local names, what exists under it is a name."""
        return _MAGIC.search(self._rest) is not None and not self.exists()

    def files(self) -> list[RemoteFile]:
        """The files that a pattern matches, or all those below a folder, sorted by URL."""
        with self._explained("list it"):
            self._filesystem.invalidate_cache()
            if not _MAGIC.search(self._rest):
                return self._described_all(self._filesystem.find(self.path, detail=True))
            found: dict[str, Mapping[str, Any]] = self._filesystem.glob(self.path, detail=True)
            for path in [path for path, info in found.items() if info.get("type") == "directory"]:
                found |= self._filesystem.find(path, detail=True)
        return self._described_all(found)

    def download(self, file: RemoteFile, target: str, on_bytes: Callable[[int], None] | None = None) -> None:
        """Copy a file to `target`, which exists as soon as it is complete and was the same from start to end."""
        from fsspec.callbacks import Callback

        seen = 0

        def on_call(*_: object, value: int = 0, **__: object) -> None:
            nonlocal seen
            if on_bytes is not None:
                on_bytes(value - seen)
            seen = value

        own = f"{target}.{os.urandom(6).hex()}.partial"
        try:
            with self._explained("download it", file.url):
                self._filesystem.get_file(file.path, own, callback=Callback(hooks={"bytes": on_call}))
            with open(own, "rb+") as copy:
                os.fsync(copy.fileno())
            self._check(file, os.path.getsize(own))
            os.replace(own, target)
        except OSError as error:  # of the local copy
            raise os_failure(target, f"keep a copy of {file.url}", error, "check the disk") from error
        finally:
            with suppress(OSError):
                os.unlink(own)

    def read(self, ending: str = "", *, end: int | None = None) -> bytes:
        """The whole content of a small file, or its first bytes."""
        with self._explained("read it", self.url + ending):
            return bytes(self._filesystem.cat_file(self.path + ending, end=end))

    def upload(self, source: str, ending: str = "") -> None:
        """Put a local file into the store, which shows it when all of it has arrived."""
        with self._explained("send it there", self.url + ending):
            self._filesystem.put_file(source, self.path + ending)
        size, there = os.path.getsize(source), self.look(self.path + ending)
        found = None if there is None else there.bytes
        if there is None or found not in (None, size):
            remedy = "run the same command again; nothing else may write there meanwhile"
            raise IndexedDatasetError(self.url + ending, "after it was sent", f"{found} bytes", str(size), remedy)

    def remove(self, ending: str = "") -> None:
        """Take a file away."""
        with self._explained("remove it", self.url + ending):
            self._filesystem.rm(self.path + ending)

    def failure(self, attempt: str, error: Exception, remedy: str, url: str | None = None) -> IndexedDatasetError:
        """What went wrong, in one line."""
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        return IndexedDatasetError(url or self.url, attempt, str(reason), "success", remedy)

    def _check(self, file: RemoteFile, size: int) -> None:
        after = self.look(file.path)
        now = None if after is None else (after.bytes, after.version)
        if now != (file.bytes, file.version):
            remedy = "leave inputs alone while a run reads them, and run the same command again"
            raise IndexedDatasetError(file.url, "download it", "an object that changed meanwhile", "the same", remedy)
        if file.bytes not in (None, size):
            remedy = "run the same command again"
            raise IndexedDatasetError(file.url, "download it", f"{size} bytes", f"{file.bytes}", remedy)

    def _described_all(self, found: Mapping[str, Mapping[str, Any]]) -> list[RemoteFile]:
        files = [
            self._described(self._url_of(path), path, info)
            for path, info in found.items()
            if info.get("type") != "directory" and not path.endswith("/")
        ]
        return sorted(files, key=lambda file: file.url)

    def _described(self, url: str, path: str, info: Mapping[str, Any]) -> RemoteFile:
        values = (info.get(name) for name in _VERSIONS)
        version = next((value for value in values if value not in (None, "")), "")
        if isinstance(version, datetime):  # some stores give dates as numbers in one place and as datetime in another
            version = version.timestamp()
        size = info.get("size")
        return RemoteFile(url, path, None if size is None else int(size), str(version).strip('"'))

    def _url_of(self, path: str) -> str:
        """The URL of a path in this store, as its user would write it: what was given, up to where they differ."""
        own, given = _literal(self.path), _literal(self._rest)
        if not _MAGIC.search(self._rest):  # the path itself, one that begins with it, or one in the folder
            own, given = own[:-1], given[:-1]
        if not path.startswith(own):
            return str(self._filesystem.unstrip_protocol(path))
        return f"{self._head}{given}{path[len(own) :]}{self._tail or ''}"

    @contextmanager
    def _explained(self, attempt: str, url: str | None = None) -> Iterator[None]:
        """Turn what a file system raises, of whatever type, into an error that says what to do."""
        try:
            yield
        except IndexedDatasetError:
            raise
        except FileNotFoundError as error:
            message = FileNotFoundError("nothing of that name")
            raise self.failure(attempt, message, "check the URL", url) from error
        except PermissionError as error:
            raise self.failure(attempt, error, "check the permissions and the credentials", url) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise os_failure(url or self.url, attempt, error, _CREDENTIALS) from error
            raise self.failure(attempt, error, _CREDENTIALS, url) from error


def _literal(path: str) -> str:
    """The folder in which a pattern begins; of a name without one, the name, as a folder."""
    if not _MAGIC.search(path):
        return path.rstrip("/") + "/"
    return _MAGIC.split(path, maxsplit=1)[0].rpartition("/")[0] + "/"

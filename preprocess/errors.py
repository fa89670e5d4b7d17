"""The errors a user can expect: each says what, where, what was found, what was expected and what to do.

The command line prints them as one line and exits with 2; anything else is a bug and shows its traceback.
"""

import errno


class MaskgenError(Exception):
    """An expected failure: bad input, an interrupted earlier run, a full disk."""


class ExplainedError(MaskgenError, ValueError):
    """What is not as it has to be: where, what was found, what was expected, what to do.

    The parts of the message stay apart as attributes, so that ``maskgen verify --json`` and tests can use them.
    """

    def __init__(self, path: str, place: str, found: str, expected: str, remedy: str) -> None:
        # No call of the base's constructor: it would replace `args`, from which a subclass is unpickled.
        self.path = path
        self.place = place
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.path}: {self.place}" if self.place else self.path
        return f"{where}: found {self.found}, expected {self.expected}; {self.remedy}"


class IndexedDatasetError(ExplainedError):
    """A dataset file, or data on its way into one, that is not what it has to be."""


_REMEDIES = {
    (errno.EMFILE, errno.ENFILE): "too many files are open: raise the limit (ulimit -n) or close some",
    (errno.ENOMEM,): "out of memory or of maps: free some, or raise the limits (ulimit -v, vm.max_map_count)",
    (errno.EACCES, errno.EPERM, errno.EROFS): "check the permissions",
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG): (
        "make room there and run the same command again: nothing incomplete was left under the final names"
    ),
}


def os_failure(path: str, attempt: str, error: OSError, remedy: str) -> IndexedDatasetError:
    """A failed system call as an error that explains itself; `remedy` is for causes that have none of their own."""
    for numbers, known in _REMEDIES.items():
        if error.errno in numbers:
            remedy = known
    return IndexedDatasetError(path, attempt, error.strerror or str(error), "success", remedy)

"""Where the inputs of a dataset are now, by the names that its sidecar has for them.

name --moved: it, or a folder that it is in--> new place | --root: below that folder--> there | the name itself
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from preprocess.errors import MaskgenError


@dataclass(frozen=True)
class InputPlaces:
    """Old names of files or folders with their new ones, and a folder to look in for all others."""

    moved: Mapping[str, str] = field(default_factory=dict)
    root: str | None = None

    def path(self, name: str) -> str:
        """Where the input called `name` should lie."""
        if name in self.moved:
            return self.moved[name]
        for old, new in self.moved.items():
            if name.startswith(old.rstrip("/") + "/"):
                return os.path.join(new, name[len(old.rstrip("/")) + 1 :])
        if self.root is None:
            return name
        below = os.path.join(self.root, name.lstrip("/"))
        flat = os.path.join(self.root, os.path.basename(name))
        return flat if os.path.lexists(flat) and not os.path.lexists(below) else below


def parse_places(moved: Sequence[str], root: str | None) -> InputPlaces:
    """What ``--input OLD=NEW`` and ``--root DIR`` say."""
    pairs = {}
    for text in moved:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise MaskgenError(f"--input: found {text!r}, expected OLD=NEW, such as corpus.jsonl=/data/corpus.jsonl")
        pairs[old] = new
    if root is not None and not os.path.isdir(root):
        raise MaskgenError(f"--root: found no folder {root!r}, expected the one that has the inputs; correct it")
    return InputPlaces(pairs, root)

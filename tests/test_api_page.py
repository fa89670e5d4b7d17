"""docs/api.md and docs/api-training.md have every public name, called as it is called now.

test_pages.py runs their examples.
"""

import pkgutil
import re
import runpy
from importlib import import_module

import pytest
from doc_pages import ROOT

from preprocess import MaskgenError

TOOL = runpy.run_path(str(ROOT / "tools/write_signatures.py"))
PAGES = {path.name: path.read_text() for path in TOOL["PAGES"]}
PAGE = "".join(PAGES.values())
WITHOUT_LIST = ("maskgen.datasets", "maskgen.on_device", "preprocess.indexed.arrow")  # users import these modules, too
INNER = {  # lists for readers of the sources
    *("maskgen.report.page", "maskgen.train.checkpoints"),
    *("preprocess.images", "preprocess.images.examine"),
}


def public_names():
    """What users import: modules and names, from the modules' lists."""
    for top in ("preprocess", "maskgen"):
        modules = [top, *(found.name for found in pkgutil.walk_packages([str(ROOT / top)], f"{top}."))]
        for name in modules:
            if name.endswith("._native"):
                continue
            module = import_module(name)
            listed = getattr(module, "__all__", ())
            if name in WITHOUT_LIST:
                listed = [
                    key
                    for key, thing in vars(module).items()
                    if getattr(thing, "__module__", "") == name and callable(thing) and not key.startswith("_")
                ]
            if name not in INNER:
                yield from ((name, each) for each in listed)


def things(pairs):
    return {id(getattr(import_module(module), name)): f"{module}.{name}" for module, name in pairs}


def test_signatures():
    """After a change of one: python tools/write_signatures.py."""
    assert {name: TOOL["page"](page) for name, page in PAGES.items()} == PAGES


def test_training_has_a_page_of_its_own():
    modules = {name: re.findall(r"^## `([\w.]+)`$", page, re.MULTILINE) for name, page in PAGES.items()}
    assert all(module.startswith("maskgen.train") for module in modules["api-training.md"])
    assert not any(module.startswith("maskgen.train") for module in modules["api.md"])


def test_every_public_name_is_there():
    pytest.importorskip("torch")
    rows = re.findall(r"^\| `([\w.]+)\.(\w+)` \|", PAGE, re.MULTILINE)
    here = things(TOOL["documented"](PAGE)) | things(rows)
    # of maskgen.on_device only the class is for users; the rest is for the objectives
    there = {key: name for key, name in things(public_names()).items() if not name.startswith("maskgen.on_device.")}
    assert sorted(set(there.values()) - {there[key] for key in here if key in there}) == []
    assert len(here) > 100


def test_every_heading_is_one_that_is_written():
    """And has an example."""
    headings = re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE)
    assert headings == [name for _, name in TOOL["documented"](PAGE)]
    for entry in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        assert "\n```pycon\n>>> " in entry, entry


def test_errors_are_expected_ones():
    errors = re.findall(r"^\| `([\w.]+)\.(\w+Error)` \|", PAGE, re.MULTILINE)
    assert len(errors) == 16
    assert all(issubclass(getattr(import_module(module), name), MaskgenError) for module, name in errors)


def test_a_changed_signature_is_noticed():
    assert TOOL["page"](PAGE.replace("offset=0, length=None", "length=None")) == PAGE
    assert TOOL["page"](PAGE.replace("token_dtype(vocabulary_size)", "token_dtype(size)")) == PAGE

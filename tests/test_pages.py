"""Every block of every page is run, or says below it why not.

A page that has a test of its own, which holds more about it, is run by that test; all others are run here.
"""

import re
from pathlib import Path

import pytest
from doc_pages import BLOCK, COMMANDS, PAGES, ROOT, RUN, SHOWN, arguments_of, blocks, run_page, to_run, tried

OWN = set(
    re.findall(
        r"^    .*\brun_page\(\"([\w./-]+)\", capsys\)",
        "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py")),
        re.MULTILINE,
    )
)
CALL = re.compile(r"^\s*(?:\$ |[A-Z_]+=\S+ )*(?:maskgen|python3?|pip|pytest|torchrun|sbatch) ", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_each_block_is_run_or_says_below_it_why_not(page):
    text = (ROOT / page).read_text()
    found = blocks(page)
    assert len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)) == 2 * len(found), (
        "a block that the tests cannot read"
    )
    for block in found:
        if block["kind"] in SHOWN:
            assert page == "docs/commands.md" or not CALL.search(block["text"]), block["text"]
            assert not block["remark"], block["text"]
        else:
            assert block["kind"] in RUN, block[0]
            if block["remark"]:
                assert len(block["remark"].split()) > 5, block["remark"]
            else:
                assert block["kind"] not in COMMANDS or not set(block["text"]) & set(";|&<>$`"), block["text"]
    remarks = sum(bool(block["remark"]) for block in found)
    others = page in ("CONTRIBUTING.md", "docs/commands.md")  # which tells of remarks; the remark for all of its blocks
    assert len(re.findall(r"not run in tests", text, re.IGNORECASE)) == remarks + others


@pytest.mark.parametrize("page", [page for page in PAGES if page not in OWN and to_run(page)])
def test_what_the_page_shows_runs(page, demo, capsys):
    run_page(page, capsys)


def test_pages_with_tests_of_their_own_are_there():
    assert set(PAGES) >= OWN
    assert len(OWN) > 10


def test_remarks_stand_directly_below_their_blocks():
    below = "```sh\nmaskgen a\n```\n\n*Not run in tests: it takes\na day.*\n"
    assert BLOCK.search(below)["remark"] == "*Not run in tests: it takes\na day.*"
    assert BLOCK.search(below.replace("\n\n", "\n\nText.\n\n"))["remark"] is None
    assert BLOCK.search(below.replace("Not run", "Hardly run"))["remark"] is None


def test_what_is_shown_has_to_be_what_is_printed():
    names = {"a": 1}
    tried(">>> b = a + 1\n>>> b\n2\n", "here", names)
    assert names["b"] == 2
    with pytest.raises(AssertionError, match="Got"):
        tried(">>> b\n3\n", "here", names)


def test_patterns_outside_of_quotes_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.idx", "a.idx"):
        Path(name).touch()
    assert arguments_of("maskgen verify *.idx '*.idx' c*.idx --option 'x=[1, 2]'  # all") == [
        *["maskgen", "verify", "a.idx", "b.idx", "*.idx", "c*.idx", "--option", "x=[1, 2]"]
    ]

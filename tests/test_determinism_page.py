"""The proof of docs/determinism.md, and what it says of another seed."""

import re

from doc_pages import ROOT, joined, run_page

from maskgen import cli


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, printed = run_page("docs/determinism.md", capsys)
    assert list(printed.values())[-1].splitlines()[-1] == "ok: as in proof.json"
    check = list(printed)[-1]
    assert cli.main(check.replace("--seed 1234", "--seed 1235").split()[1:]) == 1
    page = (ROOT / "docs/determinism.md").read_text()
    (expected,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert capsys.readouterr().out.endswith(expected)


def test_continued_lines_are_one_command():
    assert joined("a b \\\n    c\nd\n") == "a b c\nd\n"

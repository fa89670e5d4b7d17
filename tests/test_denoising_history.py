"""The history of what was written: its file whole and checked, its picture in the report."""

import json
import math
import os
import re

import pytest
import torch
from denoising_models import MASK, PAD, Mixing, Table, certain
from report_pages import Page, report, toy_files

from maskgen import cli
from maskgen.history import History, HistoryError
from maskgen.report.history_section import MOST_COLUMNS, MOST_PLACES, MOST_ROWS, cells_of
from maskgen.train.denoising import Denoiser
from preprocess import MaskgenError


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def filled(ids, k=3, names="<{}>".format, **options):
    """A history of rows."""
    history = History(k, names)
    made = Denoiser(Mixing(), mask_id=MASK, pad_id=PAD, **{"confidence": "top", "max_steps": 3, **options})
    return history, made.fill(torch.tensor(ids), history=history)


def test_the_history_is_called_and_has_what_was_likely():
    """The defect: the history was never called."""
    shares = [(0.6, 0.2), (0.9, 0.05)]
    table = Table(torch.stack([certain(5, best, second=(6, second)) for best, second in shares]))
    history = History(2)
    made = Denoiser(table, mask_id=MASK, pad_id=PAD, confidence="top", temperature=0.0)
    made.fill(torch.tensor([[MASK, MASK]]), history=history)
    (row,) = history.rows
    assert row.ids == [MASK, MASK]
    assert [step.places for step in row.steps] == [[0, 1], [0]]
    assert [step.ids for step in row.steps] == [[[5, 6], [5, 6]], [[5, 6]]]
    assert [step.written for step in row.steps] == [{1: 5}, {0: 5}]
    assert [step.shares for step in row.steps] == [{1: pytest.approx(0.9)}, {0: pytest.approx(0.6)}]
    assert row.steps[0].probabilities == [pytest.approx(each, rel=1e-4) for each in shares]
    assert row.final == [5, 5]


def test_what_is_saved_is_read_back_by_step(tmp_path):
    history, done = filled([[MASK, 5, MASK, MASK], [7, 7, MASK, PAD], [5, 5, 5, 5]])
    history.save(tmp_path / "steps.jsonl")
    found = History.load(tmp_path / "steps.jsonl")
    assert found.rows == history.rows
    assert [row.final for row in found.rows] == done.ids.tolist()
    assert found.k == 3
    assert found.name(5) == "<5>"
    assert found.name(99) == "99"
    assert os.listdir(tmp_path) == ["steps.jsonl"]
    first = (tmp_path / "steps.jsonl").read_bytes()
    found.save(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == first


def test_rows_of_several_calls_are_numbered_on():
    history, _ = filled([[MASK, 5]])
    Denoiser(Mixing(), mask_id=MASK, pad_id=PAD).fill(torch.tensor([[MASK, MASK]]), history=history)
    assert [len(row.steps) for row in history.rows] == [1, 2]


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    history, _ = filled([[MASK, 5]])
    (tmp_path / "steps.jsonl").write_text("earlier")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises((MaskgenError, OSError), match="No space left"):
        history.save(tmp_path / "steps.jsonl")
    assert (tmp_path / "steps.jsonl").read_text() == "earlier"


def changed(lines, number, **values):
    return [json.dumps({**json.loads(line), **values}) if place == number else line for place, line in enumerate(lines)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [], "another kind of file"),
        (lambda lines: ["{"], "no JSON"),
        (lambda lines: ["[1]"], "another kind of file"),
        (lambda lines: lines[:-1], r"found \d+ of \d+ lines"),
        (lambda lines: [*lines[:-1], lines[-1][: len(lines[-1]) // 2]], "no JSON"),
        (lambda lines: changed(lines, 0, version=2), "version 2 of its format"),
        (lambda lines: changed(lines, 0, names=[]), "not as it has to be"),
        (lambda lines: changed(lines, 0, k=0), "not as it has to be"),
        (lambda lines: changed(lines, 1, ids="abc"), "not as it has to be"),
        (lambda lines: changed(lines, -1 % len(lines), row=7), "not as it has to be"),
        (lambda lines: changed(lines, -1 % len(lines), places=[9] * 9), "not as it has to be"),
        (lambda lines: changed(lines, -1 % len(lines), ids=[]), "not as it has to be"),
        (lambda lines: changed(lines, -1 % len(lines), written=[[1, 2]]), "not as it has to be"),
        (lambda lines: changed(lines, -1 % len(lines), written=[[77, 2, 0.5]]), "not as it has to be"),
        (lambda lines: ["[" * 100_000], "no JSON"),
        (lambda lines: changed(lines, -1 % len(lines), row=-1), "not as it has to be"),
        (lambda lines: changed(lines, -1 % len(lines), probabilities=[[math.nan] * 3]), "not as it has to be"),
        (lambda lines: changed(lines, -1 % len(lines), probabilities=[[1.5] * 3]), "not as it has to be"),
        (lambda lines: changed(lines, -1 % len(lines), probabilities=[["x"]]), "not as it has to be"),
    ],
)
def test_what_is_no_history(tmp_path, capsys, damage, message):
    path = tmp_path / "steps.jsonl"
    history, _ = filled([[MASK, 5, MASK]])
    history.save(path)
    path.write_text("".join(f"{line}\n" for line in damage(path.read_text().splitlines())))
    with pytest.raises(HistoryError, match=message):
        History.load(path)
    assert cli.main(["report", "no-dataset", "--history", str(path), "--output", str(tmp_path / "page.html")]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(HistoryError, match=r"nothing.jsonl: No such file"):
        History.load(tmp_path / "nothing.jsonl")
    with pytest.raises(HistoryError, match="k is 0"):
        History(0)


def page_of(folder, history):
    _, prefix, _ = toy_files(folder)
    history.save(folder / "steps.jsonl")
    text = report(folder, prefix, "--history", folder / "steps.jsonl")
    return text, Page(text)


def test_the_picture_has_a_cell_for_each_mask_and_step(tmp_path):
    history, done = filled([[MASK, 5, MASK, MASK, MASK, MASK], [5, MASK, 6, 6, 6, 6], [5] * 6])
    text, page = page_of(tmp_path, history)
    cells = re.findall(r'<rect class="(cell[^"]*)" data-says="([^"]*)"', text)
    assert len(cells) == (5 + 3 + 1) + 1
    assert [says.split(":")[0] for kind, says in cells if kind == "cell written"] == [
        f"place {place}, step {step}"
        for row in history.rows
        for place, step in sorted((p, s) for s, each in enumerate(row.steps, 1) for p in each.written)
    ]
    assert [says.count("%") for _, says in cells] == [3 + (kind != "cell") for kind, _ in cells]
    rows = page.rows("history-1")
    assert [row["place"] for row in rows] == [0, 2, 3, 4, 5]
    assert [row["written"] for row in rows] == [f"<{id_}>" for id_ in done.ids[0, [0, 2, 3, 4, 5]].tolist()]
    assert [row["step"] for row in page.rows("history-2")] == [1]
    assert "Row 3 had no masks." in page.words
    assert "Masks filled step by step" in page.words


def test_what_is_too_much_to_draw_is_said(tmp_path):
    width = MOST_PLACES + 60
    history, _ = filled([[MASK] * width] + [[5] * (width - 1) + [MASK]] * MOST_ROWS, max_steps=None)
    assert len(history.rows[0].steps) > MOST_COLUMNS
    assert len(cells_of(history, history.rows[0])) == width
    text, page = page_of(tmp_path, history)
    assert f"Drawn are the first {MOST_PLACES}." in page.words
    assert f"Shown are {MOST_ROWS} of {MOST_ROWS + 1} rows." in page.words
    (drawing,) = re.findall(r'<svg class="chart"[^>]*history-1-chart-t.*?</svg>', text, re.DOTALL)
    assert drawing.count('class="cell written"') == MOST_PLACES
    assert all(0 <= float(x) <= 400 for x in re.findall(r' x="([^"]*)"', drawing))
    assert len(page.rows("history-1")) == width


def test_tokens_of_a_history_are_escaped(tmp_path):
    history, _ = filled([[MASK, MASK]], names=lambda id_: f'</script><b a="{id_}">')
    text, page = page_of(tmp_path, history)
    assert "<b a=" not in text
    assert "</script><b" in page.words
    assert page.tags.count("script") == 1

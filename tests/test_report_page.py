"""The page of ``maskgen report``: one file, well formed, safe with hostile text, the same bytes for the same input."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import ROOT, run_page
from helpers import write_dataset
from report_pages import Page, report, toy_files
from tokenizers import AddedToken, Tokenizer, decoders, models

from maskgen import cli
from maskgen.report import Dataset, Look, ReportError, Request, make_report
from maskgen.report.request import parse_datasets
from maskgen.report.scales import Scale, linear_ticks, log_ticks
from maskgen.schemes import SCHEMES
from preprocess.indexed.sidecar import read_sidecar

FLAGS = ("--max-seq-length", "24", "--seed", "7")
HOSTILE = ["</script><script>alert(1)</script>", "<img/src=x/onerror=alert(2)>", '"onmouseover="alert(3)', "&lt;b&gt;",
           "##<u>",           "\u202eesrever", "]]>-->", "'><svg/onload=alert(4)>", "\x1b[31m"]  # fmt: skip


def outside(text):
    """Whatever a browser would ask somebody else for."""
    found = re.findall(r"\b(?:https?|wss?):|//[\w.-]+\.\w|url\(|@import|<(?:link|iframe|object|embed|img|base)\b", text)
    return found + [name for name in re.findall(r"\b(?:src|href|action)=\"([^\"]*)", text) if not name.startswith("#")]


@pytest.mark.parametrize("scheme", ["bert", "t5", "pairs", *(name for name in SCHEMES if name != "pmi")])
def test_every_scheme_makes_a_page(tmp_path, scheme):
    _, prefix, tokenizer = toy_files(tmp_path)
    flags = ["--scheme", scheme] if scheme != "pairs" else ["--scheme", "roberta", "--rows", "pairs"]
    flags += ["--option", "sentence_end_ids=[25,40]"] if scheme == "bart" else []
    text = report(tmp_path, prefix, "--tokenizer", tokenizer, *FLAGS, *flags, "--ngrams", 20)
    page = Page(text)
    assert outside(text) == []
    assert len(page.ids) == len(set(page.ids))
    assert [tag for tag in page.tags if tag in ("html", "head", "body", "main", "style", "script")] == [
        "html", "head", "style", "body", "main", "script"
    ]  # fmt: skip
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert {link[1:] for link in links} <= set(page.ids)
    assert page.words.count("sample ") >= 8
    assert ("places" in page.tables) == (scheme != "bart")
    with_lengths = ("bert", "t5", "spanbert", "span-corruption")
    assert ("ngrams" in page.tables) == (scheme in with_lengths)


def test_drawings_have_names_and_numbers(tmp_path):
    _, prefix, tokenizer = toy_files(tmp_path)
    text = report(tmp_path, prefix, "--tokenizer", tokenizer, *FLAGS)
    drawings = re.findall(r'<svg class="chart".*?</svg>', text, re.DOTALL)
    assert len(drawings) == 8
    for drawing in drawings:
        (names,) = re.findall(r'aria-labelledby="([^"]*)"', drawing)
        for name in names.split():
            assert re.search(rf'<(title|desc) id="{name}">[^<]+<', drawing)
        assert "nan" not in drawing
        assert "inf" not in drawing
        assert all(-1 <= float(number) <= 401 for number in re.findall(r'\b(?:x|x1|x2|cx)="([^"]*)"', drawing))
        assert len(re.findall(r'class="tick', drawing)) >= 4
        assert len(re.findall(r'class="title', drawing)) == 2
    assert text.count("<figure") == text.count("</figure>") == text.count("<figcaption>")
    for figure in re.findall(r"<figure.*?</figure>", text, re.DOTALL):
        assert "<table" in figure


def test_without_a_tokenizer_there_is_what_needs_none(tmp_path):
    _, prefix, _ = toy_files(tmp_path)
    page = Page(report(tmp_path, prefix))
    assert {"lengths-0", "sentences-0", "ranks", "frequent", "digests"} <= set(page.tables)
    assert not {"fill", "places", "token-rates"} & set(page.tables)
    assert page.rows("digests")[0]["digest of its files, by its sidecar"] == read_sidecar(prefix).digest
    os.unlink(f"{prefix}.json")
    assert "There is no sidecar" in Page(report(tmp_path, prefix)).words


def test_with_a_tokenizer_alone_tokens_have_names(tmp_path):
    _, prefix, tokenizer = toy_files(tmp_path)
    page = Page(report(tmp_path, prefix, "--tokenizer", tokenizer))
    assert page.rows("frequent")[0]["piece"]
    assert "fill" not in page.tables


def test_the_same_input_gives_the_same_bytes(tmp_path):
    _, prefix, tokenizer = toy_files(tmp_path)
    flags = (prefix, "--tokenizer", tokenizer, *FLAGS)
    first = report(tmp_path, *flags)
    assert report(tmp_path, *flags, "--threads", "3") == first
    assert report(tmp_path, *flags, "--engine", "reference") == first
    command = [sys.executable, "-m", "maskgen.cli", "report", *flags, "--output", str(tmp_path / "other.html")]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(command, check=True, timeout=120, env=environment, capture_output=True)
    assert (tmp_path / "other.html").read_text(encoding="utf-8") == first
    assert report(tmp_path, *flags, "--look-seed", "1", "--samples", "5") != report(tmp_path, *flags, "--samples", "5")
    assert re.search(r"· \d{4}-\d\d-\d\d \d\d:\d\d UTC", report(tmp_path, *flags, "--date"))


def test_fingerprint_and_settings_are_those_of_the_commands(tmp_path, capsys):
    _, prefix, tokenizer = toy_files(tmp_path)
    page = Page(report(tmp_path, prefix, "--tokenizer", tokenizer, *FLAGS, "--max-ngrams", 2))
    capsys.readouterr()
    assert cli.main(["fingerprint", prefix, "--tokenizer", tokenizer, *FLAGS, "--max-ngrams", "2", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["digest"] in page.facts["digest"]
    settings = dict(page.tables["settings-table"][1:])
    for name, value in found["stages"]["settings"]["options"].items():
        assert settings[f"option {name}"] == (value if isinstance(value, str) else json.dumps(value))
    assert settings["seed"] == "7"
    assert settings["scheme"] == "bert"


def hostile_files(folder):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *HOSTILE]
    tokenizer = Tokenizer(models.WordPiece({piece: id_ for id_, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in pieces[:5]])
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    name = folder / "<b onclick=alert(5)>&\"'"
    ids = list(range(5, len(pieces)))
    prefix = write_dataset(name, [[ids[i:] + ids[:i], ids] for i in range(len(ids))] * 4)
    sidecar = json.loads(Path(f"{prefix}.json").read_text())
    sidecar["inputs"] = [{"name": "<script>alert(6)</script>", "bytes": 3}]
    sidecar["statistics"] = {
        "skipped": {"<img src=x onerror=alert(7)>": 3}, "blank_lines": 1, "empty_documents": 0,
        "files_left_out": [{"name": "<a>", "reason": "<b>", "found": "</table>"}],
    }  # fmt: skip
    Path(f"{prefix}.json").write_text(json.dumps(sidecar))
    return prefix, str(path)


def test_hostile_text_stays_text(tmp_path):
    prefix, tokenizer = hostile_files(tmp_path)
    flags = ("--tokenizer", tokenizer, *FLAGS, "--masked-lm-prob", 0.5, "--title", "</title><script>alert(8)</script>")
    text = report(tmp_path, prefix, *flags)
    page = Page(text)
    assert page.tags.count("script") == 1
    assert not {"img", "iframe", "link"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    shown = {row["piece"] for row in page.rows("frequent")}
    assert shown == {"".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in each)
                     for each in HOSTILE}  # fmt: skip
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert page.rows("skipped-0")[1] == {"what": "skipped: <img src=x onerror=alert(7)>", "count": 3}
    assert page.rows("inputs-0")[0]["file"] == "<script>alert(6)</script>"
    assert page.rows("left-out-0") == [{"file left out": "<a>", "reason": "<b>", "found": "</table>"}]
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy


def test_names_that_are_no_unicode(tmp_path):
    prefix = write_dataset(tmp_path / "d", [[[1]]])
    page = make_report(Request([Dataset(prefix)], title="\udcff"))
    assert b"\\udcff" in page


@pytest.mark.parametrize("documents", [[], [[]], [[[]]], [[[], [3]]]])
def test_empty_datasets(tmp_path, documents):
    prefix = write_dataset(tmp_path / "d", documents)
    page = Page(report(tmp_path, prefix))
    assert page.facts["documents"] == [str(len(documents))]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max-seq-length", "24"], "--max-seq-length without --tokenizer and --seed"),
        (["--seed", "3"], "--seed without --tokenizer and --max-seq-length"),
        (["--tokenizer", "T", "--scheme", "electra"], "--scheme without --max-seq-length and --seed"),
        (["--rows", "documents"], "--rows without --tokenizer and --max-seq-length and --seed"),
        (["--samples", "0", "--tokenizer", "T", *FLAGS], "--samples is 0; expected an integer from 1 on"),
        (["--documents", "0"], "--documents is 0"),
        (["--role", "x"], "--role x; expected ROLE=TOKEN"),
        (["--tokenizer", "nowhere"], "nowhere"),
    ],
)
def test_wrong_flags_are_one_line_and_leave_no_page(tmp_path, capsys, flags, message):
    _, prefix, tokenizer = toy_files(tmp_path)
    flags = [tokenizer if flag == "T" else flag for flag in flags]
    assert cli.main(["report", prefix, *flags, "--output", str(tmp_path / "page.html")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not [name for name in os.listdir(tmp_path) if "page" in name]


def test_weights():
    assert parse_datasets(["a", "b"]) == [Dataset("a"), Dataset("b")]
    assert parse_datasets(["a=2", "b=x=0.5"]) == [Dataset("a", 2.0), Dataset("b=x", 0.5)]
    assert parse_datasets(["a=b"]) == [Dataset("a=b")]
    for texts in (["a=1", "b"], ["a=0"], ["a=-1"], ["a=inf"]):
        with pytest.raises(ReportError, match="expected"):
            parse_datasets(texts)
    with pytest.raises(ReportError, match="no datasets"):
        make_report(Request([], look=Look()))


def test_commands_of_the_docs_run(demo, capsys):
    _, printed = run_page("docs/report.md", capsys)
    for command in printed:
        Page(Path(command.split()[-1]).read_text(encoding="utf-8"))


def test_style_and_script_are_installed():
    data = (ROOT / "pyproject.toml").read_text().split("[tool.setuptools.package-data]")[1]
    for file in (ROOT / "maskgen/report").iterdir():
        if file.suffix not in (".py", ""):
            assert f'"report/*{file.suffix}"' in data
            assert f"*{file.suffix}" in (ROOT / "MANIFEST.in").read_text()


def test_help_fits_into_80_columns():
    command = [sys.executable, "-m", "maskgen.cli", "report", "--help"]
    environment = {**os.environ, "COLUMNS": "80"}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment).stdout
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.0003), (3, 3), (0, 77), (1, 512), (0, 1e12)])
def test_linear_ticks(low, high):
    ticks = linear_ticks(low, high)
    assert 1 <= len(ticks) <= 6
    assert all(low <= tick <= high for tick in ticks)
    assert high == low or len(ticks) >= 2


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 30), (1, 1e9), (1e-8, 1), (3, 40000)])
def test_log_ticks(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in ticks)
    scale = Scale(low, high, 0, 100, log=True)
    assert scale(low) == pytest.approx(0)
    assert scale(high) == pytest.approx(100)

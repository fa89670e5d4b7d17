"""Sentence splitting: hand-made hard cases, the native splitter against its twin, Punkt, line ends."""

import builtins
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.sentence_rules import sentence_starts
from preprocess.sentences import (
    SentenceSplitterError,
    load_splitter,
    sentence_starts_in_bytes,
    split_by_lines,
    split_by_rules,
)
from preprocess.tokenization.hard_texts import hard_texts

CASES = [
    line
    for line in (Path(__file__).parent / "golden" / "sentences.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
DOCS = Path(__file__).parents[1] / "docs" / "sentence-splitting.md"


def expected_and_found(case):
    expected = [part.strip() for part in case.split("¦")]
    text = " ".join(expected)
    return expected, load_splitter()(text)


def misses():
    return [case for case in CASES if (pair := expected_and_found(case))[0] != pair[1]]


def test_nine_of_ten_hard_cases():
    assert len(CASES) >= 150
    assert len(misses()) <= len(CASES) // 10


def test_the_documentation_lists_exactly_the_misses():
    lines = DOCS.read_text(encoding="utf-8").partition("## Where it is wrong")[2].splitlines()
    assert [line[3:-1] for line in lines if line.startswith("- `")] == misses()


def assert_twins_agree(text):
    starts = sentence_starts(text)
    assert sentence_starts_in_bytes(text.encode()) == [len(text[:start].encode()) for start in starts]
    assert "".join(split_by_rules(text)) == text


def test_twins_agree_on_the_cases():
    for separator in (" ", "\n", "\n\n", ""):
        assert_twins_agree(separator.join(case.replace("¦ ", "") for case in CASES))
    for case in CASES:
        for size in range(len(case)):
            assert_twins_agree(case[:size])


def test_twins_agree_on_hard_texts():
    for text in hard_texts(seed=11, count=800):
        assert_twins_agree(text)
        assert_twins_agree(". ".join(text))


PARTS = [
    ".", "!", "?", " ", "\n", "\u3000", '"', "'", ")", "(", "[", "]", "12", "3", "A", "I", "b", "Dr", "etc", "The",
    "No", "U.S", "«", "»", "”", "…", "。", "」", "と", "\uff01", "é", "É", "д", "Д", "中", "।", "؟", "-", ",", "_", "*",
    "\x00", "\u200b", "😀", "p",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=14).map("".join))
def test_twins_agree_on_pieces(text):
    assert_twins_agree(text)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_nothing_is_lost(text):
    for method in ("default", "newline"):
        assert "".join(load_splitter(method, keep_newlines=True)(text)) == text
        kept = load_splitter(method)(text)
        assert "".join("".join(kept).split()) == "".join(text.split())
        assert all(sentence == sentence.strip() != "" for sentence in kept)


def test_lone_surrogates_are_cut_by_the_twin():
    assert split_by_rules("One \ud800. Two.") == ["One \ud800. ", "Two."]


def test_invalid_utf8_is_reported():
    with pytest.raises(ValueError, match="invalid UTF-8 at byte 4"):
        sentence_starts_in_bytes(b"One \xff. Two.")


def test_paragraphs_end_sentences():
    text = "A title\n\nThe text goes\non here\n \nand there"
    assert load_splitter()(text) == ["A title", "The text goes\non here", "and there"]


def test_lines():
    assert split_by_lines("a\r\nb\u2028c\n\nd") == ["a\r\n", "b\u2028c\n", "\n", "d"]
    assert load_splitter("newline")("a\n\n b \n") == ["a", "b"]
    assert load_splitter("newline", keep_newlines=True)("a\n") == ["a\n"]


def test_unknown_method():
    with pytest.raises(SentenceSplitterError, match="'x': expected one of default, punkt, newline"):
        load_splitter("x")


def test_punkt_without_the_package(monkeypatch):
    real = builtins.__import__

    def no_nltk(name, *arguments, **options):
        if name.startswith("nltk"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_nltk)
    with pytest.raises(SentenceSplitterError, match="pip install nltk"):
        load_splitter("punkt")


def test_punkt_without_its_data(monkeypatch, tmp_path):
    data = pytest.importorskip("nltk.data")
    monkeypatch.setattr(data, "path", [str(tmp_path)])
    with pytest.raises(SentenceSplitterError, match=r"python -m nltk\.downloader punkt_tab"):
        load_splitter("punkt", language="english")


def test_punkt_with_a_model_trained_here(monkeypatch, tmp_path):
    data = pytest.importorskip("nltk.data")
    from nltk.tokenize.punkt import PunktTrainer, save_punkt_params

    sentence = "Old Dr. Brown met Dr. White near the river. They talked a while about nothing. "
    trainer = PunktTrainer(sentence * 60, verbose=False)
    folder = tmp_path / "tokenizers" / "punkt_tab" / "testish"
    folder.mkdir(parents=True)
    # Before saving: newer releases of nltk write below the data folders only.
    monkeypatch.setattr(data, "path", [str(tmp_path)])
    save_punkt_params(trainer.get_params(), dir=str(folder))
    text = "  We saw Dr. Brown.\n They left. "
    assert load_splitter("punkt", language="testish")(text) == ["We saw Dr. Brown.", "They left."]
    assert "".join(load_splitter("punkt", language="testish", keep_newlines=True)(text)) == text

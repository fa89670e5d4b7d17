"""``maskgen sample``: what it shows, with and without colours, as JSON, and what it refuses."""

import json
import re
import sys

import numpy as np
import pytest
from sample_files import TOY, TOY_PIECES, toy_samples
from tokenizers import AddedToken, Tokenizer, decoders, models

from maskgen import cli
from maskgen.mapping import cached_mapping
from maskgen.sample_view import COLOURS, RESET, SampleView
from maskgen.samples import BertSamples, T5Samples
from maskgen.vocab import Vocab

MARK = re.compile(r"\[(?:(MASK|<extra_id_\d+>)→|(=)|(?:[^]\s→]+→))([^]]*)\]")


@pytest.fixture
def files(tmp_path):
    """A dataset and the tokenizer that it was made with."""
    tokenizer = Tokenizer(models.WordPiece({piece: id_ for id_, piece in enumerate(TOY_PIECES)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in TOY_PIECES[:20]])
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    samples = toy_samples(tmp_path / "toy")
    return samples.dataset, str(tmp_path / "toy"), str(tmp_path / "tokenizer.json")


def sample(files, *arguments):
    flags = ["--max-seq-length", "24", "--seed", "7", *map(str, arguments)]
    return cli.main(["sample", files[1], "--tokenizer", files[2], *flags])


def own(files, kind="bert", **options):
    vocab = Vocab.from_tokenizer(files[2])
    pairs = kind == "bert" and options.get("binary_head", True)
    rows = cached_mapping(
        files[0], num_epochs=1, max_seq_length=21 if pairs else 22, short_seq_prob=0.1, seed=7,
        min_num_sent=2 if pairs else 1,
    )  # fmt: skip
    if kind == "t5":
        return T5Samples(files[0], rows, vocab, max_seq_length=24, max_seq_length_dec=24, seed=7, **options)
    return BertSamples(files[0], rows, vocab, max_seq_length=24, seed=7, **options)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_json_is_the_samples(files, capsys, engine):
    assert sample(files, "--json", "--num", 4, "--engine", engine) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    samples = own(files)
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    for line in lines:
        expected = {name: value.tolist() for name, value in samples[line["index"]].items()}
        assert line == {"index": line["index"], "scheme": "bert", **expected}


def test_flags_reach_the_samples(files, capsys):
    def first(*arguments):
        assert sample(files, "--json", "--index", -1, *arguments) == 0
        return json.loads(capsys.readouterr().out)

    last = own(files)
    assert first()["index"] == len(last) - 1
    for flags, options in (
        (["--no-binary-head"], {"binary_head": False}),
        (["--masked-lm-prob", 0.8], {"masked_lm_prob": 0.8}),
        (["--max-ngrams", 1, "--masked-lm-prob", 0.5], {"max_ngrams": 1, "masked_lm_prob": 0.5}),
        (
            ["--masked-lm-prob", 1, "--ordinary-replacements"],
            {"masked_lm_prob": 1, "replacement_ids": TOY.ordinary_ids},
        ),
    ):
        assert first(*flags)["text"] == own(files, **options)[-1]["text"].tolist(), flags
    found = first("--scheme", "t5", "--max-seq-length-dec", 24)
    assert found["text_dec"] == own(files, "t5")[-1]["text_dec"].tolist()
    found = first("--scheme", "t5", "--sentinels", "50-59", "--role", "bos=[CLS]", "--max-seq-length-dec", 40)
    assert found["text_dec"][:2] == [2, 50]
    assert len(found["text_dec"]) == 40


def test_text_shows_what_is_masked(files, capsys):
    assert sample(files, "--masked-lm-prob", 0.6, "--num", 99, "--ordinary-replacements") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    legend, *shown = out.split("\n\nsample ")
    for mark in ("[MASK→word]", "[other→word]", "[=word]"):
        assert mark in legend
    samples = own(files, masked_lm_prob=0.6, replacement_ids=TOY.ordinary_ids)
    assert len(shown) == len(samples) > 10
    for index, text in enumerate(shown):
        expected = samples[index]
        facts, words = text.split("\n", 1)
        masked = int(expected["loss_mask"].sum())
        assert facts.startswith(f"{index}: {expected['padding_mask'].sum()} of 24 tokens (")
        assert f"{masked} to predict (" in facts
        assert facts.endswith(f"is_random {expected['is_random']}, truncated {expected['truncated']}")
        marks = MARK.findall(re.sub(r"\[(CLS|SEP|UNK|PAD)\]", "", words))
        assert len(marks) == masked
        assert sum(mark == "MASK" for mark, _, _ in marks) == (expected["text"] == 4).sum()
        assert sum(kept == "=" for _, kept, _ in marks) == (expected["labels"] == expected["text"]).sum()
        labels = expected["labels"][expected["labels"] >= 0].tolist()
        assert [word for _, _, word in marks] == [TOY_PIECES[label].removeprefix("##") for label in labels]


def test_text_of_t5(files, capsys):
    assert sample(files, "--scheme", "t5", "--masked-lm-prob", 0.4, "--num", 5) == 0
    legend, *shown = capsys.readouterr().out.split("\n\nsample ")
    assert "[SENTINEL→words]" in legend
    samples = own(files, "t5", masked_lm_prob=0.4)
    for index, text in enumerate(shown):
        facts, words, decoder = text.rstrip("\n").split("\n")
        marks = MARK.findall(words)
        assert f"in {len(marks)} spans, {samples[index]['loss_mask'].sum()} of 24 for the decoder" in facts
        assert [sentinel for sentinel, _, _ in marks] == [f"<extra_id_{i}>" for i in range(len(marks))]
        spans = "".join(f" {sentinel} {inside}" for sentinel, _, inside in marks)
        assert decoder == f"  to predict:{spans} </s>"


def test_colours(files, capsys, monkeypatch):
    def shown():
        assert sample(files, "--masked-lm-prob", 0.6, "--num", 9) == 0
        return capsys.readouterr().out

    plain = shown()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = shown()
    assert coloured != plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    for kind in ("masked", "replaced", "kept", "special"):
        assert COLOURS[kind] in coloured
    assert coloured.count(RESET) * 2 == coloured.count("\x1b")
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown() == plain
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert shown() == plain


def test_pieces_of_other_tokenizers_and_of_nobodys():
    pieces = ["<s>", "</s>", "<mask>", "<pad>", "Ġlight", "house", "Ġ\x1b[2J", "Ċ", "Ġcaf"]
    vocab = Vocab(pieces, cls_id=0, sep_id=1, mask_id=2, pad_id=3)
    view = SampleView(vocab, lambda ids: pieces[ids[0]].replace("Ġ", " ").replace("Ċ", "\n"), coloured=False)
    text = np.array([0, 4, 5, 2, 6, 7, 8, 1])
    labels = np.array([-1, -1, -1, 5, -1, -1, 8, -1])
    sample = {"text": text, "padding_mask": np.ones(8), "labels": labels, "loss_mask": (labels >= 0).astype(int),
              "is_random": 0, "truncated": 0}  # fmt: skip
    assert view.show(0, sample).split("\n")[1] == "  <s> lighthouse[MASK→house] \\x1b[2J Ċ [=caf] </s>"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-seq-length", 4], "--max-seq-length is 4; expected an integer from 5"),
        (["--max-seq-length", 2_000_000_000], "--max-seq-length is 2000000000; expected at most 1048576"),
        (["--scheme", "t5", "--max-seq-length-dec", 2_000_000_000], "--max-seq-length-dec is 2000000000; expected"),
        (["--masked-lm-prob", 2], "masked_lm_prob is 2.0"),
        (["--seed", -1], "seed is -1"),
        (["--index", 0, 99999], "sample 99999; expected 0 to"),
        (["--role", "bos"], "--role bos; expected ROLE=TOKEN"),
        (["--role", "bos=nothing"], "no token 'nothing' for the role bos"),
        (["--scheme", "t5", "--sentinels", "9"], "--sentinels 9; expected FIRST-LAST"),
        (["--scheme", "t5", "--sentinels", "50-60"], "sentinel_ids 60"),
        (["--scheme", "t5", "--max-seq-length-dec", 2, "--masked-lm-prob", 0.9], "entries for its decoder"),
        (["--scheme", "t5", "--sentinels", "50-50", "--max-ngrams", 1, "--masked-lm-prob", 0.9], "sentinels and"),
        (["--short-seq-prob", 7], "short_seq_prob"),
    ],
)
def test_wrong_flags_are_one_line(files, capsys, arguments, message):
    assert sample(files, *arguments) == 2
    _, err = capsys.readouterr()
    assert message in err
    assert err.startswith("maskgen sample: error: ")
    assert err.count("\n") == 1


def test_documents_of_one_sentence(files, capsys, tmp_path):
    from helpers import write_dataset

    flags = [write_dataset(tmp_path / "whole", [[[20, 21, 22, 23]]] * 3), "--tokenizer", files[2]]
    flags += ["--max-seq-length", "24", "--seed", "7"]
    assert cli.main(["sample", *flags]) == 2
    assert "tokenize with --split-sentences, or pass --no-binary-head" in capsys.readouterr().err
    assert cli.main(["sample", *flags, "--no-binary-head"]) == 0
    assert "sample 2: 6 of 24 tokens (25% full)" in capsys.readouterr().out

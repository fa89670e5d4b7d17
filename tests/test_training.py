"""Training vocabularies, and the command for it."""

import argparse
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from maskgen.commands import train_tokenizer as command
from preprocess.errors import MaskgenError
from preprocess.pipeline.options import Options
from preprocess.pipeline.texts import read_texts
from preprocess.tokenization import load_tokenizer
from preprocess.tokenization.training import TrainingError, TrainingSettings, save_tokenizer, train_tokenizer

ROOT = Path(__file__).parents[1]


def texts(count=300):
    rng = random.Random(2)
    words = ["the", "river", "Éclair", "токен", "中文", "running", "runner", "run", "unaffable", "x1", "naïve", "re-do"]
    return [" ".join(rng.choice(words) for _ in range(12)) for _ in range(count)]


@pytest.mark.parametrize(("model", "engine"), [("wordpiece", "native"), ("bpe", "reference"), ("unigram", "reference")])
def test_round_trip(tmp_path, model, engine):
    settings = TrainingSettings(model=model, vocab_size=320)
    save_tokenizer(train_tokenizer(texts, settings), tmp_path)
    tokenizer = load_tokenizer(tmp_path, engine=engine, require=["mask", "pad"])
    assert tokenizer.vocabulary_size <= 320
    ids, _ = tokenizer.encode_batch(["the runner"])
    assert tokenizer.decode(ids).strip() == "the runner"
    assert sorted(tokenizer.vocabulary.values()) == list(range(tokenizer.vocabulary_size))
    for index, token in enumerate(settings.special()):
        assert tokenizer.vocabulary[token] == index
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json"] + ["vocab.txt"] * (
        model == "wordpiece"
    )


def test_vocab_txt_is_the_same_tokenizer(tmp_path):
    save_tokenizer(train_tokenizer(texts, TrainingSettings(vocab_size=200)), tmp_path)
    sample = texts(20)
    one, other = (load_tokenizer(tmp_path / name) for name in ("tokenizer.json", "vocab.txt"))
    assert one.encode_batch(sample)[0].tolist() == other.encode_batch(sample)[0].tolist()


@pytest.mark.parametrize("model", ["wordpiece", "bpe"])
def test_the_same_file_in_every_process(tmp_path, model):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(texts(80)), encoding="utf-8")
    code = (
        "import sys; from preprocess.tokenization.training import *;"
        "lines = open(sys.argv[1], encoding='utf-8').readlines();"
        f"settings = TrainingSettings(model={model!r}, vocab_size=300, limit_alphabet=30);"
        "print(train_tokenizer(lambda: lines, settings).to_str())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code, str(corpus)], check=True, capture_output=True, cwd=ROOT).stdout
        for _ in range(4)
    }
    assert len(runs) == 1


def test_options_of_wordpiece():
    cased = train_tokenizer(texts, TrainingSettings(vocab_size=300, lowercase=False)).get_vocab()
    assert "É" in cased
    uncased = train_tokenizer(texts, TrainingSettings(vocab_size=300)).get_vocab()
    assert "É" not in uncased
    assert "river" in uncased
    limited = train_tokenizer(texts, TrainingSettings(vocab_size=300, limit_alphabet=5)).get_vocab()
    assert sum(len(token) == 1 for token in limited) == 5
    rare = train_tokenizer(texts, TrainingSettings(vocab_size=300, min_frequency=10**6)).get_vocab()
    assert "river" not in rare
    own = train_tokenizer(texts, TrainingSettings(vocab_size=300, special_tokens=("[UNK]", "<x>"))).get_vocab()
    assert (own["[UNK]"], own["<x>"]) == (0, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "magic"}, "model: found 'magic', expected one of wordpiece, bpe, unigram"),
        ({"vocab_size": 0}, "vocab_size: found 0, expected 1 or more"),
        ({"vocab_size": 20}, r"vocab_size: found 20, expected at least \d+ for \d+ characters"),
        ({"model": "bpe", "vocab_size": 20}, "the 256 bytes"),
        ({"min_frequency": -1}, "min_frequency: found -1"),
        ({"special_tokens": ("a", "a")}, "expected different tokens"),
        ({"special_tokens": ("[CLS]",)}, r"expected \[UNK\] among them"),
        ({"limit_alphabet": 0}, "limit_alphabet: found 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(TrainingError, match=message):
        train_tokenizer(texts, TrainingSettings(**settings))


def test_no_text():
    with pytest.raises(TrainingError, match="found no characters"):
        train_tokenizer(lambda: ["", " "], TrainingSettings())


def parse(*flags):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(flags)


def test_command(tmp_path, capsys):
    lines = [json.dumps({"body": text}) for text in texts(60)]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n\n")
    (tmp_path / "b.txt").write_text("river river\r\nriver\n")
    flags = [str(tmp_path / "a.jsonl.gz"), str(tmp_path / "b.txt"), "--output", str(tmp_path / "out")]
    assert command.run(parse(*flags, "--json-key", "body", "--vocab-size", "150", "--special-token", "[UNK]")) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "150 ids" or captured.out.splitlines()[-1].endswith(" ids")
    assert captured.err == ""
    assert load_tokenizer(tmp_path / "out").vocabulary["[UNK]"] == 0
    assert "train-tokenizer" in command.EXAMPLES


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": 3}\n', "line 1, byte 0: found not text"),
        ("a.jsonl", b'{"text": "x"}\n{"other": "x"}\n', "line 2, byte 14: found missing key"),
        ("a.jsonl", b"not json\n", "line 1, byte 0: found not JSON"),
        ("a.txt", b"fine\n\xff\n", "line 2, byte 5: found invalid UTF-8"),
    ],
)
def test_bad_lines(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MaskgenError, match=message):
        list(read_texts([str(tmp_path / name)], Options()))


def test_a_missing_file(tmp_path):
    with pytest.raises(MaskgenError, match=r"none\.txt"):
        list(read_texts([str(tmp_path / "none.txt")], Options()))


def test_texts_of_every_kind(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"text": ["two", "three"]}\n')
    (tmp_path / "b.txt").write_text("four\n\nfive\n")
    assert list(read_texts([str(tmp_path)], Options())) == ["one", "two", "three", "four", "five"]


def test_the_command_imports_nothing_heavy():
    code = (
        "import sys, maskgen.commands.train_tokenizer;"
        "print(sorted({'numpy', 'tokenizers', 'torch', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"

"""tools/preprocess_data.py: Megatron-LM's flags, and what each of them does here."""

import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import GOLDEN, contents, read_all
from pipeline_runs import documents, write_jsonl
from tokenizer_files import small_vocabulary, write_bpe, write_vocabulary

from preprocess import IndexedDataset, load_tokenizer

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tools" / "preprocess_data.py"
BERT = ["--tokenizer-type", "BertWordPieceLowerCase"]


def call(tmp_path, *flags, corpus=None, output="out"):
    corpus = corpus or tmp_path / "corpus.jsonl"
    files = ["--input", str(corpus), "--output-prefix", str(tmp_path / output)]
    workers = [] if "--workers" in flags else ["--workers", "1"]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *files, *workers, *flags], capture_output=True, text=True, timeout=60, check=False
    )


def succeed(tmp_path, *flags, **more):
    finished = call(tmp_path, *flags, **more)
    assert finished.returncode == 0, finished.stderr
    return finished.stderr.splitlines()


@pytest.fixture
def bert(tmp_path):
    """The flags of a small WordPiece tokenizer, and a corpus."""
    write_jsonl(tmp_path / "corpus.jsonl", ["Hello WORLD. The Token of the world!", "", "un café"])
    return [*BERT, "--vocab-file", write_vocabulary(tmp_path)]


def encode(path, text, **options):
    return load_tokenizer(path, "reference", **options).encode_batch([text])[0].tolist()


@pytest.mark.parametrize(("name", "flags"), [("indexed_plain", []), ("indexed_eod", ["--append-eod"])])
def test_the_bytes_of_the_golden_files(tmp_path, name, flags):
    tokenizer = ["--tokenizer-type", "HuggingFaceTokenizer", "--tokenizer-model"]
    tokenizer.append(str(GOLDEN / "bert-base-uncased-vocab.txt"))
    said = succeed(tmp_path, *tokenizer, *flags, "--workers", "2", corpus=GOLDEN / "indexed_input.jsonl")
    assert said == []
    assert contents(tmp_path / "out_text_document") == contents(GOLDEN / name)


@pytest.mark.parametrize(("kind", "lower"), [("BertWordPieceLowerCase", True), ("BertWordPieceCase", False)])
def test_wordpiece(tmp_path, bert, kind, lower):
    config = {"do_lower_case": not lower, "strip_accents": not lower, "sep_token": "[MASK]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))  # the type decides, not this
    vocabulary = bert[-1]
    said = succeed(tmp_path, "--tokenizer-type", kind, "--vocab", vocabulary, "--append-eod")
    assert [line.split(";")[0] for line in said] == [
        f"preprocess_data.py: {kind} adds no [CLS] and [SEP], which training puts around its samples"
    ]
    pieces = small_vocabulary()
    lines = (tmp_path / "corpus.jsonl").read_text().splitlines()
    texts = [text for text in (json.loads(line)["text"] for line in lines) if text]
    expected = [encode(vocabulary, text, lowercase=lower, strip_accents=lower) for text in texts]
    assert read_all(tmp_path / "out_text_document") == [[*ids, pieces.index("[SEP]")] for ids in expected]
    assert len(IndexedDataset(str(tmp_path / "out_text_document")).document_indices) == 4
    assert succeed(tmp_path, *bert, "--tokenizer-hf-include-special-tokens", output="with") == []
    cls, sep = pieces.index("[CLS]"), pieces.index("[SEP]")
    assert read_all(tmp_path / "with_text_document")[1] == [cls, sep]


def test_gpt2_whatever_its_files_are_called(tmp_path):
    write_jsonl(tmp_path / "corpus.jsonl", ["hehe he", ""])
    write_bpe(tmp_path)
    expected = encode(str(tmp_path), "hehe he")
    (tmp_path / "vocab.json").rename(tmp_path / "gpt2-vocab.json")
    (tmp_path / "merges.txt").rename(tmp_path / "gpt2-merges.txt")
    files = ["--vocab-file", str(tmp_path / "gpt2-vocab.json"), "--merge-file", str(tmp_path / "gpt2-merges.txt")]
    assert succeed(tmp_path, "--tokenizer-type", "GPT2BPETokenizer", *files, "--append-eod", "--workers", "2") == []
    end = json.loads((tmp_path / "gpt2-vocab.json").read_text())["<|endoftext|>"]
    assert read_all(tmp_path / "out_text_document") == [[*expected, end]]


def test_hugging_face_and_its_end_of_sequence(tmp_path):
    write_jsonl(tmp_path / "corpus.jsonl", ["hello world"])
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    write_vocabulary(folder)
    pieces = small_vocabulary()
    ids = encode(str(folder), "hello world")
    kind = ["--tokenizer-type", "HuggingFaceTokenizer", "--tokenizer-model", str(folder), "--append-eod"]
    for config, last in (({}, "[SEP]"), ({"eos_token": {"content": "[MASK]"}}, "[MASK]")):
        (folder / "tokenizer_config.json").write_text(json.dumps({**config, "sep_token": "[SEP]"}))
        assert succeed(tmp_path, *kind, output=last) == []
        whole = [pieces.index("[CLS]"), *ids, pieces.index("[SEP]"), pieces.index(last)]
        assert read_all(tmp_path / f"{last}_text_document") == [whole]
    succeed(tmp_path, *kind, "--tokenizer-hf-no-include-special-tokens", output="bare")
    assert read_all(tmp_path / "bare_text_document") == [[*ids, pieces.index("[MASK]")]]


def test_sentencepiece(tmp_path):
    import sentencepiece

    texts = ["hello world", "a hello to the world of tokens", "tokens of the world"]
    write_jsonl(tmp_path / "corpus.jsonl", texts)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 20), model_prefix=str(tmp_path / "own"), vocab_size=22, minloglevel=2
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "own.model"))
    kind = ["--tokenizer-type", "GPTSentencePieceTokenizer", "--tokenizer-model", str(tmp_path / "own.model")]
    assert succeed(tmp_path, *kind, "--append-eod") == []
    assert read_all(tmp_path / "out_text_document") == [[*processor.encode(text), processor.eos_id()] for text in texts]


def test_sentences(tmp_path, bert):
    said = succeed(tmp_path, *bert, "--split-sentences", "--keep-newlines", "--append-eod")
    assert said[0].endswith("--split-sentences goes by rules of our own; for NLTK's Punkt add --splitter punkt")
    dataset = IndexedDataset(str(tmp_path / "out_text_sentence"))
    assert dataset.document_indices.tolist() == [0, 2, 2, 3]
    assert not any("rules" in line for line in succeed(tmp_path, *bert, "--split-sentences", "--splitter", "newline"))


def test_several_keys_and_short_flags(tmp_path, bert):
    record = {"title": "hello", "body": "hello world", "n": 1}
    (tmp_path / "two.jsonl").write_text(json.dumps(record) + "\n")
    succeed(tmp_path, *bert, "--json-key", "title", "body", corpus=tmp_path / "two.jsonl")
    assert read_all(tmp_path / "out_title_document")[0] == read_all(tmp_path / "out_body_document")[0][:1]
    finished = call(tmp_path, *bert, "--json-keys", "absent", output="none", corpus=tmp_path / "two.jsonl")
    assert finished.returncode == 2
    assert "'absent'" in finished.stderr


def test_the_input_is_json_whatever_its_name_and_a_glob_has_an_order(tmp_path, bert):
    for name, text in (("b.txt", "world"), ("a.data", "hello"), ("c.json", "the")):
        write_jsonl(tmp_path / f"part-{name}", [text])
    succeed(tmp_path, *bert, "--partitions", "2", corpus=tmp_path / "part-*")
    words = [encode(bert[-1], text) for text in ("hello", "world", "the")]
    found = read_all(tmp_path / "out_text_document")
    assert all(word in found for word in words[2:])
    succeed(tmp_path, *bert, corpus=tmp_path / "part-b.txt", output="named")
    assert read_all(tmp_path / "named_text_document") == [words[1]]


def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("preprocess_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["preprocess_data"] = module
    spec.loader.exec_module(module)
    return module


def flag_with_values(flag, values):
    return [flag] if values == 0 else [flag, "3"]


def test_flags_without_effect_say_why_and_change_nothing(tmp_path, bert):
    succeed(tmp_path, *bert)
    expected = contents(tmp_path / "out_text_document")
    without = script().NO_EFFECT
    flags = [part for flag, (values, _) in without.items() for part in flag_with_values(flag, values)]
    said = succeed(tmp_path, *bert, *flags, "--dataset-impl", "mmap", output="other")
    assert said[:-1] == [f"preprocess_data.py: {flag} does nothing here: {why}" for flag, (_, why) in without.items()]
    assert contents(tmp_path / "other_text_document") == expected


def test_flags_that_would_change_ids_are_refused(tmp_path, bert):
    module = script()
    for flag, (values, remedy) in module.REFUSED.items():
        arguments = module.create_parser().parse_args(
            ["--input", "i", "--output-prefix", "o", *bert, *flag_with_values(flag, values)]
        )
        with pytest.raises(
            module.FlagError, match=f"{flag}: found it, expected a call without it.*; {re.escape(remedy)}"
        ):
            module.job_of(arguments, str(tmp_path))


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--dataset-impl", "lazy"], ["--dataset-impl: found lazy, expected mmap", "leave the flag out"]),
        (
            ["--tokenizer-type", "NullTokenizer"],
            ["--tokenizer-type: found NullTokenizer, expected one of", "ids already"],
        ),
        (["--tokenizer-type", "TikTokenizer"], ["found TikTokenizer", "convert it to a tokenizer.json"]),
        (["--tokenizer-type", "Other"], ["found Other, expected one of BertWordPieceLowerCase", "correct it"]),
        (["--vocab-file", "nowhere/vocab.txt"], ["--vocab-file: found nothing at nowhere/vocab.txt", "is downloaded"]),
        (["--tokenizer-type", "GPT2BPETokenizer"], ["--merge-file: found nothing, expected the tokenizer's file"]),
        (["--tokenizer-type", "HuggingFaceTokenizer"], ["--tokenizer-model: found nothing, expected"]),
        (["--tokenizer-type", "Llama2Tokenizer", "--tokenizer-model", __file__], ["expected a file *.model"]),
        (["--workers", "0"], ["--workers: found 0, expected at least 1"]),
        (["--input", "nowhere.jsonl"], ["nowhere.jsonl: ", "found no file of that name"]),
        (["--split-sentences", "--lang", "nonsense"], ["punkt", "'nonsense'"]),
    ],
    ids=lambda value: value[-1] if value[0].startswith("--") else "",
)
def test_what_cannot_be_done_is_one_line(tmp_path, bert, flags, parts):
    finished = call(tmp_path, *bert, *flags)
    assert finished.returncode == 2
    *_, last = finished.stderr.splitlines()
    assert last.startswith("preprocess_data.py: error: ")
    assert all(part in last for part in parts), last
    assert "Traceback" not in finished.stderr
    assert not list(tmp_path.glob("out*"))


def test_running_a_job_again(tmp_path, bert):
    write_jsonl(tmp_path / "corpus.jsonl", documents(20))
    succeed(tmp_path, *bert)
    first = contents(tmp_path / "out_text_document")
    again = call(tmp_path, *bert)
    assert "already complete" in again.stdout
    assert "replacing" not in again.stderr

    with (tmp_path / "corpus.jsonl").open("a") as file:
        file.write('{"text": 3}\n')
    failed = call(tmp_path, *bert)
    assert failed.returncode == 2
    assert "replacing what is there: " in failed.stderr
    assert contents(tmp_path / "out_text_document") == first  # a run that fails takes nothing away

    write_jsonl(tmp_path / "corpus.jsonl", documents(30))
    said = succeed(tmp_path, *bert)
    assert any("replacing what is there: " in line and "input" in line for line in said)
    assert len(IndexedDataset(str(tmp_path / "out_text_document")).document_indices) == 31

    (tmp_path / "out_text_document.json").unlink()  # as another tool's would be
    assert any("has not made" in line for line in succeed(tmp_path, *bert))
    assert contents(tmp_path / "out_text_document") != first


def test_an_interrupted_job_continues(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_bytes((GOLDEN / "indexed_input.jsonl").read_bytes() * 150)
    flags = [*BERT, "--vocab-file", str(GOLDEN / "bert-base-uncased-vocab.txt"), "--workers", "1"]
    files = ["--input", str(corpus), "--output-prefix", str(tmp_path / "out")]
    command = [sys.executable, str(SCRIPT), *files, *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out.maskgen-work/*.receipt.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.endswith("preprocess_data.py: interrupted; run the same command again to continue\n")
    finished = call(tmp_path, *flags)
    assert finished.returncode == 0
    assert "were there from an earlier run" in finished.stdout
    assert "replacing" not in finished.stderr


def test_every_flag_is_in_the_document_and_every_one_there_exists():
    documented = set(re.findall(r"--[a-z][a-z0-9-]*", (ROOT / "docs" / "megatron-flags.md").read_text()))
    actions = script().create_parser()._actions
    flags = {flag for action in actions for flag in action.option_strings if flag.startswith("--")}
    assert documented - flags <= {"--overwrite", "--json-key"}
    assert flags - documented == {"--help", "--vocab"}

"""From text to datasets: the same bytes however the work is divided, and every option's effect."""

import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import contents, leftovers, read_all
from pipeline_runs import documents, outcome, run, vocabulary, write_gzip, write_jsonl, write_lines

from preprocess import IndexedDataset, MaskgenError, load_tokenizer, verify_dataset
from preprocess.corpora.errors import CorpusError
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.options import Options, OptionsError
from preprocess.pipeline.provenance import origins
from preprocess.pipeline.work_folder import ResumeError
from preprocess.sentences import load_splitter

TEXTS = documents(300)


@pytest.fixture
def corpus(tmp_path):
    return write_jsonl(tmp_path / "corpus.jsonl", TEXTS)


def encode(tmp_path, text):
    return load_tokenizer(vocabulary(tmp_path), "reference").encode_batch([text])[0].tolist()


def expected_documents(tmp_path, texts=TEXTS):
    """What the reference gives, text by text."""
    return [ids for ids in (encode(tmp_path, text) for text in texts) if ids]


def test_one_document_a_line(tmp_path, corpus):
    summary = run(corpus, tmp_path / "out")
    prefix = summary.prefixes[0]
    assert prefix == str(tmp_path / "out_text_document")
    assert read_all(prefix) == expected_documents(tmp_path)
    dataset = IndexedDataset(prefix)
    assert len(dataset.document_indices) == len(TEXTS) + 1  # empty documents keep their boundary
    assert verify_dataset(prefix, full=True).ok
    assert sorted(os.listdir(tmp_path)) == [
        "corpus.jsonl", "out_text_document.bin", "out_text_document.idx", "out_text_document.json", "vocab.txt",
    ]  # fmt: skip
    sidecar = read_sidecar(prefix)
    assert sidecar.statistics["empty_documents"] == sum(not text for text in TEXTS)
    lengths = np.diff(np.concatenate(([0], np.cumsum(dataset.sequence_lengths)))[dataset.document_indices])
    assert sidecar.statistics["tokens_per_document"]["p50"] == int(np.sort(lengths)[len(TEXTS) // 2 - 1])
    assert sidecar.statistics["tokens_per_document"]["max"] == int(lengths.max())
    unknown = load_tokenizer(vocabulary(tmp_path)).roles.unk
    assert sidecar.statistics["unknown_tokens"] == sum(ids.count(unknown) for ids in read_all(prefix)) > 0


@pytest.mark.parametrize("shard_bytes", [60, 100, 1000, 5000])
def test_any_division_gives_the_same_bytes(tmp_path, corpus, shard_bytes):
    run(corpus, tmp_path / "whole")
    run(corpus, tmp_path / "cut", Options(shard_bytes=shard_bytes))
    assert outcome(tmp_path / "cut_text_document") == outcome(tmp_path / "whole_text_document")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_gives_the_same_bytes(tmp_path, corpus, workers):
    run(corpus, tmp_path / "inline")
    summary = run(corpus, tmp_path / "local", Options(shard_bytes=2000), workers=workers)
    assert summary.shards_done > 5
    assert outcome(tmp_path / "local_text_document") == outcome(tmp_path / "inline_text_document")


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_any_engine_gives_the_same_bytes(tmp_path, corpus, engine):
    run(corpus, tmp_path / "auto")
    run(corpus, tmp_path / engine, engine=engine)
    assert outcome(tmp_path / f"{engine}_text_document") == outcome(tmp_path / "auto_text_document")


def test_several_keys_in_one_pass_stay_aligned(tmp_path):
    lines = [json.dumps({"title": f"hello {i}", "body": {"main": "the world " * (i % 4)}}) for i in range(50)]
    lines[7] = json.dumps({"title": "no body"})
    corpus = write_lines(tmp_path / "corpus.jsonl", *(line.encode() for line in lines))
    options = Options(json_keys=("title", "body.main"), on_error="skip")
    summary = run(corpus, tmp_path / "out", options, max_errors="1")
    assert [Path(prefix).name for prefix in summary.prefixes] == ["out_title_document", "out_body.main_document"]
    titles, bodies = (IndexedDataset(prefix) for prefix in summary.prefixes)
    assert len(titles.document_indices) == len(bodies.document_indices) == 50
    kept = [i for i in range(50) if i != 7]
    assert [ids.tolist() for ids in titles] == [encode(tmp_path, f"hello {i}") for i in kept]
    assert np.diff(bodies.document_indices).tolist() == [int(i % 4 > 0) for i in kept]


def test_lists_of_sentences_are_sequences(tmp_path):
    record = {"text": ["Hello world.", "", "The token."]}
    corpus = write_lines(tmp_path / "corpus.jsonl", json.dumps(record).encode(), b'{"text": []}', b'{"text": "the"}')
    prefix = run(corpus, tmp_path / "out").prefixes[0]
    assert read_all(prefix) == [encode(tmp_path, text) for text in ("Hello world.", "The token.", "the")]
    assert IndexedDataset(prefix).document_indices.tolist() == [0, 2, 2, 3]


def test_sentences_are_split(tmp_path, corpus):
    prefix = run(corpus, tmp_path / "out", Options(split_sentences=True)).prefixes[0]
    assert prefix.endswith("out_text_sentence")
    split = load_splitter()
    expected = [encode(tmp_path, sentence) for text in TEXTS for sentence in split(text)]
    assert read_all(prefix) == [ids for ids in expected if ids]


def test_end_of_document_and_special_tokens(tmp_path):
    """An empty text yields no token, so nothing ends there; with special tokens around it, something does."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", ["the world", "", "hello"])
    cls, sep = 2, 3
    world, hello = encode(tmp_path, "the world"), encode(tmp_path, "hello")
    plain = run(corpus, tmp_path / "eod", Options(append_eod=True)).prefixes[0]
    assert read_all(plain) == [[*world, sep], [*hello, sep]]
    assert IndexedDataset(plain).document_indices.tolist() == [0, 1, 1, 2]
    both = run(corpus, tmp_path / "both", Options(append_eod=True, add_special_tokens=True)).prefixes[0]
    assert read_all(both) == [[cls, *world, sep, sep], [cls, sep, sep], [cls, *hello, sep, sep]]


def test_end_of_document_goes_to_the_last_sentence(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", ["The world. Hello world.", "hello"])
    prefix = run(corpus, tmp_path / "out", Options(append_eod=True, split_sentences=True)).prefixes[0]
    first, second = encode(tmp_path, "The world."), encode(tmp_path, "Hello world.")
    assert read_all(prefix) == [first, [*second, 3], [*encode(tmp_path, "hello"), 3]]


@pytest.mark.parametrize("most", [1, 7, 100, 299, 300, 1000])
def test_max_documents_takes_the_first(tmp_path, corpus, most):
    for workers in (0, 2):
        options = Options(max_documents=most, shard_bytes=900 + workers)
        prefix = run(corpus, tmp_path / f"out{workers}", options, workers=workers).prefixes[0]
        assert len(IndexedDataset(prefix).document_indices) == min(most, 300) + 1
        assert read_all(prefix) == expected_documents(tmp_path, TEXTS[:most])
    assert outcome(tmp_path / "out0_text_document") == outcome(tmp_path / "out2_text_document")


def test_nobody_meets_a_bad_line_behind_the_last_wanted_document(tmp_path):
    lines = [json.dumps({"text": text}).encode() for text in TEXTS[:40]]
    corpus = write_lines(tmp_path / "corpus.jsonl", *lines[:20], b"junk", *lines[20:])
    for workers, shard_bytes in ((0, None), (0, 700), (2, 700), (2, 5000)):
        options = Options(max_documents=20, shard_bytes=shard_bytes)
        prefix = run(corpus, tmp_path / f"out-{workers}-{shard_bytes}", options, workers=workers).prefixes[0]
        assert read_all(prefix) == expected_documents(tmp_path, TEXTS[:20])
        with pytest.raises(MaskgenError, match="line 21"):
            run(
                corpus,
                tmp_path / f"more-{workers}-{shard_bytes}",
                Options(max_documents=21, shard_bytes=shard_bytes),
                workers=workers,
            )


def test_shuffle_is_a_permutation_that_only_the_seed_decides(tmp_path, corpus, monkeypatch):
    plain = run(corpus, tmp_path / "plain").prefixes[0]
    shuffled = run(corpus, tmp_path / "one", Options(shuffle_seed=1)).prefixes[0]
    run(corpus, tmp_path / "again", Options(shuffle_seed=1, shard_bytes=777), workers=2)
    monkeypatch.setattr("preprocess.pipeline.shuffle.BUCKET_BYTES", 512)
    monkeypatch.setattr("preprocess.pipeline.shuffle.BATCH_BYTES", 300)
    monkeypatch.setattr("preprocess.pipeline.shuffle.HELD_BYTES", 1000)
    run(corpus, tmp_path / "buckets", Options(shuffle_seed=1))
    other = run(corpus, tmp_path / "two", Options(shuffle_seed=2)).prefixes[0]
    assert contents(tmp_path / "again_text_document") == contents(shuffled)
    assert contents(tmp_path / "buckets_text_document") == contents(shuffled)
    assert contents(other) != contents(shuffled) != contents(plain)
    assert by_document(shuffled) != by_document(plain)
    assert sorted(by_document(shuffled)) == sorted(by_document(other)) == sorted(by_document(plain))


def by_document(prefix):
    dataset = IndexedDataset(prefix)
    bounds = dataset.document_indices.tolist()
    return [[dataset[i].tolist() for i in range(a, b)] for a, b in itertools.pairwise(bounds)]


def test_shuffle_moves_all_keys_and_sentences_alike(tmp_path):
    lines = [json.dumps({"a": f"{i}", "b": f"The {i} there. World {i} there."}).encode() for i in range(60)]
    corpus = write_lines(tmp_path / "corpus.jsonl", *lines)
    options = Options(json_keys=("a", "b"), shuffle_seed=5, split_sentences=True)
    first, second = (by_document(prefix) for prefix in run(corpus, tmp_path / "out", options).prefixes)
    for one, two in zip(first, second, strict=True):
        assert [sentence[1 : 1 + len(one[0])] for sentence in two] == [one[0], one[0]]


def test_shuffled_positions_are_uniform(tmp_path):
    """Of 2,000 documents, each half of the corpus is in each half of the result about equally often."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [f"{i}" for i in range(2000)])
    options = Options(shuffle_seed=3, provenance=True)
    prefix = run(corpus, tmp_path / "out", options).prefixes[0]
    lines = np.load(f"{prefix}.lines.npy")
    assert sorted(lines.tolist()) == list(range(2000))
    assert 430 < (lines[:1000] < 1000).sum() < 570
    assert abs(np.corrcoef(np.arange(2000), lines)[0, 1]) < 0.1


@pytest.mark.parametrize("shuffle", [None, 4])
def test_provenance_leads_back_to_file_and_line(tmp_path, shuffle):
    lines = [b"", *(json.dumps({"text": f"hello {i}"}).encode() for i in range(40)), b"  "]
    one = write_lines(tmp_path / "a.jsonl", *lines)
    two = write_gzip(tmp_path / "b.jsonl.gz", b"\n".join(lines))
    options = Options(provenance=True, shuffle_seed=shuffle, shard_bytes=200)
    prefix = run([one, two], tmp_path / "out", options).prefixes[0]
    dataset = IndexedDataset(prefix)
    for document, origin in enumerate(origins(prefix, range(80))):
        content = (tmp_path / origin.file).read_bytes() if origin.file == one else b"\n".join(lines)
        record = json.loads(content.split(b"\n")[origin.line - 1])
        assert dataset[document].tolist() == encode(tmp_path, record["text"])
    assert {origin.file for origin in origins(prefix, range(80))} == {one, two}
    assert os.path.getsize(f"{prefix}.lines.npy") == 128 + 4 * 80


def test_keep_shards_makes_datasets_that_merge_to_the_whole(tmp_path, corpus):
    from preprocess import merge_datasets

    run(corpus, tmp_path / "whole")
    run(corpus, tmp_path / "part", Options(shard_bytes=3000), keep_shards=True)
    parts = sorted(str(path.with_suffix("")) for path in tmp_path.glob("part_*.idx"))
    assert len(parts) > 3
    assert parts[0].endswith(f"part_text_document-00000-of-{len(parts):05d}")
    merge_datasets(parts, tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole_text_document")
    assert read_sidecar(tmp_path / "merged").settings == read_sidecar(parts[0]).settings
    assert run(corpus, tmp_path / "part", Options(shard_bytes=3000), keep_shards=True).already_complete


def test_directories_globs_and_compression(tmp_path, monkeypatch):
    import zstandard

    texts = [documents(20, seed) for seed in range(4)]
    folder = tmp_path / "corpus"
    (folder / "inner").mkdir(parents=True)
    write_jsonl(folder / "a.jsonl", texts[0])
    write_gzip(folder / "b.jsonl.gz", Path(write_jsonl(tmp_path / "x", texts[1])).read_bytes())
    content = Path(write_jsonl(tmp_path / "x", texts[2])).read_bytes()
    (folder / "c.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(content))
    write_lines(folder / "inner" / "d.txt", *(text.replace("\n", " ").encode() for text in texts[3]))
    (folder / "README.md").write_text("about")
    notes = []
    prefix = run(folder, tmp_path / "out", notes=notes).prefixes[0]
    flat = [text for part in texts[:3] for text in part] + [text.replace("\n", " ") for text in texts[3]]
    assert read_all(prefix) == expected_documents(tmp_path, flat)
    assert "README.md" in notes[0]
    monkeypatch.chdir(tmp_path)
    prefix = run("corpus/*.jsonl*", tmp_path / "glob").prefixes[0]
    assert read_all(prefix) == expected_documents(tmp_path, flat[:60])
    assert [file.name for file in read_sidecar(prefix).inputs] == [
        "corpus/a.jsonl", "corpus/b.jsonl.gz", "corpus/c.jsonl.zst",
    ]  # fmt: skip


@pytest.mark.parametrize("shard_bytes", [None, 150])
def test_plain_text_three_ways(tmp_path, shard_bytes):
    content = "the world\nhello\n\n \nof the token\r\nworld hello\n\n\n"
    path = tmp_path / "corpus.txt"
    path.write_bytes((content * 10).encode())
    blocks = ["the world\nhello", "of the token\r\nworld hello"] * 10
    lines = [line.strip() for line in (content * 10).split("\n") if line.strip()]
    for way, expected in (("line", lines), ("block", blocks), ("file", [content * 10])):
        options = Options(text_documents=way, shard_bytes=shard_bytes)
        prefix = run(path, tmp_path / way, options).prefixes[0]
        assert read_all(prefix) == expected_documents(tmp_path, expected), way


def test_parquet_and_saved_datasets(tmp_path, corpus):
    import pyarrow
    import pyarrow.parquet
    from datasets import Dataset

    table = pyarrow.table({"text": TEXTS, "n": list(range(len(TEXTS)))})
    pyarrow.parquet.write_table(table, tmp_path / "corpus.parquet", row_group_size=50)
    Dataset.from_dict({"text": TEXTS}).save_to_disk(str(tmp_path / "saved"))
    plain = run(corpus, tmp_path / "plain").prefixes[0]
    for name in ("corpus.parquet", "saved"):
        for shard_bytes in (None, 500):
            options = Options(shard_bytes=shard_bytes)
            prefix = run(tmp_path / name, tmp_path / f"{name}{shard_bytes}", options).prefixes[0]
            assert contents(prefix) == contents(plain)


def command(*arguments):
    return [sys.executable, "-m", "maskgen.cli", "tokenize", *map(str, arguments)]


def test_standard_input(tmp_path, corpus):
    plain = run(corpus, tmp_path / "plain").prefixes[0]
    arguments = ["-", "--tokenizer", vocabulary(tmp_path), "--output-prefix", tmp_path / "out", "--workers", "0"]
    content = Path(corpus).read_bytes()
    for _ in range(2):
        done = subprocess.run(command(*arguments), input=content, capture_output=True, check=True, timeout=60)
    assert b"already complete" in done.stdout
    assert contents(tmp_path / "out_text_document") == contents(plain)
    changed = subprocess.run(command(*arguments), input=content[:-1], capture_output=True, check=False, timeout=60)
    assert changed.returncode == 2
    assert b"input -: was" in changed.stderr
    assert not list(tmp_path.glob("*.maskgen-work"))


def test_the_command_says_what_came_out(tmp_path, corpus):
    arguments = [corpus, "--tokenizer", vocabulary(tmp_path), "--output-prefix", tmp_path / "out", "--workers", "1"]
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=True, timeout=60)
    assert "300 documents" in done.stdout
    assert done.stderr == ""
    quiet = subprocess.run(
        command(*arguments, "--overwrite", "--quiet"), capture_output=True, text=True, check=True, timeout=60
    )
    assert quiet.stdout == quiet.stderr == ""


def test_a_dry_run_touches_nothing(tmp_path, corpus):
    arguments = [corpus, "--tokenizer", vocabulary(tmp_path), "--output-prefix", tmp_path / "out", "--dry-run"]
    before = sorted(os.listdir(tmp_path))
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=True, timeout=60)
    for word in ("1 inputs", "1 shards", "time:", "disk:", "memory:", "300 documents"):
        assert word in done.stdout
    assert sorted(os.listdir(tmp_path)) == before


def test_the_same_command_again_finds_its_work_done(tmp_path, corpus):
    run(corpus, tmp_path / "out")
    before = os.stat(tmp_path / "out_text_document.idx")
    assert run(corpus, tmp_path / "out").already_complete
    assert os.stat(tmp_path / "out_text_document.idx") == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"append_eod": True}, "option append_eod: was False, is True"),
        ({"shuffle_seed": 1}, "option shuffle_seed: was None, is 1"),
        ({"max_documents": 3}, "option max_documents: was None, is 3"),
    ],
)
def test_other_options_are_refused_by_name(tmp_path, corpus, change, named):
    run(corpus, tmp_path / "out")
    with pytest.raises(ResumeError, match=named):
        run(corpus, tmp_path / "out", Options(**change))
    assert not run(corpus, tmp_path / "out", Options(**change), overwrite=True).already_complete


def test_other_inputs_are_refused_by_name(tmp_path, corpus):
    run(corpus, tmp_path / "out")
    extra = write_jsonl(tmp_path / "extra.jsonl", ["the"])
    with pytest.raises(ResumeError, match=r"input .*extra\.jsonl: was not there, is now"):
        run([corpus, extra], tmp_path / "out")
    with open(corpus, "ab") as file:
        file.write(b'{"text": "more"}\n')
    with pytest.raises(ResumeError, match=r"input .*corpus\.jsonl: was \d+ bytes, is \d+"):
        run(corpus, tmp_path / "out")


def test_another_tokenizer_is_refused_by_name(tmp_path, corpus):
    run(corpus, tmp_path / "out")
    with open(vocabulary(tmp_path), "a") as file:
        file.write("newword\n")
    with pytest.raises(ResumeError, match=r"tokenizer sha256: was .*, is "):
        run(corpus, tmp_path / "out")


def test_a_strangers_dataset_is_not_replaced(tmp_path, corpus):
    from helpers import write_dataset

    write_dataset(tmp_path / "out_text_document", [[[1]]])
    before = contents(tmp_path / "out_text_document")
    with pytest.raises(ResumeError, match="that this command has not made"):
        run(corpus, tmp_path / "out")
    assert contents(tmp_path / "out_text_document") == before
    run(corpus, tmp_path / "out", overwrite=True)
    assert len(IndexedDataset(tmp_path / "out_text_document").document_indices) == 301


def test_a_tokenizer_without_the_needed_token_is_refused_before_any_text_is_read(tmp_path):
    (tmp_path / "vocab.txt").write_text("[UNK]\na\nb\n")
    with pytest.raises(MaskgenError, match="eod"):
        run(tmp_path / "no-such-file.jsonl", tmp_path / "out", Options(append_eod=True))


@pytest.mark.parametrize(
    "options",
    [
        Options(json_keys=("a", "a")), Options(json_keys=()), Options(json_keys=("a/b",)), Options(max_documents=0),
        Options(max_line_bytes=0), Options(on_error="never"), Options(text_documents="page"), Options(shuffle_seed=-1),
    ],
)  # fmt: skip
def test_senseless_options(tmp_path, corpus, options):
    with pytest.raises(OptionsError, match="found"):
        run(corpus, tmp_path / "out", options)
    assert leftovers(tmp_path) == []


def test_a_file_that_changes_during_the_run(tmp_path, corpus, monkeypatch):
    from preprocess.pipeline import run as module

    original = module.make_plan

    def plan_then_change(*arguments):
        plan = original(*arguments)
        os.utime(corpus, ns=(1, 1))
        return plan

    monkeypatch.setattr(module, "make_plan", plan_then_change)
    with pytest.raises((CorpusError, MaskgenError), match="changed"):
        run(corpus, tmp_path / "out")


def test_random_corpora_in_random_divisions(tmp_path):
    """Bad lines, blank lines, every policy: counts and bytes never depend on the division."""
    rng = random.Random(11)
    junk = [b"", b"  \r", b"{", b'{"text": 1}', b'{"other": ""}', b'{"text": "\xff"}', b'{"text": "\\ud800"}', b"[]"]
    good = [json.dumps({"text": text}, ensure_ascii=bool(i % 2)).encode() for i, text in enumerate(documents(30))]
    for trial in range(12):
        lines = [rng.choice(junk if rng.random() < 0.3 else good) for _ in range(rng.randrange(1, 60))]
        corpus = write_lines(tmp_path / f"{trial}.jsonl", *lines)
        options = {"on_error": "quarantine", "provenance": True, "max_documents": rng.choice([None, 5, 25])}
        found = []
        for number, shard_bytes in enumerate((None, rng.randrange(1, 400), rng.randrange(1, 400))):
            prefix = tmp_path / f"{trial}-{number}"
            summary = run(corpus, prefix, Options(**options, shard_bytes=shard_bytes), max_errors="100%")
            quarantine = Path(summary.quarantine).read_bytes() if summary.quarantine else b""
            lines_file = Path(f"{prefix}_text_document.lines.npy").read_bytes()
            found.append((outcome(f"{prefix}_text_document"), quarantine, lines_file))
        assert found[0] == found[1] == found[2]


def test_max_documents_across_small_files(tmp_path):
    """Several files in one shard: those behind the limit are not looked at."""
    paths = [write_jsonl(tmp_path / f"{number}.jsonl", TEXTS[10 * number : 10 * number + 10]) for number in range(5)]
    (tmp_path / "4.jsonl").write_text("junk\n")
    for most in (5, 10, 11, 40):
        for workers in (0, 2):
            options = Options(max_documents=most, shard_bytes=1500)
            prefix = run(paths, tmp_path / f"out{most}{workers}", options, workers=workers).prefixes[0]
            assert read_all(prefix) == expected_documents(tmp_path, TEXTS[:most])


def test_max_documents_and_a_file_that_is_damaged_at_its_end(tmp_path):
    """It is left out only where it has to be read to its end, however the work is cut."""
    import gzip

    first = write_jsonl(tmp_path / "a.jsonl", TEXTS[:50])
    content = Path(write_jsonl(tmp_path / "x", TEXTS * 40)).read_bytes()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(content)[:-4])
    for most, expected in ((100, 100), (100_000, 50)):
        found = []
        for shard_bytes in (700, 3000, 1 << 30):
            options = Options(max_documents=most, on_error="skip", shard_bytes=shard_bytes)
            prefix = tmp_path / f"out{most}-{shard_bytes}"
            summary = run([first, tmp_path / "b.jsonl.gz"], prefix, options, max_errors="100%")
            assert summary.totals.documents == expected
            found.append(outcome(summary.prefixes[0]))
        assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("workers", [-1, -5])
def test_fewer_than_no_workers(tmp_path, corpus, workers):
    with pytest.raises(MaskgenError, match="--workers: found -"):
        run(corpus, tmp_path / "out", workers=workers)


def test_an_executor_that_loses_shards_is_noticed(tmp_path, corpus, monkeypatch):
    from preprocess.pipeline.executors.inline import InlineExecutor

    monkeypatch.setattr(InlineExecutor, "run", lambda *arguments: None)
    with pytest.raises(RuntimeError, match="0 of 1 shards"):
        run(corpus, tmp_path / "out")
    assert not list(tmp_path.glob("out_*"))


@pytest.mark.parametrize("kind", ["bin", "lines.npy"])
def test_a_finished_dataset_without_all_its_files_is_not_complete(tmp_path, corpus, kind):
    options = Options(provenance=True)
    run(corpus, tmp_path / "out", options)
    (tmp_path / f"out_text_document.{kind}").unlink()
    with pytest.raises(ResumeError, match=f"{kind}: found nothing"):
        run(corpus, tmp_path / "out", options)


def test_nothing_of_an_older_dataset_stays_beside_a_new_one(tmp_path):
    corpus = write_lines(tmp_path / "corpus.jsonl", b'{"text": "the"}', b"junk")
    run(corpus, tmp_path / "out", Options(provenance=True, on_error="quarantine"), max_errors="50%")
    assert (tmp_path / "out.quarantine.jsonl").exists()
    write_jsonl(corpus, ["the", "world"])
    run(corpus, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out.quarantine.jsonl").exists()
    assert not (tmp_path / "out_text_document.lines.npy").exists()
    many = write_jsonl(tmp_path / "many.jsonl", TEXTS)
    run(many, tmp_path / "split", Options(shard_bytes=3000), keep_shards=True)
    run(many, tmp_path / "split", Options(shard_bytes=9000), keep_shards=True, overwrite=True)
    assert len({path.name[-9:] for path in tmp_path.glob("split_*.idx")}) == 1


def test_split_datasets_say_what_is_in_each(tmp_path):
    paths = [write_jsonl(tmp_path / f"{number}.jsonl", TEXTS[:20]) for number in range(4)]
    run(paths, tmp_path / "out", Options(shard_bytes=1), keep_shards=True)
    for number, path in enumerate(sorted(tmp_path.glob("out_*.idx"))):
        sidecar = read_sidecar(path.with_suffix(""))
        assert {file.name for file in sidecar.inputs} <= set(paths)
        assert sidecar.statistics["lines_read"] == sidecar.documents, number


def test_a_shuffle_of_very_short_documents(tmp_path, monkeypatch):
    monkeypatch.setattr("preprocess.pipeline.shuffle.GATHERED", 7)
    corpus = write_jsonl(tmp_path / "corpus.jsonl", TEXTS)
    one = run(corpus, tmp_path / "one", Options(shuffle_seed=1)).prefixes[0]
    monkeypatch.undo()
    assert contents(run(corpus, tmp_path / "two", Options(shuffle_seed=1)).prefixes[0]) == contents(one)


def test_output_in_the_folder_of_the_input(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_lines(folder / "a.jsonl", b'{"text": "the"}', b"junk")
    vocabulary(folder)
    os.rename(folder / "vocab.txt", tmp_path / "vocab.txt")
    for _ in range(2):
        arguments = [folder, "--tokenizer", tmp_path / "vocab.txt", "--output-prefix", folder / "out", "--workers", "0"]
        more = ["--on-error", "quarantine", "--max-errors", "1"]
        done = subprocess.run(command(*arguments, *more), capture_output=True, text=True, check=True, timeout=60)
    assert "already complete" in done.stdout


def test_rows_of_a_table_are_counted_from_its_start(tmp_path):
    import pyarrow
    import pyarrow.parquet

    texts = ["hello"] * 100
    texts[70] = None
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "c.parquet", row_group_size=20)
    for shard_bytes in (None, 100):
        with pytest.raises(MaskgenError, match="row 71: found null"):
            run(tmp_path / "c.parquet", tmp_path / f"out{shard_bytes}", Options(shard_bytes=shard_bytes))


def test_too_many_bad_records_are_in_quarantine_all_the_same(tmp_path):
    corpus = write_lines(tmp_path / "corpus.jsonl", b'{"text": "the"}', b"junk", b"junk")
    with pytest.raises(MaskgenError, match=r"look at .*out\.quarantine\.jsonl"):
        run(corpus, tmp_path / "out", Options(on_error="quarantine"), max_errors="1")
    assert len((tmp_path / "out.quarantine.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("flags", [["--json-keys", "a", "--json-keys", "b"], ["--json-keys", "a", "b"]])
def test_keys_may_be_named_together_or_apart(tmp_path, flags):
    corpus = write_lines(tmp_path / "corpus.jsonl", b'{"a": "the", "b": "world"}')
    arguments = [corpus, "--tokenizer", vocabulary(tmp_path), "--output-prefix", tmp_path / "out", "--workers", "0"]
    subprocess.run(command(*arguments, *flags), capture_output=True, check=True, timeout=60)
    assert len(list(tmp_path.glob("out_*.idx"))) == 2


def test_a_refused_command_leaves_nothing(tmp_path):
    corpus = write_lines(tmp_path / "corpus.jsonl", b"junk")
    with pytest.raises(MaskgenError, match="line 1"):
        run(corpus, tmp_path / "out")
    with pytest.raises(MaskgenError, match="shards missing"):
        run(corpus, tmp_path / "out", finish=True)
    assert sorted(os.listdir(tmp_path)) == ["corpus.jsonl", "vocab.txt"]

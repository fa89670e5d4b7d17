"""Captions with images: Megatron-LM's pairs byte for byte, the same bytes however the work is divided, bad records."""

import base64
import itertools
import json
import os
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from helpers import leftovers
from image_files import picture, png, ppm, write_pairs
from pipeline_runs import outcome, run, vocabulary

from maskgen import cli
from preprocess import IndexedDataset, MaskgenError, load_tokenizer, merge_datasets, verify_dataset
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.options import Options, OptionsError
from preprocess.pipeline.summary import Summary
from preprocess.pipeline.work_folder import ResumeError

PAIRS = {"json_keys": ("caption",), "images": "image"}


def read_as_megatron(prefix):
    """Pairs by an own reading of both files: ids and image bytes of each document, as its reader has them."""
    index, tokens = Path(f"{prefix}.idx").read_bytes(), Path(f"{prefix}.bin").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, sequences, entries = struct.unpack_from("<QBQQ", index, 9)
    assert (version, code) == (1, 4)  # int32, whatever the vocabulary
    place = 34
    lengths = np.frombuffer(index, "<i4", sequences, place)
    pointers = np.frombuffer(index, "<i8", sequences, place + 4 * sequences)
    documents = np.frombuffer(index, "<i8", entries, place + 12 * sequences)
    modes = np.frombuffer(index, "<i1", sequences, place + 12 * sequences + 8 * entries)
    assert len(index) == place + 13 * sequences + 8 * entries
    pairs = []
    for first, end in itertools.pairwise(documents.tolist()):
        assert (end - first, modes[first], modes[first + 1]) == (2, 0, 1)
        text = np.frombuffer(tokens, "<i4", lengths[first], pointers[first])
        image = np.frombuffer(tokens, "<i4", lengths[first + 1], pointers[first + 1])
        content = image[1:].tobytes()
        assert 0 <= image[0] < 4
        assert content[len(content) - int(image[0]) :] == bytes(int(image[0]))
        pairs.append((text.tolist(), content[: len(content) - int(image[0])]))
    return pairs


@pytest.fixture
def corpus(tmp_path):
    return write_pairs(tmp_path, 40, sizes=[(9, 7), (8, 7), (9, 8), (5, 5)])


def test_pairs_are_those_of_megatron(tmp_path, corpus):
    lines, captions, _ = corpus
    summary = run(lines, tmp_path / "out", Options(**PAIRS))
    (prefix,) = summary.prefixes
    assert prefix == str(tmp_path / "out_caption_document")
    encode = load_tokenizer(vocabulary(tmp_path), "reference").encode_batch
    files = [json.loads(line)["image"] for line in Path(lines).read_text().splitlines()]
    expected = [
        (encode([caption])[0].tolist(), (tmp_path / name).read_bytes())
        for caption, name in zip(captions, files, strict=True)
    ]
    assert read_as_megatron(prefix) == expected
    assert {len(image) % 4 for _, image in expected} == {0, 1, 2, 3}
    dataset = IndexedDataset(prefix)
    assert dataset.sequence_modes.tolist() == [0, 1] * 40
    assert verify_dataset(prefix, full=True).ok  # ids in the vocabulary, whatever the bytes of images look like
    statistics = read_sidecar(prefix).statistics
    assert statistics["tokens_per_document"]["max"] == max(len(ids) for ids, _ in expected)
    assert statistics["unknown_tokens"] == 0


def test_a_wrong_id_beside_images_is_still_found(tmp_path, corpus):
    prefix = run(corpus[0], tmp_path / "out", Options(**PAIRS)).prefixes[0]
    report = verify_dataset(prefix, vocabulary_size=int(max(max(ids) for ids, _ in read_as_megatron(prefix))))
    assert not report.ok
    assert "sequence" in report.findings[0].place


@pytest.mark.parametrize("shard_bytes", [100, 700])
@pytest.mark.parametrize("workers", [0, 2])
def test_any_division_gives_the_same_bytes(tmp_path, corpus, shard_bytes, workers, monkeypatch):
    run(corpus[0], tmp_path / "whole", Options(**PAIRS))
    monkeypatch.setattr("preprocess.pipeline.images.AT_ONCE", 500)  # of this process: groups of a few images
    summary = run(corpus[0], tmp_path / "cut", Options(**PAIRS, shard_bytes=shard_bytes), workers=workers)
    assert summary.shards_done > 3
    assert outcome(tmp_path / "cut_caption_document") == outcome(tmp_path / "whole_caption_document")
    again = run(corpus[0], tmp_path / "cut", Options(**PAIRS, shard_bytes=shard_bytes))
    assert again.already_complete


def test_other_options_with_images(tmp_path, corpus):
    """Shuffled pairs stay pairs; limits, merges, and the end of a caption."""
    whole = read_as_megatron(run(corpus[0], tmp_path / "whole", Options(**PAIRS)).prefixes[0])
    mixed = run(corpus[0], tmp_path / "mixed", Options(**PAIRS, shuffle_seed=3, shard_bytes=700)).prefixes[0]
    assert read_as_megatron(mixed) != whole
    assert sorted(read_as_megatron(mixed)) == sorted(whole)
    first = run(corpus[0], tmp_path / "first", Options(**PAIRS, max_documents=13, shard_bytes=700)).prefixes[0]
    assert read_as_megatron(first) == whole[:13]
    merge_datasets([first, mixed], str(tmp_path / "merged"))
    assert read_as_megatron(tmp_path / "merged") == whole[:13] + read_as_megatron(mixed)
    ended = run(corpus[0], tmp_path / "ended", Options(**PAIRS, append_eod=True)).prefixes[0]
    assert [text[:-1] for text, _ in read_as_megatron(ended)] == [text for text, _ in whole]


def test_images_in_the_lines_themselves(tmp_path):
    image = png(picture(1))
    lines = tmp_path / "lines.jsonl"
    lines.write_text(
        json.dumps({"caption": "the world", "image": base64.b64encode(image).decode()}) + "\n\n"
        + json.dumps({"caption": "hello", "image": "no base64!"}) + "\n"
    )  # fmt: skip
    options = Options(**PAIRS, image_encoding="base64", on_error="skip")
    summary = run(str(lines), tmp_path / "out", options, max_errors="1")
    assert [image for _, image in read_as_megatron(summary.prefixes[0])] == [image]
    assert summary.totals.skipped == {"unreadable image": 1}
    assert summary.totals.blank == 1


def bad_lines(folder):
    """A bad record of each kind, with the reason."""
    (folder / "img").mkdir()
    (folder / "img/good.png").write_bytes(png(picture(1)))
    (folder / "img/cut.png").write_bytes(png(picture(1))[:-9])
    (folder / "img/empty.png").write_bytes(b"")
    (folder / "img/zeros.png").write_bytes(bytes(64))
    (folder / "img/large.ppm").write_bytes(ppm(picture(1, 60, 60)))
    os.mkfifo(folder / "img/pipe.png")
    (folder.parent / "secret.png").write_bytes(png(picture(2)))
    good = "img/good.png"
    return [
        ({"caption": "hello", "image": "img/none.png"}, "missing image"),
        ({"caption": "hello", "image": "img/pipe.png"}, "missing image"),
        ({"caption": "hello", "image": "img"}, "missing image"),
        ({"caption": "hello", "image": "img/cut.png"}, "unreadable image"),
        ({"caption": "hello", "image": "img/empty.png"}, "unreadable image"),
        ({"caption": "hello", "image": "img/zeros.png"}, "unreadable image"),
        ({"caption": "hello", "image": "img/large.ppm"}, "unreadable image"),
        ({"caption": "hello", "image": "../secret.png"}, "bad image name"),
        ({"caption": "hello", "image": str(folder.parent / "secret.png")}, "bad image name"),
        ({"caption": "hello", "image": "a\0b"}, "bad image name"),
        ({"caption": "hello", "image": ""}, "bad image name"),
        ({"caption": "", "image": good}, "empty caption"),
        ({"caption": " \n", "image": good}, "empty caption"),
        ({"caption": ["hello", "world"], "image": good}, "not text"),
        ({"caption": "hello", "image": 3}, "not text"),
        ({"caption": "hello"}, "missing key"),
        ({"caption": None, "image": good}, "null"),
    ]


@pytest.mark.parametrize("special", [False, True])
def test_bad_records_are_counted_or_end_the_run(tmp_path, special):
    folder = tmp_path / "data"
    folder.mkdir()
    bad = bad_lines(folder)
    good = {"caption": "hello world", "image": "img/good.png"}
    lines = folder / "lines.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" + json.dumps(good) + "\n" for record, _ in bad))
    more = {"max_line_bytes": 5000, "add_special_tokens": special}
    options = Options(**PAIRS, **more, on_error="quarantine")
    summary: Summary = run(str(lines), tmp_path / "out", options, max_errors="50%")
    assert len(read_as_megatron(summary.prefixes[0])) == len(bad)
    reasons = [reason for _, reason in bad]
    assert summary.totals.skipped == {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    kept = [json.loads(line) for line in Path(summary.quarantine).read_text().splitlines()]
    assert [each["reason"] for each in kept] == reasons
    assert [each["line"] for each in kept] == [2 * number + 1 for number in range(len(bad))]
    for number, (record, reason) in enumerate(bad):
        one = folder / f"one{number}.jsonl"
        one.write_text(json.dumps(good) + "\n" + json.dumps(record) + "\n")
        with pytest.raises(MaskgenError, match=f"line 2, byte .*found {reason}"):
            run(str(one), tmp_path / f"one{number}", Options(**PAIRS, **more))
        assert not list(tmp_path.glob(f"one{number}*.idx"))


def test_the_folder_of_images(tmp_path, corpus):
    moved = tmp_path / "elsewhere" / "lines.jsonl"
    moved.parent.mkdir()
    moved.write_bytes(Path(corpus[0]).read_bytes())
    with pytest.raises(MaskgenError, match="missing image"):
        run(str(moved), tmp_path / "out", Options(**PAIRS))
    prefix = run(str(moved), tmp_path / "out", Options(**PAIRS, image_root=str(tmp_path)), overwrite=True).prefixes[0]
    assert len(read_as_megatron(prefix)) == 40


@pytest.mark.parametrize(
    "options",
    [
        {**PAIRS, "split_sentences": True},
        {**PAIRS, "json_keys": ("caption", "id")},
        {**PAIRS, "images": "caption"},
        {"image_root": "x"},
        {"image_encoding": "base64"},
        {**PAIRS, "image_encoding": "hex"},
        {**PAIRS, "format": "text"},
    ],
)
def test_options_that_do_not_go_together(tmp_path, corpus, options):
    with pytest.raises(OptionsError):
        run(corpus[0], tmp_path / "out", Options(**options))


def test_text_alone_keeps_its_name_and_another_dataset_is_refused(tmp_path, corpus):
    """Options about images are no part of a plan without any, so older work goes on."""
    assert not {"images", "image_root", "image_encoding"} & Options().facts().keys()
    run(corpus[0], tmp_path / "out", Options(json_keys=("caption",)))
    with pytest.raises(ResumeError, match="images"):
        run(corpus[0], tmp_path / "out", Options(**PAIRS))


def test_killed_runs_go_on(tmp_path):
    """Killed with some shards finished, again and again: the last run gives the bytes of one that was never stopped."""
    lines, _, _ = write_pairs(tmp_path, 1500)
    run(lines, tmp_path / "whole", Options(**PAIRS))
    more = ["--json-keys", "caption", "--images", "image", "--shard-bytes", "2K", "--workers", "1", "--quiet"]
    command = [sys.executable, "-m", "maskgen.cli", "tokenize", lines, "--tokenizer", vocabulary(tmp_path)]
    command += ["--output-prefix", str(tmp_path / "out"), *more]
    killed = 0
    for wanted in (3, 12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(tmp_path.glob("out.maskgen-work/*.receipt.json"))) < wanted:
            time.sleep(0.005)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        killed += process.wait() != 0
    assert killed
    assert not list(tmp_path.glob("out_*.idx")) or killed < 2
    subprocess.run(command, check=True, timeout=120)
    assert outcome(tmp_path / "out_caption_document") == outcome(tmp_path / "whole_caption_document")
    assert leftovers(tmp_path) == []


def test_the_command(tmp_path, corpus, capsys):
    arguments = [corpus[0], "--json-keys", "caption", "--images", "image", "--tokenizer", vocabulary(tmp_path)]
    arguments += ["--output-prefix", str(tmp_path / "out"), "--workers", "0"]
    assert cli.main(["tokenize", *arguments, "--dry-run"]) == 0
    assert "int32" in capsys.readouterr().out
    assert cli.main(["tokenize", *arguments]) == 0
    assert cli.main(["verify", str(tmp_path / "out_caption_document"), "--full"]) == 0
    shown = ["inspect", str(tmp_path / "out_caption_document"), "1", "--tokenizer", vocabulary(tmp_path)]
    assert cli.main(shown) == 0
    assert "the bytes of an image" in capsys.readouterr().out
    assert cli.main(["tokenize", *arguments]) == 0
    assert "already complete" in capsys.readouterr().out

"""``maskgen export``: what is in the files, that a folder is complete when it exists, and how a stopped run goes on."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from sample_files import TOY, toy_dataset, toy_samples, toy_tokenizer

from maskgen import cli
from maskgen.export import ExportError, ExportSettings, Manner, export_samples, run, shard
from maskgen.rows import Documents
from maskgen.samples import BertSamples, SampleError, to_hf
from maskgen.schemes import SchemeSamples
from preprocess import MaskgenError

KINDS = ("bert", "t5")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "masked"


def load(folder, tmp_path, **options):
    """The export as the library for which it is made reads it, without a network."""
    import datasets

    datasets.disable_progress_bars()
    files = sorted(map(str, (folder / "data").glob("*.parquet")))
    return datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"), split="train")


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected_rows(samples, num, duplicates, *, fixed=False):
    rows = []
    for epoch in range(duplicates):
        for index in range(num):
            batch = samples.batch([index], epoch=epoch)
            hf = {name: array[0] for name, array in to_hf(batch).items()}
            ends = {name: int(batch["lengths"][0]) for name in hf}
            if "lengths_dec" in batch:
                decoder = ("decoder_input_ids", "decoder_attention_mask", "labels")
                ends.update(dict.fromkeys(decoder, int(batch["lengths_dec"][0])))
            rows.append({name: array[: None if fixed else ends[name]].tolist() for name, array in hf.items()})
    return rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", ["none", "fixed"])
def test_round_trip(tmp_path, folder, kind, padding):
    samples = toy_samples(tmp_path / "toy", kind)
    settings = ExportSettings(num=11, duplicates=3, shard_size=7, padding=padding)
    done = export_samples(samples, folder, settings)
    assert [shard["rows"] for shard in done["shards"]] == [7, 7, 7, 7, 5]
    assert sorted(os.listdir(folder)) == ["data", "export.json"]
    assert sorted(os.listdir(folder / "data")) == [f"train-{i:05d}-of-00005.parquet" for i in range(5)]
    rows = load(folder, tmp_path).to_list()
    expected = expected_rows(samples, 11, 3, fixed=padding == "fixed")
    assert rows == expected
    assert list(rows[0]) == list(expected[0])
    assert any(row != again for row, again in zip(rows[:11], rows[11:22], strict=True))  # other masks
    if padding == "none":
        assert len({len(row["input_ids"]) for row in rows}) > 3
        assert {value for row in rows for value in row["attention_mask"]} == {1}


@pytest.mark.parametrize("scheme", ["roberta", "span-corruption", "masked-diffusion"])
def test_round_trip_of_other_schemes(tmp_path, folder, scheme):
    dataset, _ = toy_dataset(tmp_path / "toy")
    samples = SchemeSamples(Documents(dataset, 24), TOY, scheme, seed=3)
    export_samples(samples, folder, ExportSettings(num=9, duplicates=2, shard_size=5))
    assert load(folder, tmp_path).to_list() == expected_rows(samples, 9, 2)
    export_samples(samples, tmp_path / "own", ExportSettings(num=9, columns="own", padding="fixed"))
    batch, rows = samples.batch(range(9)), load(tmp_path / "own", tmp_path).to_list()
    assert list(rows[0]) == [field.name for field in samples.fields if field.kind != "packed"]
    for name in rows[0]:
        assert [row[name] for row in rows] == batch[name].tolist()


def test_a_folder_is_read_as_a_whole(tmp_path, folder):
    """The facts beside the shards do not confuse ``load_dataset(folder)``."""
    import datasets

    datasets.disable_progress_bars()
    samples = toy_samples(tmp_path / "toy")
    export_samples(samples, folder, ExportSettings(name="validation"))
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["validation"]
    assert len(loaded["validation"]) == len(samples)
    assert loaded["validation"].with_format("numpy")[0]["input_ids"].dtype == np.int64


def test_own_columns_and_next_sentence(tmp_path, folder):
    samples = toy_samples(tmp_path / "toy")
    batch = samples.batch(range(9))
    export_samples(samples, folder, ExportSettings(num=9, columns="own", padding="fixed"))
    rows = load(folder, tmp_path).to_list()
    assert list(rows[0]) == [field.name for field in samples.fields if field.kind != "packed"]
    for name in rows[0]:
        assert [row[name] for row in rows] == batch[name].tolist()
    export_samples(samples, tmp_path / "next", ExportSettings(num=9, next_sentence=True))
    labels = [row["next_sentence_label"] for row in load(tmp_path / "next", tmp_path).to_list()]
    assert labels == batch["is_random"].tolist()
    assert {0, 1} == set(labels)


@pytest.mark.parametrize("kind", KINDS)
def test_facts(tmp_path, folder, kind):
    samples = toy_samples(tmp_path / "toy", kind)
    done = export_samples(samples, folder, ExportSettings(duplicates=2, shard_size=20))
    assert json.loads((folder / "export.json").read_text()) == done
    assert done["samples"] == samples.describe()
    assert done["rows"] == 2 * len(samples) == sum(shard["rows"] for shard in done["shards"])
    assert done["settings"]["num"] == len(samples)
    assert {"numpy", "pyarrow", "maskgen"} <= set(done["versions"])
    for shard_facts in done["shards"]:
        path = folder / shard_facts["file"]
        assert path.stat().st_size == shard_facts["bytes"]
    assert str(tmp_path) not in (folder / "export.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_engines_and_threads_write_the_same_bytes(tmp_path, folder, kind):
    first = export_samples(toy_samples(tmp_path / "toy", kind), folder, ExportSettings(shard_size=13, duplicates=2))
    for engine, threads in (("reference", 1), ("native", 4)):
        samples = toy_samples(tmp_path / "toy", kind, engine=engine)
        other = tmp_path / f"{engine}-{threads}"
        settings = ExportSettings(shard_size=13, duplicates=2)
        assert export_samples(samples, other, settings, Manner(threads=threads)) == first
        assert files_of(other) == files_of(folder)


def test_the_digest_of_content_follows_rows_alone(tmp_path, folder, monkeypatch):
    samples = toy_samples(tmp_path / "toy")
    first = export_samples(samples, folder)
    monkeypatch.setattr(shard, "ROWS", 4)  # other row groups, another file
    again = export_samples(samples, tmp_path / "small")
    assert again["digest"] == first["digest"]
    assert again["shards"][0]["sha256"] != first["shards"][0]["sha256"]
    other = export_samples(toy_samples(tmp_path / "toy", seed=2), tmp_path / "other")
    assert other["digest"] != first["digest"]


def test_a_long_sample_makes_small_batches(tmp_path, folder, monkeypatch):
    samples = toy_samples(tmp_path / "toy")
    monkeypatch.setattr(shard, "CELLS", 3 * 29)
    sizes = []
    own = samples.batch
    monkeypatch.setattr(
        samples, "batch", lambda indices, **options: sizes.append(len(indices)) or own(indices, **options)
    )
    export_samples(samples, folder, ExportSettings(num=10))
    assert sizes == [3, 3, 3, 1]


@pytest.mark.parametrize("stop_at", [0, 1, 3])
def test_a_stopped_run_goes_on(tmp_path, folder, monkeypatch, stop_at):
    samples = toy_samples(tmp_path / "toy")
    settings = ExportSettings(shard_size=8)
    whole = export_samples(samples, tmp_path / "whole", settings)
    work = Path(f"{folder}.maskgen-work")
    own, made = run.write_shard, []

    def stopping(samples, plan, number, path, threads, on_rows):
        assert not folder.exists()
        if number == stop_at:
            Path(f"{path}.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        made.append(number)
        return own(samples, plan, number, path, threads, on_rows)

    monkeypatch.setattr(run, "write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        export_samples(samples, folder, settings)
    assert not folder.exists()
    assert made == list(range(stop_at))
    monkeypatch.setattr(run, "write_shard", lambda *rest: made.append(rest[2]) or own(*rest))
    done = export_samples(samples, folder, settings)
    assert made == list(range(4))  # each once
    assert done == whole
    assert files_of(folder) == files_of(tmp_path / "whole")
    assert not work.exists()


def test_a_shard_that_was_cut_is_written_again(tmp_path, folder, monkeypatch):
    samples, settings = toy_samples(tmp_path / "toy"), ExportSettings(shard_size=8)
    whole = export_samples(samples, tmp_path / "whole", settings)
    monkeypatch.setattr(run, "_publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        export_samples(samples, folder, settings)
    monkeypatch.undo()
    data = Path(f"{folder}.maskgen-work/result/data")
    first, second, *_ = sorted(data.iterdir())
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    for number, receipt in enumerate((b"{}", b'{"bytes": 5}', b"[" * 100_000), 1):
        (data.parent.parent / f"{number:05d}.receipt.json").write_bytes(receipt)
    assert export_samples(samples, folder, settings) == whole
    assert files_of(folder) == files_of(tmp_path / "whole")


def test_a_run_that_was_stopped_after_the_rename(tmp_path, folder, monkeypatch):
    samples = toy_samples(tmp_path / "toy")
    monkeypatch.setattr(run.WorkFolder, "remove", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        export_samples(samples, folder)
    monkeypatch.undo()
    before = files_of(folder)
    export_samples(samples, folder)
    assert files_of(folder) == before
    assert sorted(os.listdir(tmp_path)) == ["masked", "toy.bin", "toy.idx", "toy.json"]


def test_unfinished_work_of_other_settings_is_refused_by_name(tmp_path, folder, monkeypatch):
    samples = toy_samples(tmp_path / "toy")
    own = run.write_shard

    def stopping(*rest):
        if rest[2] == 1:
            raise KeyboardInterrupt
        return own(*rest)

    monkeypatch.setattr(run, "write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        export_samples(samples, folder, ExportSettings(shard_size=8))
    monkeypatch.undo()
    changed = toy_samples(tmp_path / "toy", masked_lm_prob=0.3)
    with pytest.raises(ExportError, match=r"samples\.options\.masked_lm_prob: 0\.15 and 0\.3.*--overwrite"):
        export_samples(changed, folder, ExportSettings(shard_size=8))
    with pytest.raises(ExportError, match=r"settings\.shard_size: 8 and 9"):
        export_samples(samples, folder, ExportSettings(shard_size=9))
    done = export_samples(changed, folder, ExportSettings(shard_size=9), Manner(overwrite=True))
    assert done["samples"] == changed.describe()
    assert len(os.listdir(folder / "data")) == done["rows"] // 9 + 1


def test_a_finished_export_is_kept_or_refused(tmp_path, folder, monkeypatch):
    samples = toy_samples(tmp_path / "toy")
    done = export_samples(samples, folder)
    before = (folder / "export.json").stat().st_mtime_ns
    monkeypatch.setattr(run, "write_shard", None)  # not called
    assert export_samples(samples, folder) == done
    assert (folder / "export.json").stat().st_mtime_ns == before
    with pytest.raises(ExportError, match=r"an export with other settings \(settings\.duplicates: 1 and 2\)"):
        export_samples(samples, folder, ExportSettings(duplicates=2))
    assert sorted(os.listdir(tmp_path)) == ["masked", "toy.bin", "toy.idx", "toy.json"]
    monkeypatch.undo()
    again = export_samples(samples, folder, ExportSettings(duplicates=2), Manner(overwrite=True))
    assert again["rows"] == 2 * done["rows"]
    assert len(load(folder, tmp_path)) == again["rows"]
    assert sorted(os.listdir(tmp_path)) == ["cache", "masked", "toy.bin", "toy.idx", "toy.json"]


@pytest.mark.parametrize("damage", ["missing", "cut", "shards", "rows", "facts"])
def test_a_finished_export_that_was_damaged_is_not_taken_for_whole(tmp_path, folder, damage):
    samples, settings = toy_samples(tmp_path / "toy"), ExportSettings(shard_size=8)
    export_samples(samples, folder, settings)
    whole, facts = files_of(folder), json.loads((folder / "export.json").read_text())
    last = sorted((folder / "data").iterdir())[-1]
    if damage == "missing":
        last.unlink()
    elif damage == "cut":
        last.write_bytes(last.read_bytes()[:-1])
    elif damage == "facts":
        facts["shards"][0] = {"bytes": "many"}
    else:
        facts[damage] = 5
    (folder / "export.json").write_text(json.dumps(facts))
    with pytest.raises(ExportError, match=r"masked: found .*, expected the finished export.*--overwrite"):
        export_samples(samples, folder, settings)
    export_samples(samples, folder, settings, Manner(overwrite=True))
    assert files_of(folder) == whole


def test_what_is_no_export_is_never_replaced(tmp_path, folder):
    samples = toy_samples(tmp_path / "toy")
    folder.mkdir()
    (folder / "mine").write_text("mine")
    with pytest.raises(ExportError, match="no export, expected a free name"):
        export_samples(samples, folder, manner=Manner(overwrite=True))
    assert (folder / "mine").read_text() == "mine"
    with pytest.raises(ExportError, match="no export"):
        export_samples(samples, folder / "mine", manner=Manner(overwrite=True))
    (tmp_path / "empty").mkdir()
    export_samples(samples, tmp_path / "empty")
    assert (tmp_path / "empty/export.json").exists()
    os.symlink("nowhere", tmp_path / "link")
    with pytest.raises(ExportError, match="no export"):
        export_samples(samples, tmp_path / "link", manner=Manner(overwrite=True))


def test_without_pyarrow(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MaskgenError, match=r'pip install "maskgen\[corpora\]"'):
        export_samples(toy_samples(tmp_path / "toy"), folder)
    assert sorted(os.listdir(tmp_path)) == ["toy.bin", "toy.idx", "toy.json"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num": 0}, "num is 0"),
        ({"duplicates": 0}, "duplicates is 0"),
        ({"shard_size": 0}, "shard_size is 0"),
        ({"padding": "left"}, "padding is 'left'; expected none or fixed"),
        ({"columns": "all"}, "columns is 'all'; expected hf or own"),
        ({"name": "../x"}, "name is '../x'"),
        ({"columns": "own", "next_sentence": True}, "next_sentence with own columns"),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(SampleError, match=message):
        ExportSettings(**options)


def test_nothing_to_export(tmp_path, folder):
    dataset, rows = toy_dataset(tmp_path / "toy")
    with pytest.raises(ExportError, match="no samples to export"):
        export_samples(BertSamples(dataset, rows[:0], TOY, max_seq_length=29), folder)


def test_command(tmp_path, folder, capsys):
    toy_samples(tmp_path / "toy")
    tokenizer = toy_tokenizer(tmp_path / "tokenizer.json")
    flags = ["export", str(tmp_path / "toy"), "--tokenizer", tokenizer, "--max-seq-length", "24", "--seed", "7"]
    flags += ["--output", str(folder), "--split", "1,1", "--part", "valid", "--duplicates", "2"]
    assert cli.main(flags) == 0
    out = capsys.readouterr().out
    facts = json.loads((folder / "export.json").read_text())
    assert f"{facts['rows']} rows in 1 files" in out
    assert facts["digest"] in out
    assert os.listdir(folder / "data") == ["validation-00000-of-00001.parquet"]
    assert facts["samples"]["seed"] == 7
    assert cli.main([*flags, "--max-ngrams", "1"]) == 2
    err = capsys.readouterr().err
    assert "samples.options.max_ngrams: 3 and 1" in err
    assert err.count("\n") == 1
    assert cli.main([*flags, "--max-ngrams", "1", "--overwrite", "--quiet", "--engine", "reference"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_time(tmp_path, folder):
    """Ten times over, after longer and longer; then the files are those of a run that nobody killed."""
    toy_dataset(tmp_path / "toy")
    tokenizer = toy_tokenizer(tmp_path / "tokenizer.json")
    flags = ["-m", "maskgen.cli", "export", str(tmp_path / "toy"), "--tokenizer", tokenizer, "--max-seq-length", "24"]
    flags += ["--seed", "7", "--duplicates", "20", "--shard-size", "4", "--quiet", "--output"]
    whole = [sys.executable, *flags, str(tmp_path / "whole")]
    started = time.monotonic()
    subprocess.run(whole, check=True, timeout=100)
    duration = time.monotonic() - started
    for number in range(10):
        process = subprocess.Popen([sys.executable, *flags, str(folder)])
        with suppress(subprocess.TimeoutExpired):
            process.wait(duration * (0.3 + 0.07 * number))
        process.kill()
        process.wait()
        if folder.exists():
            assert files_of(folder) == files_of(tmp_path / "whole")
    subprocess.run([sys.executable, *flags, str(folder)], check=True, timeout=100)
    assert files_of(folder) == files_of(tmp_path / "whole")
    assert not Path(f"{folder}.maskgen-work").exists()

"""Checkpoints are whole or not there, whatever happens to the process, the files and the number of ranks."""

import json
import os
import random
import re
import resource
import signal
import time

import numpy as np
import pytest
import rank_cases
import torch
from ranks import Started, run_ranks
from torch import nn

from maskgen.train import checkpoints as module
from maskgen.train.checkpoints import Checkpoints, read_manifest
from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from maskgen.train.full_state import (
    derived_seed,
    generator_states,
    load_generator_states,
    load_model_state,
    load_optimizer_state,
    model_state,
    optimizer_state,
)
from maskgen.train.optimizers import build_optimizer

WORLD = World()


@pytest.fixture
def notes():
    return []


@pytest.fixture
def checkpoints(tmp_path, notes):
    return Checkpoints(tmp_path / "run" / "checkpoints", note=notes.append)


def save(checkpoints, step, **state):
    return checkpoints.save(step, {"value": torch.full((7,), step), **state}, world=WORLD)


def names(checkpoints):
    return sorted(os.listdir(checkpoints.folder))


def latest_step(checkpoints):
    path = checkpoints.latest(world=WORLD)
    return None if path is None else checkpoints.load(path, world=WORLD).step


def test_what_is_saved_is_loaded(checkpoints, notes):
    assert checkpoints.latest(world=WORLD) is None
    state = {
        "model": {"weight": torch.randn(3, 4), "half": torch.ones(2, dtype=torch.bfloat16), "empty": torch.zeros(0)},
        "progress": {"consumed": 2**40, "loss": 0.1, "names": ["a", None, True], "pair": (1, 2.5), "raw": b"x"},
    }
    facts = {"settings": {"seed": 1, "deep": [1, {"x": None}]}}
    path = checkpoints.save(40, state, world=WORLD, rank_state={"rng": torch.arange(3)}, notes=facts)
    assert os.path.basename(path) == "step-00000040"
    assert sorted(os.listdir(path)) == ["manifest.json", "model.pt", "progress.pt", "ranks.pt"]
    assert checkpoints.latest(world=WORLD) == path

    found = checkpoints.load(path, world=WORLD)
    assert (found.path, found.step, found.world_size, found.notes) == (path, 40, 1, facts)
    assert found.state["progress"] == state["progress"]
    assert found.state["model"].keys() == state["model"].keys()
    assert all(torch.equal(found.state["model"][name], tensor) for name, tensor in state["model"].items())
    assert found.state["model"]["half"].dtype == torch.bfloat16
    assert found.rank_state["rng"].tolist() == [0, 1, 2]
    assert notes == []

    assert set(Checkpoints(checkpoints.folder).load(path, world=WORLD, only=["progress"]).state) == {"progress"}
    with pytest.raises(TrainError, match="has no optimizer; expected one of model, progress"):
        checkpoints.load(path, world=WORLD, only=["optimizer"])
    manifest = read_manifest(path)
    assert (manifest["step"], manifest["notes"]) == (40, facts)
    assert manifest["files"]["model.pt"]["bytes"] == os.path.getsize(os.path.join(path, "model.pt"))


def test_thinned(checkpoints):
    for step in range(10, 80, 10):
        save(checkpoints, step)
    assert names(checkpoints) == ["step-00000050", "step-00000060", "step-00000070"]


def test_some_are_kept_for_good(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1, keep_every=30)
    for step in range(10, 90, 10):
        save(checkpoints, step)
    assert names(checkpoints) == ["step-00000030", "step-00000060", "step-00000080"]


def test_the_same_step_again_replaces_the_older_one(checkpoints):
    save(checkpoints, 10, extra=1)
    save(checkpoints, 10, extra=2)
    assert names(checkpoints) == ["step-00000010"]
    assert checkpoints.load(checkpoints.latest(world=WORLD), world=WORLD).state["extra"] == 2


def test_checkpoints_of_a_run_that_was_left_are_put_aside(checkpoints, notes):
    for step in (10, 20, 30):
        save(checkpoints, step)
    save(checkpoints, 15)
    assert names(checkpoints) == [
        "abandoned-step-00000020",
        "abandoned-step-00000030",
        "step-00000010",
        "step-00000015",
    ]
    assert latest_step(checkpoints) == 15
    assert len(notes) == 2
    assert "now abandoned-step-00000020" in notes[0]
    save(checkpoints, 20)
    save(checkpoints, 12)  # left again: the older abandoned one makes way
    assert "abandoned-step-00000020" in names(checkpoints)
    assert latest_step(checkpoints) == 12


def flip(path, place):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def damage_flip(path):
    flip(os.path.join(path, "value.pt"), 200)


def damage_cut(path):
    os.truncate(os.path.join(path, "value.pt"), os.path.getsize(os.path.join(path, "value.pt")) - 1)


def damage_empty(path):
    os.truncate(os.path.join(path, "value.pt"), 0)


def damage_missing(path):
    os.unlink(os.path.join(path, "value.pt"))


def damage_ranks(path):
    flip(os.path.join(path, "ranks.pt"), 100)


def damage_no_manifest(path):
    os.unlink(os.path.join(path, "manifest.json"))


def damage_cut_manifest(path):
    os.truncate(os.path.join(path, "manifest.json"), 40)


def damage_manifest(path):
    edit(path, step=41)


def damage_fields(path):
    edit(path, files=None)


def damage_folder(path):
    os.rename(path, f"{path}.moved")
    with open(path, "wb"):
        pass


def edit(path, **changes):
    file = os.path.join(path, "manifest.json")
    with open(file, encoding="utf-8") as opened:
        manifest = json.load(opened)
    with open(file, "w", encoding="utf-8") as opened:
        json.dump({**manifest, **changes}, opened)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_flip, "found value.pt with other bytes than were written"),
        (damage_cut, "bytes of value.pt instead of"),
        (damage_empty, "found 0 bytes of value.pt instead of"),
        (damage_missing, "found no readable value.pt (No such file or directory)"),
        (damage_ranks, "found ranks.pt with other bytes"),
        (damage_no_manifest, "found no readable manifest.json (No such file or directory)"),
        (damage_cut_manifest, "found a manifest.json that is no JSON"),
        (damage_manifest, "found a manifest.json that was changed"),
        (damage_fields, "found a manifest.json without format, step, world_size, notes, files, digest"),
        (damage_folder, "found no readable manifest.json (Not a directory)"),
    ],
)
def test_a_damaged_checkpoint_is_refused_and_passed_over(checkpoints, notes, damage, said):
    save(checkpoints, 30)
    path = save(checkpoints, 40)
    damage(path)
    with pytest.raises(TrainError) as error:
        checkpoints.load(path, world=WORLD)
    assert said in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert latest_step(checkpoints) == 30
    assert len(notes) == 1
    assert said in notes[0]
    assert "it is passed over" in notes[0]
    # The run goes on from there, and its next checkpoint is the newest one.
    save(checkpoints, 35)
    assert latest_step(checkpoints) == 35


def test_every_byte_counts(checkpoints):
    """A flip anywhere in any file is found."""
    path = save(checkpoints, 40)
    generator = random.Random(7)
    for name in sorted(os.listdir(path)):
        file = os.path.join(path, name)
        for place in generator.sample(range(os.path.getsize(file)), 40):
            flip(file, place)
            with open(file, "rb") as opened:
                changed = opened.read()
            other = Checkpoints(checkpoints.folder, note=lambda line: None)
            if name != "manifest.json" or _meaning(changed) != _meaning_of_flipped_back(changed, place):
                assert other.latest(world=WORLD) is None, (name, place)
            flip(file, place)
    assert latest_step(checkpoints) == 40


def _meaning(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def _meaning_of_flipped_back(text, place):
    return _meaning(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])


def test_all_damaged_is_none(checkpoints, notes):
    for step in (10, 20):
        damage_flip(save(checkpoints, step))
    assert checkpoints.latest(world=WORLD) is None
    assert len(notes) == 2


def test_notes_go_to_standard_error_by_default(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path)
    damage_flip(save(checkpoints, 10))
    assert checkpoints.latest(world=WORLD) is None
    assert capsys.readouterr().err.count("\n") == 1


def test_another_format_is_refused(checkpoints):
    path = save(checkpoints, 10)
    edit(path, format=2)
    with pytest.raises(TrainError, match="format 2, expected 1; use the version of maskgen that saved it"):
        checkpoints.load(path, world=WORLD)


def test_foreign_files_in_the_folder_are_left_alone(checkpoints):
    save(checkpoints, 10)
    for name in ("notes.txt", "step-x", "step-00000012.backup", "best"):
        os.mkdir(os.path.join(checkpoints.folder, name))
    os.mkdir(os.path.join(checkpoints.folder, ".partial-step-00000099-abcd"))
    save(checkpoints, 11)
    assert latest_step(checkpoints) == 11
    assert names(checkpoints) == [
        "best",
        "notes.txt",
        "step-00000010",
        "step-00000011",
        "step-00000012.backup",
        "step-x",
    ]


def test_everything_is_on_the_disk_before_it_gets_its_name(checkpoints, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.rename

    def recorded_fsync(descriptor):
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def recorded_rename(old, new):
        calls.append(("rename", new))
        rename(old, new)

    save(checkpoints, 10)
    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recorded_rename)
    path = save(checkpoints, 20)
    partial = os.path.dirname(calls[0][1])
    assert os.path.basename(partial).startswith(".partial-step-00000020-")
    assert calls == [
        *[("fsync", os.path.join(partial, name)) for name in ("value.pt", "ranks.pt", "manifest.json")],
        ("fsync", partial),
        ("rename", path),
        ("fsync", checkpoints.folder),
    ]


class Stopped(BaseException):
    """The process ends here, without cleaning up."""


@pytest.mark.parametrize("call", ["mkdir", "rename", "fsync", "rmtree"])
def test_stopped_at_any_step_of_a_save_the_older_or_the_newer_one_is_there(tmp_path, monkeypatch, call):
    """Each file-system call of replacing the only checkpoint, in turn, is the last one."""
    place = module.shutil if call == "rmtree" else os
    real = getattr(place, call)
    for stop in range(1, 40):
        folder = tmp_path / f"{call}-{stop}"
        Checkpoints(folder, keep=1).save(10, {"value": "old"}, world=WORLD)
        calls = []

        def counted(*args, calls=calls, stop=stop, **kwargs):
            calls.append(args)
            if len(calls) == stop:
                raise Stopped
            return real(*args, **kwargs)

        monkeypatch.setattr(place, call, counted)
        try:
            Checkpoints(folder, keep=1).save(10, {"value": "new"}, world=WORLD)
        except Stopped:
            stopped = True
        else:
            stopped = False
        monkeypatch.undo()
        after = Checkpoints(folder, keep=1)
        found = after.load(after.latest(world=WORLD), world=WORLD)
        assert found.state["value"] in ("old", "new")
        after.save(20, {"value": "next"}, world=WORLD)
        assert sorted(os.listdir(folder)) == ["step-00000020"]
        if not stopped:
            assert found.state["value"] == "new"
            assert stop > 1
            return
    pytest.fail("a save without end")


@pytest.mark.slow
def test_killed_at_random_moments_a_whole_checkpoint_is_left(tmp_path):
    generator = random.Random(11)
    saved = 0
    for attempt in range(20):
        folder = tmp_path / "checkpoints"
        started = Started(tmp_path, 1, rank_cases.saving_for_ever, folder)
        deadline = time.monotonic() + 60
        while "ready" not in started.output(0) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "ready" in started.output(0), started.output(0)
        time.sleep(generator.uniform(0.0, 0.4))
        os.kill(started.processes[0].pid, signal.SIGKILL)
        started.processes[0].join()
        lines = [int(line.split()[1]) for line in started.output(0).splitlines() if line.startswith("saved")]
        saved = max([saved, *lines])
        notes = []
        checkpoints = Checkpoints(folder, note=notes.append)
        path = checkpoints.latest(world=WORLD)
        assert notes == [], "nothing half written has the name of a checkpoint"
        if path is None:
            assert saved == 0
            continue
        found = checkpoints.load(path, world=WORLD)
        assert found.step in (saved, saved + 1), attempt
        assert found.state["step"] == found.step
        assert (found.state["value"] == found.step).all()
        saved = found.step
    assert saved > 20


def test_a_full_disk_is_one_line_and_leaves_nothing(checkpoints):
    save(checkpoints, 10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        with pytest.raises(TrainError, match="save a checkpoint: found File too large") as error:
            save(checkpoints, 20, large=torch.zeros(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(error.value)
    assert names(checkpoints) == ["step-00000010"]
    assert latest_step(checkpoints) == 10


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainError, match=r"save a checkpoint: found (Not a directory|File exists)"):
        save(Checkpoints(tmp_path / "file" / "inside"), 1)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"model": {"a": [1, np.float64(2)]}}, r"model\['a'\]\[1\] is a float64; expected tensors, numbers"),
        ({"model": {"a": {1, 2}}}, r"model\['a'\] is a set"),
        ({"model": nn.Linear(1, 1)}, "model is a Linear"),
        ({"model": {np.int64(1): 1}}, "a key of model is a int64"),
        ({"ranks": 1}, "the key 'ranks'"),
        ({"a/b": 1}, "the key 'a/b'"),
        ({"../x": 1}, "the key '../x'"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(checkpoints, state, said):
    with pytest.raises(TrainError, match=said):
        checkpoints.save(1, state, world=WORLD)
    assert not os.path.exists(checkpoints.folder)


def test_a_state_that_is_code_is_not_run(checkpoints):
    """Even with digests that agree, nothing but tensors and plain values is unpickled."""
    path = save(checkpoints, 10)
    file = os.path.join(path, "value.pt")
    torch.save({"x": os.system}, file)
    import hashlib

    with open(file, "rb") as opened:
        data = opened.read()
    manifest = read_manifest(path)
    manifest["files"]["value.pt"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    module.write_manifest(path, manifest)
    with pytest.raises(TrainError, match="found something else than a saved state"):
        checkpoints.load(path, world=WORLD)


@pytest.mark.parametrize("settings", [{"keep": 0}, {"keep_every": 0}])
def test_bad_settings_are_refused(tmp_path, settings):
    with pytest.raises(TrainError, match="expected at least 1"):
        Checkpoints(tmp_path, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2)])
def test_a_run_goes_on_with_other_ranks(tmp_path, mode, before, after):
    folder = tmp_path / "checkpoints"

    def run(size, number, steps, resume):
        if size == 1:
            return [rank_cases.run_saving(World(), folder, mode, steps, resume)]
        return run_ranks(tmp_path, size, rank_cases.saving, tmp_path / f"store-{number}", folder, mode, steps, resume)

    first = run(before, 1, 3, False)
    second = run(after, 2, 2, True)
    assert [done for done, *_ in second] == [3] * after
    assert {path for *_, path, _ in second} == {str(folder / "step-00000005")}
    assert read_manifest(folder / "step-00000005")["notes"] == {"consumed": 5 * rank_cases.ROWS}

    module = World().wrap(rank_cases.make_model(10))
    expected = rank_cases.train(World(), module, build_optimizer(module, lr=0.05), range(5))
    for _, history, *_ in second:
        flat = [value for pair in history for value in pair]
        assert flat == pytest.approx([value for pair in expected[3:] for value in pair], rel=1e-4)
    if before == after:  # each rank's generator goes on where it was
        assert [draws for _, _, draws, *_ in second] == [next_draws for *_, next_draws in first]
        assert all(restored for _, _, _, restored, *_ in second)
    else:
        assert not any(restored for _, _, _, restored, *_ in second)
    assert len({tuple(draws) for _, _, draws, *_ in (*first, *second)}) == before + after


@pytest.mark.slow
def test_a_save_that_fails_on_the_first_rank_fails_on_all(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    ranks = Started(tmp_path, 2, rank_cases.failing_save, tmp_path / "store", tmp_path / "file" / "x").wait(60)
    for rank in ranks:
        assert rank.code == 3
        assert re.search(r"ENDED WITH (Train|Said)Error: ", rank.output)
        assert "save a checkpoint: found Not a directory" in rank.output
    assert sum("ENDED WITH SaidError: " in rank.output for rank in ranks) == 1  # one of them says it


def test_states_of_another_model_are_refused():
    model = rank_cases.make_model()
    state = {name: tensor.clone() for name, tensor in model_state(model).items()}
    for change, said in (
        ({"other": torch.zeros(1)}, "the saved model has other, which the model has not"),
        ({"scale": torch.zeros(2)}, r"the saved scale is \(2,\), this one \(\)"),
    ):
        with pytest.raises(TrainError, match=said):
            load_model_state(model, {**state, **change})
    with pytest.raises(TrainError, match=r"the saved model lacks embeddings\.weight and 14 more"):
        load_model_state(model, {})
    optimizer = build_optimizer(model, lr=0.1)
    saved = optimizer_state(model, optimizer)
    with pytest.raises(TrainError, match="the saved optimizer is AdamW, this one StableAdamW"):
        load_optimizer_state(model, build_optimizer(model, "stable-adamw", lr=0.1), saved)
    del saved["moments"]["head.bias"]
    with pytest.raises(TrainError, match=r"only one of the saved optimizer and this one has head\.bias"):
        load_optimizer_state(model, optimizer, saved)


def test_compiled_modules_have_plain_names():
    model = rank_cases.make_model()
    compiled = torch.compile(model, backend="eager")
    assert model_state(compiled).keys() == model_state(model).keys()
    assert any(name.startswith("_orig_mod.") for name, _ in compiled.named_parameters())


def test_generators_go_on_where_they_were():
    torch.manual_seed(3)
    own = torch.Generator().manual_seed(4)
    states = generator_states({"own": own})
    expected = torch.rand(2).tolist(), torch.rand(2, generator=own).tolist()
    assert load_generator_states({"own": own}, states)
    assert (torch.rand(2).tolist(), torch.rand(2, generator=own).tolist()) == expected
    before = own.get_state()
    assert not load_generator_states({"own": own}, None)
    assert not load_generator_states({"own": own, "more": torch.Generator()}, states)
    assert not load_generator_states({}, states)
    states["own"]["device"] = "cuda"
    assert not load_generator_states({"own": own}, states)
    assert torch.equal(own.get_state(), before)


def test_derived_seeds():
    seeds = [derived_seed(1234, "dropout", rank, step) for rank in range(10) for step in range(10)]
    assert len(set(seeds)) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(1234, "dropout", 0, 40) == 1452882527653942916  # states derived by older runs stay the same

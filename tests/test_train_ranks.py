"""Several ranks: the gradients of one rank, its order of samples, and runs that go on after all of them were killed."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from rank_runs import Watch, finish, run_jobs, start_ranks
from test_train_resume import KILLED, losses
from train_runs import flags, tiny, write_corpus

from maskgen.train import loop
from maskgen.train.distributed import World
from maskgen.train.settings import TrainSettings

CHECKED = {
    "ddp": {"dropout": 0.0},
    "fsdp": {"dropout": 0.0, "strategy": "fsdp"},
    "pairs": {"dropout": 0.0, "next_sentence": True},
    "modern": {"architecture": "modern", "strategy": "fsdp"},
}
BOTH = {"steps": 3, "batch_size": 12, "warmup": 0}


pytestmark = pytest.mark.slow  # several processes, each of which imports torch


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def plain(settings):
    """Settings as JSON holds them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(settings).items()}


def alone(folder, corpus, watch, **changes):
    """What one rank sees."""
    watch.clear()
    with World.start("cpu") as world:
        loop.train(tiny(folder, *corpus, **changes), world)
    return dict(watch.seen)


@pytest.fixture(scope="module")
def of_two_ranks(tmp_path_factory, corpus):
    """What two ranks saw of each run, with two micro-batches a step; those of `more` go on with what one rank left."""
    folder = tmp_path_factory.mktemp("two")
    jobs = {
        name: plain(tiny(folder / name, *corpus, **BOTH, **changes, micro_batch=3)) for name, changes in CHECKED.items()
    }
    jobs["electra"] = plain(tiny(folder / "electra", *corpus, **BOTH, objective="electra", strategy="fsdp"))
    jobs["part"] = plain(tiny(folder / "part", *corpus, steps=4, batch_size=12, strategy="fsdp", schedule="constant"))
    return folder, run_jobs(folder, jobs, 2)


@pytest.mark.parametrize("name", CHECKED)
def test_gradients_of_two_ranks_with_accumulation_are_those_of_the_whole_batch(
    tmp_path, corpus, of_two_ranks, name, monkeypatch
):
    torch.set_num_threads(1)
    one = alone(tmp_path, corpus, Watch(monkeypatch.setattr), **BOTH, **CHECKED[name])
    folder, seen = of_two_ranks
    ranks = seen[name]
    assert ranks[0]["masked"][0] != ranks[1]["masked"][0]  # or means of means would do
    assert sum(rank["masked"][0] for rank in ranks) == one["masked"][0]
    for rank in ranks:
        for whole, shared in zip(one["gradients"], rank["gradients"], strict=True):
            torch.testing.assert_close(whole, shared, rtol=1e-4, atol=1e-6)
        assert rank["norms"] == pytest.approx(one["norms"], rel=1e-4)
    for step, rows in enumerate(one["rows"]):
        assert torch.equal(torch.cat([rank["rows"][step] for rank in ranks]), rows)
    for mine, theirs in zip(losses(tmp_path), losses(folder / name), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_sharded_electra_trains_and_is_exported(of_two_ranks):
    from maskgen.train.models import load_pretrained

    folder, seen = of_two_ranks
    assert seen["electra"][0]["step"] == 3
    model, generator = (load_pretrained(folder / "electra" / "run" / name) for name in ("model", "generator"))
    assert torch.equal(model.encoder.word_embeddings.weight, generator.encoder.word_embeddings.weight)


def test_one_rank_goes_on_where_two_sharded_ones_stopped_with_the_next_samples(
    tmp_path, corpus, of_two_ranks, monkeypatch
):
    folder, seen = of_two_ranks
    watch = Watch(monkeypatch.setattr)
    settings = plain(tiny(folder / "part", *corpus, steps=7, batch_size=12, schedule="constant"))
    settings = TrainSettings(**{**settings, "data": tuple(settings["data"]), "init_from": ()})
    with World.start("cpu") as world:
        assert loop.train(settings, world).step == 7
    rows = [torch.cat(parts) for parts in zip(*(rank["rows"] for rank in seen["part"]), strict=True)]
    rows += watch.seen["rows"]
    straight = alone(tmp_path, corpus, watch, steps=7, batch_size=12, schedule="constant")
    assert len(rows) == 7
    assert all(torch.equal(one, other) for one, other in zip(rows, straight["rows"], strict=True))
    assert [step for step, *_ in losses(folder / "part")] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_killed_ranks_go_on_with_the_same_losses(tmp_path, corpus, strategy):
    script = str(Path(__file__).parent.parent / "tools" / "pretrain.py")
    for folder in ("straight", "killed"):
        settings = tiny(tmp_path / folder, *corpus, steps=40, save_every=17, strategy=strategy)
        if folder == "killed":
            killed = [sys.executable, "-c", KILLED.format(step=19), "train", *flags(settings)]
            codes = [code for _, _, code in finish(start_ranks(killed, 2))]
            assert codes == [-signal.SIGKILL] * 2
        for out, errors, code in finish(start_ranks([sys.executable, script, *flags(settings)], 2)):
            assert code == 0, out + errors
    assert len(losses(tmp_path / "killed")) == 40
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all_after_the_same_step(tmp_path, corpus):
    settings = tiny(tmp_path, *corpus, steps=100_000)
    ranks = start_ranks([sys.executable, "-m", "maskgen.cli", "train", *flags(settings)], 2)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not metrics.exists() or not metrics.read_text():
        assert all(rank.poll() is None for rank in ranks)
    ranks[1].terminate()
    assert [code for _, _, code in finish(ranks)] == [143, 143]
    assert len(os.listdir(tmp_path / "run" / "checkpoints")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_seq_length": 600}, "longer than the 512 positions"),
        ({"batch_size": 9}, "a global batch of 9 samples for 2 ranks"),
        ({"data": ("nowhere",)}, "nowhere.idx"),
        ({"lr": 0.5}, "other settings: lr"),
    ],
)
def test_what_is_wrong_for_all_ranks_is_said_once(tmp_path, corpus, changes, words):
    settings = tiny(tmp_path, *corpus, steps=1)
    if "lr" in changes:
        with World.start("cpu") as world:
            loop.train(settings, world)
    command = [sys.executable, "-m", "maskgen.cli", "train", *flags(settings, **changes)]
    ended = finish(start_ranks(command, 2))
    assert [code for *_, code in ended] == [2, 2]
    lines = [line for _, errors, _ in ended for line in errors.splitlines() if line.startswith("maskgen train: ")]
    assert len(lines) == 1, lines
    assert words in lines[0]


@pytest.mark.slow
def test_torchrun_that_is_terminated_leaves_a_checkpoint_of_the_last_step(tmp_path, corpus):
    script = str(Path(__file__).parent.parent / "tools" / "pretrain.py")
    settings = tiny(tmp_path, *corpus, steps=100_000)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    (process,) = start_ranks([*torchrun, *flags(settings)], 1)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not metrics.exists() or not metrics.read_text():
        assert process.poll() is None
    process.terminate()
    ((_, errors, code),) = finish([process])
    assert code != 0
    last = losses(tmp_path)[-1][0]
    assert f"saved after step {last} (SIGTERM)" in errors
    assert os.listdir(tmp_path / "run" / "checkpoints") == [f"step-{last:08d}"]

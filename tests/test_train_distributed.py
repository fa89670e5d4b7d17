"""Ranks for real: two processes on CPUs, against one process with the whole batch."""

import math
import subprocess
import sys

import pytest
import rank_cases
import torch
from rank_cases import STEPS, make_model, train
from ranks import Started, run_ranks
from torch import nn

from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from maskgen.train.full_state import load_model_state, load_optimizer_state, model_state, optimizer_state
from maskgen.train.optimizers import build_optimizer


def alone(name="adamw"):
    world = World()
    module = world.wrap(make_model())
    optimizer = build_optimizer(module, name, lr=0.05)
    return train(world, module, optimizer, range(2 * STEPS)), model_state(module), optimizer_state(module, optimizer)


@pytest.mark.slow
def test_collectives(tmp_path):
    first, second = run_ranks(tmp_path, 2, rank_cases.collectives, tmp_path / "store")
    assert first["identity"] == (0, 2, 0, "cpu", True)
    assert second["identity"] == (1, 2, 1, "cpu", False)
    for found in (first, second):
        assert {name: (value.dtype, value.tolist()) for name, value in found["sums"].items()} == {
            "float": (torch.float64, 2.0),
            "whole": (torch.int64, [2**41 + 1, 2]),
            "flag": (torch.int64, [[2], [1]]),
            "none": (torch.float64, []),
        }
        assert found["empty"] == {}
        assert found["any"] == [False, True, True]
        assert found["share"] == {"from": 0}
    assert first["gather"] == [("rank", 0), ("rank", 1)]
    assert second["gather"] is None


def test_one_rank_is_a_world_too(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with World.start("cpu") as world:
        assert (world.rank, world.size, world.is_main) == (0, 1, True)
        sums = world.sum({"float": torch.tensor(0.5), "whole": torch.tensor([True])})
        assert {name: (value.dtype, value.tolist()) for name, value in sums.items()} == {
            "float": (torch.float64, 0.5),
            "whole": (torch.int64, [1]),
        }
        assert (world.any(True), world.any(False), world.share(3), world.gather(4)) == (True, False, 3, [4])
        world.barrier()
        module = make_model()
        assert world.wrap(module, "fsdp", "bf16") is module
        with world.sync_gradients(module, False):
            pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert World.start("cpu").size == 1


def same_history(one, other, **tolerance):
    assert [value for pair in one for value in pair] == pytest.approx([v for pair in other for v in pair], **tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "stable-adamw"])
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_two_ranks_are_one_with_the_whole_batch(tmp_path, mode, optimizer):
    """Losses, norms over all ranks, weights, moments; and everything again from the whole states."""
    first, second = run_ranks(tmp_path, 2, rank_cases.training, tmp_path / "store", mode, "fp32", optimizer)
    history, model, moments = alone(optimizer)
    same_history(first["first"] + first["second"], history, rel=1e-4)
    for found in (first, second):
        assert found["first"] == first["first"]
        assert found["second"] == first["second"]
        assert found["third"] == first["second"]  # bit for bit
        assert found["values"][0] == found["values"][1]
        assert found["model"].keys() == model.keys()
        assert "scratch" not in found["model"]
        assert "scale" in found["model"]
        assert "head.weight" not in found["model"]  # tied to the embeddings
        assert all(torch.equal(found["model"][name], first["model"][name]) for name in model)
        assert all(torch.equal(found["last"][name], first["model"][name]) for name in model)
        assert found["nothing"] == ({}, {})
        assert found["moments"]["kind"] == moments["kind"]
        assert found["moments"]["moments"].keys() == moments["moments"].keys()

    # And on one rank from there.
    world, module = World(), make_model(50)
    restored = build_optimizer(module, optimizer, lr=0.05)
    load_model_state(module, first["model"])
    load_optimizer_state(module, restored, first["moments"])
    same_history(train(world, module, restored, range(STEPS, 2 * STEPS)), history[STEPS:], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_one_rank_becomes_two(tmp_path, mode):
    world, module = World(), make_model()
    optimizer = build_optimizer(module, lr=0.05)
    train(world, module, optimizer, range(STEPS))
    saved = model_state(module), optimizer_state(module, optimizer)
    both = run_ranks(tmp_path, 2, rank_cases.restored, tmp_path / "store", mode, *saved)
    expected = alone()[0][STEPS:]
    for found in both:
        same_history(found, expected, rel=1e-4)


@pytest.mark.slow
def test_fsdp_in_bf16_is_near_and_keeps_fp32_weights(tmp_path):
    first, _ = run_ranks(tmp_path, 2, rank_cases.training, tmp_path / "store", "fsdp", "bf16", "adamw")
    history, _, _ = alone()
    same_history(first["first"], history[:STEPS], rel=0.05)
    assert first["first"] != history[:STEPS]
    assert first["third"] == first["second"]
    kinds = {name: tensor.dtype for name, tensor in first["model"].items()}
    assert set(kinds.values()) == {torch.float32}
    moments = first["moments"]["moments"]["embeddings.weight"]
    assert moments["exp_avg"].dtype == torch.float32
    assert moments["exp_avg"].shape == (11, 6)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_gradients_are_averaged_when_they_are_asked_to(tmp_path, mode):
    both = run_ranks(tmp_path, 2, rank_cases.unsynchronised, tmp_path / "store", mode)
    own = []
    for rank in range(2):
        module = make_model()
        module(*rank_cases.data(rank)).backward()
        own.append(module.layers[0].up.bias.grad)
    for rank, (before, after) in enumerate(both):
        if mode == "ddp":
            torch.testing.assert_close(before, own[rank])
        else:
            assert before is None  # held back, whole, until they are summed up
        torch.testing.assert_close(after, own[0] + own[1])  # two micro-batches, each averaged over two ranks


@pytest.mark.slow
def test_fsdp_shares_everything_and_whole_layers_by_themselves(tmp_path):
    both = run_ranks(tmp_path, 2, rank_cases.sharing, tmp_path / "store")
    for rank, (tied, groups, shapes) in enumerate(both):
        assert tied
        assert groups == ["", "layers.0", "layers.1"]
        assert shapes["embeddings.weight"] == ((6, 6), (5, 6))[rank]
        assert shapes["layers.0.up.weight"] == ((7, 6), (6, 6))[rank]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("expected", "rank 0 ends because rank 1 failed: the data ran out; see its output"),
        ("bug", "rank 0 ends because rank 1 failed: ZeroDivisionError: a bug"),
        ("backward", "rank 0 ends because rank 1 failed: ZeroDivisionError: a bug"),
        ("kill", "rank 0 lost another rank, which left no reason"),
    ],
)
def test_a_rank_that_fails_ends_the_other_with_its_reason(tmp_path, way, said):
    first, second = Started(tmp_path, 2, rank_cases.failing, tmp_path / "store", way).wait(60)
    assert first.code == 3, first.output
    assert f"ENDED WITH TrainError: {said}" in first.output
    assert second.code == (-9 if way == "kill" else 3)
    if way == "expected":
        assert "ENDED WITH TrainError: the data ran out" in second.output


@pytest.mark.slow
def test_the_first_rank_tells_the_others_too(tmp_path):
    first, second = Started(tmp_path, 2, rank_cases.host_fails, tmp_path / "store").wait(60)
    assert (first.code, second.code) == (3, 3)
    assert "ENDED WITH TrainError: rank 1 ends because rank 0 failed: the disk is full" in second.output


@pytest.mark.slow
def test_a_rank_that_never_comes_to_a_collective_is_ended(tmp_path):
    first, second = Started(tmp_path, 2, rank_cases.failing, tmp_path / "store", "computing").wait(50)
    assert second.code == 3
    assert first.code == 1
    assert first.output.strip() == "rank 0 ends because rank 1 failed: ZeroDivisionError: a bug"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there has to be no device")
def test_a_rank_without_a_device_ends_the_others_while_they_wait_for_it(tmp_path):
    first, second = Started(tmp_path, 2, rank_cases.no_device, tmp_path / "store").wait(60)
    assert "ENDED WITH TrainError: device cuda:1 of 0 on this machine" in second.output
    assert second.code == 3
    assert first.code in (1, 3)
    assert "rank 0 ends because rank 1 failed: device cuda:1 of 0" in first.output


def test_shared_layers_are_left_to_the_whole():
    from maskgen.train.sharding import _layers

    model = make_model()
    assert _layers(model) == list(model.layers)
    model.layers[1].up.weight = model.layers[0].up.weight
    assert _layers(model) == []
    twice = make_model()
    twice.layers[1] = twice.layers[0]  # the same layer at two depths
    assert _layers(twice) == [twice.layers[0]]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2; expected all of RANK, WORLD_SIZE, LOCAL_RANK; start it with torchrun"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "RANK=0, WORLD_SIZE=2; expected"),
        ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "RANK=2"),
        ({"RANK": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "RANK=x"),
    ],
)
def test_a_broken_environment_is_refused(monkeypatch, environment, said):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainError) as error:
        World.start("cpu")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("device", "said"),
    [("tpu", "device 'tpu'; expected auto, cpu or cuda"), ("cuda:99", "device cuda:99 of"), ("", "device ''")],
)
def test_unknown_devices_are_refused(device, said):
    with pytest.raises(TrainError, match=said):
        World.start(device)


def test_unknown_ways_to_wrap_are_refused():
    with pytest.raises(TrainError, match="'zero'; expected one of ddp, fsdp"):
        World().wrap(make_model(), "zero")
    with pytest.raises(TrainError, match="'fp8'; expected one of fp32, bf16"):
        World().wrap(make_model(), "fsdp", "fp8")


def test_clipping_alone():
    weight = nn.Parameter(torch.zeros(2))
    unused = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert World().clip_gradients([weight, unused], None) == 5
    assert weight.grad.tolist() == [3, 4]
    assert World().clip_gradients(iter([weight, unused]), 1.0) == 5
    assert weight.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-5)
    weight.grad = torch.tensor([math.nan, 1.0])
    assert math.isnan(World().clip_gradients([weight], None))


@pytest.mark.slow
def test_under_torchrun(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, torch\n"
        "from maskgen.train.distributed import World, end_process\n"
        "with World.start('cpu') as world:\n"
        "    sys.stdout.write(f\"sum {world.sum({'x': torch.tensor(world.rank + 1)})['x'].item()}\\n\")\n"
        "    sys.stdout.flush()\n"
        "    if world.rank == 0 and 'fail' in sys.argv:\n"
        "        raise ValueError('no more')\n"
        "    world.barrier()\n"
        "end_process(0)\n"
    )
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("sum 3") == 2
    done = subprocess.run([*run, "fail"], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode != 0
    assert "rank 1 ends because rank 0 failed: ValueError: no more" in done.stderr


@pytest.mark.gpu
def test_one_gpu_trains_as_the_cpu_does():
    world = World.start("cuda")
    module = world.wrap(make_model())
    optimizer = build_optimizer(module, lr=0.05)
    assert optimizer.param_groups[0]["fused"]
    tokens, labels = (tensor.cuda() for tensor in rank_cases.data(0))
    module(tokens, labels).backward()
    norm = world.clip_gradients(module.parameters(), 1.0)
    optimizer.step()
    states = optimizer_state(module, optimizer)
    assert norm.is_cuda
    twin = make_model()
    other = build_optimizer(twin, lr=0.05)
    twin(*rank_cases.data(0)).backward()
    torch.testing.assert_close(norm.cpu(), World().clip_gradients(twin.parameters(), 1.0))
    other.step()
    for name, tensor in model_state(module).items():
        assert not tensor.is_cuda
        torch.testing.assert_close(tensor, model_state(twin)[name], rtol=1e-3, atol=1e-4)
    load_optimizer_state(twin, other, states)
    load_optimizer_state(module, optimizer, states)
    optimizer.step()

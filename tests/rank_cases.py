"""What the ranks of the distributed tests do, importable by their processes."""

import os
import signal
import time
from datetime import timedelta

import torch
from torch import nn

from maskgen.train.checkpoints import Checkpoints
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

ROWS = 8
STEPS = 4


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up, self.norm = nn.Linear(width, 2 * width + 1), nn.LayerNorm(2 * width + 1)
        self.down = nn.Linear(2 * width + 1, width)

    def forward(self, x):
        return x + self.down(torch.tanh(self.norm(self.up(x))))


class Model(nn.Module):
    """Tied embeddings of an odd number of rows, layers, a buffer, and a loss that comes out of forward as a sum."""

    def __init__(self, vocab=11, width=6):
        super().__init__()
        self.embeddings = nn.Embedding(vocab, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(2))
        self.head = nn.Linear(width, vocab)
        self.head.weight = self.embeddings.weight
        self.register_buffer("scale", torch.tensor(1.5))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)

    def forward(self, tokens, labels):
        x = self.embeddings(tokens) * self.scale
        for layer in self.layers:
            x = layer(x)
        return nn.functional.cross_entropy(self.head(x).flatten(0, 1).float(), labels.flatten(), reduction="sum")


def make_model(seed=3):
    torch.manual_seed(seed)
    return Model()


def data(step):
    """A global batch of which every row has another number of labels."""
    generator = torch.Generator().manual_seed(step)
    tokens = torch.randint(0, 11, (ROWS, 5), generator=generator)
    labels = torch.randint(0, 11, (ROWS, 5), generator=generator)
    labels[torch.arange(5)[None] > torch.arange(ROWS)[:, None] % 5] = -100
    return tokens, labels


def train(world, module, optimizer, steps, *, micro=2, clip=1.0):
    """Steps over the same global batches, whatever the ranks; losses and norms of each."""
    history = []
    for step in steps:
        tokens, labels = data(step)
        first, last = world.rank * ROWS // world.size, (world.rank + 1) * ROWS // world.size
        parts = list(zip(tokens[first:last].split(micro), labels[first:last].split(micro), strict=True))
        counts = {"labels": torch.stack([(part != -100).sum() for _, part in parts]).sum()}
        total = world.sum(counts)["labels"]
        losses = torch.zeros(())
        for number, (x, y) in enumerate(parts):
            with world.sync_gradients(module, number == len(parts) - 1):
                loss = module(x, y)
                (loss / total * world.size).backward()
            losses += loss.detach()
        norm = world.clip_gradients(module.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
        history.append((float(world.sum({"loss": losses})["loss"] / total), float(norm)))
    return history


def evaluate(module):
    with torch.no_grad():
        return float(module(*data(99)))


def start(where, **settings):
    return World.start("cpu", init_method=f"file://{where}", timeout=timedelta(seconds=30), **settings)


def collectives(where):
    with start(where) as world:
        sums = world.sum(
            {
                "float": torch.tensor(0.5 + world.rank),
                "whole": torch.tensor([2**40 + world.rank, 1]),
                "flag": torch.tensor([[True], [world.rank == 1]]),
                "none": torch.zeros(0),
            }
        )
        result = {
            "identity": (world.rank, world.size, world.local_rank, str(world.device), world.is_main),
            "sums": sums,
            "empty": world.sum({}),
            "any": [world.any(False), world.any(world.rank == 1), world.any(True)],
            "share": world.share({"from": world.rank}),
            "gather": world.gather(("rank", world.rank)),
        }
        world.barrier()
    return result


def training(where, mode, precision, optimizer_name):
    """Train, evaluate, save, train on; then all of it restored into a fresh module."""
    with start(where) as world:
        # Ranks begin with other weights: those of rank 0 count.
        module = world.wrap(make_model(3 + world.rank), mode, precision)
        optimizer = build_optimizer(module, optimizer_name, lr=0.05)
        first = train(world, module, optimizer, range(STEPS))
        value = evaluate(module)
        model = {name: tensor.clone() for name, tensor in model_state(module).items()}
        moments = optimizer_state(module, optimizer)
        moments["moments"] = {
            name: {key: value.clone() for key, value in own.items()} for name, own in moments["moments"].items()
        }
        nothing = model_state(module, keep=False), optimizer_state(module, optimizer, keep=False)
        second = train(world, module, optimizer, range(STEPS, 2 * STEPS))
        load_model_state(module, model)
        reloaded = evaluate(module)
        last = model_state(module)

        again = world.wrap(make_model(77 + world.rank), mode, precision)
        optimizer = build_optimizer(again, optimizer_name, lr=0.05)
        load_model_state(again, model)
        load_optimizer_state(again, optimizer, moments)
        third = train(world, again, optimizer, range(STEPS, 2 * STEPS))
    return {
        "first": first,
        "second": second,
        "third": third,
        "values": (value, reloaded),
        "model": model,
        "moments": moments,
        "nothing": nothing,
        "last": last,
    }


def restored(where, mode, model, moments):
    """Go on on these ranks with what others saved."""
    with start(where) as world:
        module = world.wrap(make_model(50 + world.rank), mode)
        optimizer = build_optimizer(module, lr=0.05)
        load_model_state(module, model)
        load_optimizer_state(module, optimizer, moments)
        return train(world, module, optimizer, range(STEPS, 2 * STEPS))


def unsynchronised(where, mode):
    """Gradients of a micro-batch without and with synchronisation."""
    with start(where) as world:
        module = world.wrap(make_model(), mode)
        tokens, labels = data(world.rank)
        found = []
        for on in (False, True):
            with world.sync_gradients(module, on):
                module(tokens, labels).backward()
            gradient = module.layers[0].up.bias.grad if mode == "fsdp" else module.module.layers[0].up.bias.grad
            whole = gradient if gradient is None or mode == "ddp" else gradient.full_tensor()
            found.append(whole if whole is None else whole.clone())
        return found


def sharing(where):
    """Which parameters are parts, and how much of them this rank has."""
    with start(where) as world:
        module = world.wrap(make_model(), "fsdp")
        tied = module.embeddings.weight is module.head.weight
        groups = [name for name, part in module.named_modules() if hasattr(part, "reshard")]
        return tied, groups, {name: tuple(p.to_local().shape) for name, p in module.named_parameters()}


def failing(where, way):
    """Rank 1 fails in some way while rank 0 is inside a collective or computes."""
    with start(where) as world:
        world.barrier()
        if world.rank == 1:
            time.sleep(0.3)
            if way == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if way == "expected":
                raise TrainError("the data ran out")
            raise ZeroDivisionError("a bug")
        if way == "computing":
            time.sleep(60)
        elif way == "backward":
            module = world.wrap(make_model(), "fsdp")
            train(world, module, build_optimizer(module, lr=0.1), range(100))
        else:
            world.sum({"x": torch.ones(1)})


def host_fails(where):
    """Rank 0 fails, from which others would have the store."""
    with start(where) as world:
        world.barrier()
        if world.rank == 0:
            raise TrainError("the disk is full")
        world.barrier()


def no_device(where):
    """Rank 1 does not get a device, while rank 0 waits for it to join."""
    name = "cuda" if os.environ["RANK"] == "1" else "cpu"
    World.start(name, init_method=f"file://{where}", timeout=timedelta(seconds=30))


def saving(where, folder, mode, steps, resume):
    """Train under DDP or FSDP2, resuming from the latest checkpoint if asked to, and save at the end."""
    with start(where) as world:
        return run_saving(world, folder, mode, steps, resume)


def run_saving(world, folder, mode, steps, resume):
    """The same on any world: (first step, history, draws of a generator of this rank, whether it was restored)."""
    checkpoints = Checkpoints(folder, note=lambda line: None)
    module = world.wrap(make_model(10 + world.rank), mode)
    optimizer = build_optimizer(module, lr=0.05)
    generator = torch.Generator().manual_seed(derived_seed(5, "noise", world.rank))
    done, restored = 0, None
    if resume:
        checkpoint = checkpoints.load(checkpoints.latest(world=world), world=world)
        load_model_state(module, checkpoint.state["model"])
        load_optimizer_state(module, optimizer, checkpoint.state["optimizer"])
        restored = load_generator_states({"noise": generator}, checkpoint.rank_state)
        if not restored:
            generator.manual_seed(derived_seed(5, "noise", world.rank, checkpoint.step))
        done = checkpoint.step
    history = train(world, module, optimizer, range(done, done + steps))
    draws = torch.rand(3, generator=generator).tolist()
    keep = world.is_main
    path = checkpoints.save(
        done + steps,
        {"model": model_state(module, keep=keep), "optimizer": optimizer_state(module, optimizer, keep=keep)},
        world=world,
        rank_state=generator_states({"noise": generator}),
        notes={"consumed": (done + steps) * ROWS},
    )
    return done, history, draws, restored, path, torch.rand(3, generator=generator).tolist()


def failing_save(where, folder):
    """Rank 0 cannot write."""
    with start(where) as world:
        Checkpoints(folder).save(1, {"x": 1}, world=world)


def saving_for_ever(folder):
    """Save until somebody kills this process, and say what is done."""
    world, checkpoints = World(), Checkpoints(folder, keep=2, note=lambda line: None)
    path = checkpoints.latest(world=world)
    step = 0 if path is None else checkpoints.load(path, world=world).step
    print("ready", flush=True)
    while True:
        # Each step is saved twice, so that replacing one is interrupted as well.
        for _ in range(2):
            checkpoints.save(step + 1, {"value": torch.full((50_000,), step + 1), "step": step + 1}, world=world)
            print(f"saved {step + 1}", flush=True)
        step += 1

#!/usr/bin/env python3
"""Speed of training steps, beside the same model of transformers in a plain loop, in the same run.

    python tools/bench/bench_train.py --size tiny [--objective electra]
    python tools/bench/bench_train.py --size base --length 512 --batch 64 --precision bf16 --compile --profile

Ours are steps of maskgen's own loop (maskgen/train/loop.py): batches made from memory maps on a thread, masked, through
the objective, clipped, AdamW. The yardstick begins with the same weights, exported and loaded by transformers
(BertForMaskedLM, ElectraForMaskedLM + ElectraForPreTraining, ModernBertForMaskedLM), and does what its examples do:
DataLoader, DataCollatorForLanguageModeling on lists of ids, loss over all places, clipping, AdamW. Both take rows
without padding. Warm-up steps are left out, then both run in turns; figures are medians of rounds, whose first two
steps do not count either, since batches may be waiting for them.

Operations are those of matrix products that the model needs, by maskgen/train/flops.py: three times the forward pass,
with the head on masked tokens alone, whoever computes more than that. MFU is their share of the device's dense bf16
peak by its data sheet; of a CPU the peak is not known. Without transformers only our figures are printed.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from machine import processor
from results import Missing, Row, bench_parser, reason_of, record
from training_profile import Profile
from training_yardstick import Yardstick
from yardstick import sentences

from maskgen.train.checkpoints import Checkpoints
from maskgen.train.data import open_data
from maskgen.train.distributed import World
from maskgen.train.flops import peak_flops, training_flops
from maskgen.train.loop import Run
from maskgen.train.metrics import Clock, Tally
from maskgen.train.settings import SIZES, TrainSettings
from maskgen.train.setup import build_networks, prepared
from preprocess import IndexedDataset

UNCOUNTED = 2  # the Loader's depth
Figures = dict[str, float]
FOREVER = 10**9  # steps of a run that is never finished


def main() -> None:
    """Measure and print."""
    arguments = arguments_of()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder, World.start(arguments.device) as world:
        settings = settings_of(arguments, folder)
        if world.size > 1:
            sys.exit("this compares single processes; start it without torchrun")
        settings.check_division(1)
        ours = Ours(settings, world)
        ways: dict[str, Callable[[int], Figures]] = {"maskgen": ours.steps}
        print(heading(ours))
        theirs = None if arguments.no_yardstick else yardstick_of(ours, arguments)
        if theirs is not None:
            ways[theirs.name] = theirs.steps
        measured = rounds_of(ways, arguments)
        peak = peak_flops(world.device)
        print(f"\n{'':<46}{'tokens/s':>10}{'MFU':>9}{'Gflop/s':>10}{'data wait':>11}{'ms a step':>11}")
        for name, figures in measured.items():
            print(line_of(name, figures, peak))
        if theirs is not None:
            speeds = [[each["tokens_per_second"] for each in figures] for figures in measured.values()]
            ratios = [one / other for one, other in zip(*speeds, strict=True)]
            print(f"ratio {statistics.median(ratios):.2f} (rounds: {min(ratios):.2f} to {max(ratios):.2f})")
        record(arguments.results, [row_of(arguments, measured)])
        if arguments.profile:
            print(Profile(world.device, ours.steps, arguments.steps))
        ours.close()


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = bench_parser(__doc__, rounds=5)
    add = parser.add_argument
    add("--size", choices=SIZES, default="tiny")
    add("--objective", choices=("mlm", "electra"), default="mlm")
    add("--architecture", choices=("bert", "modern"), default="bert")
    add("--length", type=int, default=128, help="tokens of a row (%(default)s)")
    add("--batch", type=int, default=32, help="rows of a step (%(default)s)")
    add("--micro-batch", type=int, help="rows at once (all)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    add("--compile", action="store_true", help="torch.compile both")
    add("--steps", type=int, default=5, help="of a round (%(default)s)")
    add("--warm-up", type=int, default=3, help="steps that are left out at the beginning (%(default)s)")
    add("--threads", type=int, help="of torch on the CPU (all cores)")
    add("--workers", type=int, help="processes of the yardstick's DataLoader (4 on a GPU, else none)")
    add("--data", metavar="PREFIX", help="a dataset of documents (random tokens)")
    add("--tokenizer", metavar="PATH", default="tests/golden/bert-base-uncased-vocab.txt", help="of the dataset")
    add("--scheme", help="how ours masks (roberta, modernbert, electra)")
    add("--profile", action="store_true", help="also show what our steps spend their time on")
    add("--no-yardstick", action="store_true", help="only our figures")
    return parser.parse_args()


def settings_of(arguments: argparse.Namespace, folder: str) -> TrainSettings:
    """A run without validation, end or checkpoints."""
    data = arguments.data
    if data is None:
        sentences(folder)
        data = os.path.join(folder, "sentences-1")
    default = "roberta" if (arguments.objective, arguments.architecture) == ("mlm", "bert") else None
    return TrainSettings(
        data=(data,),
        tokenizer=arguments.tokenizer,
        output=os.path.join(folder, "run"),
        steps=FOREVER,
        max_seq_length=arguments.length,
        max_positions=max(512, arguments.length),
        split="1",
        scheme=arguments.scheme or default,
        cache_dir=os.path.join(folder, "cache"),
        objective=arguments.objective,
        size=arguments.size,
        architecture=arguments.architecture,
        batch_size=arguments.batch,
        micro_batch=arguments.micro_batch,
        precision=arguments.precision,
        compile=arguments.compile,
        lr=1e-5,  # low, so that random tokens break nothing
        schedule="constant",
        warmup=0,
    ).resolved()


class Ours:
    """Steps of the loop, without what surrounds them."""

    def __init__(self, settings: TrainSettings, world: World) -> None:
        data = open_data(settings)
        networks = build_networks(settings, data.vocab)
        module, optimizer = prepared(networks, settings, world)
        source = data.source(world.rank, world.size)
        checkpoints = Checkpoints(os.path.join(settings.output, "checkpoints"))
        self.run = Run(settings, world, data, networks, module, optimizer, source, checkpoints, print)
        self.run.tally, self.run.clock = Tally(self.run.objective), Clock()
        self.loader = data.loader(source, world.device)
        self.done = 0

    def steps(self, count: int) -> Figures:
        """Do so many, and say how fast; the device has finished them."""
        self.run.clock.interval(self.run.world)  # what others did meanwhile does not count
        for _ in range(count):
            self.run.one_step(self.done, self.loader)
            self.done += 1
        if self.run.world.device.type == "cuda":
            torch.cuda.synchronize()
        return self.run.clock.interval(self.run.world)

    def flops(self) -> float:
        """Operations of a step with full rows, 15 % of them masked."""
        settings, networks = self.run.settings, self.run.networks
        rows, length = int(settings.batch_size or 0), settings.max_seq_length
        config = networks.model_config
        if config is None:  # a CLIP, whose operations nobody counts
            return 0.0
        return training_flops(
            config,
            batch=rows,
            length=length,
            masked=0.15 * rows * length,
            generator=networks.generator_config,
        )

    def close(self) -> None:
        """Stop the thread."""
        self.loader.close()


def yardstick_of(ours: Ours, arguments: argparse.Namespace) -> Yardstick | None:
    """The same networks in transformers, on the same tokens; None, with a line that says why, where that cannot be."""
    settings = ours.run.settings
    if (settings.objective, settings.architecture) == ("electra", "modern"):
        print("no yardstick: transformers has no ELECTRA of this architecture")
        return None
    ours.run.export(0)
    tokens = IndexedDataset(settings.data[0]).tokens
    count = min(len(tokens) // settings.max_seq_length, 1 << 13)
    rows = tokens[: count * settings.max_seq_length].reshape(count, -1).tolist()
    device = ours.run.world.device
    workers = (4 if device.type == "cuda" else 0) if arguments.workers is None else arguments.workers
    try:
        return Yardstick(settings, device, ours.run.precision, rows, workers, ours.flops())
    except ModuleNotFoundError as error:
        print(f"no yardstick: {error}")
        record(arguments.results, [Missing("transformers", reason_of(error))])
        return None


def rounds_of(ways: dict[str, Callable[[int], Figures]], arguments: argparse.Namespace) -> dict[str, list[Figures]]:
    """Figures of each round, by name, after the warm-up."""
    for way in ways.values():
        way(arguments.warm_up)
    measured: dict[str, list[Figures]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            way(UNCOUNTED)
            measured[name].append(way(arguments.steps))
    return measured


def row_of(arguments: argparse.Namespace, measured: dict[str, list[Figures]]) -> Row:
    """Medians of tokens a second, for the table of all benches."""
    what = f"{arguments.objective}, {arguments.architecture} {arguments.size}, {arguments.batch} x {arguments.length}"
    speeds = {
        name: statistics.median(each["tokens_per_second"] for each in figures) for name, figures in measured.items()
    }
    ours, *theirs = speeds.items()
    yardstick, against = (theirs[0][1], f"{theirs[0][0]}, plain loop") if theirs else (None, "")
    return Row(what, ours[1], "tokens/s", yardstick, against)


def heading(ours: Ours) -> str:
    """What is measured, and on what."""
    run, device = ours.run, ours.run.world.device
    settings = run.settings
    count = sum(each.numel() for each in run.networks.objective.parameters())
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    peak = peak_flops(device)
    known = "unknown, so the MFU is, too" if peak is None else f"{peak / 1e12:,.0f} Tflop/s (dense bf16, data sheet)"
    parts = f" in parts of {settings.micro_batch}" if settings.micro_batch else ""
    compiled = ", compiled" if settings.compile else ""
    network = f"{settings.objective}, {settings.architecture} {settings.size}: {count:,} parameters"
    return (
        f"{network}; {settings.batch_size} rows of {settings.max_seq_length} tokens a step{parts}; {run.precision}"
        f"{compiled}; scheme {settings.scheme}\n"
        f"{where}; torch {torch.__version__}, {torch.get_num_threads()} threads\n"
        f"operations: {ours.flops() / 1e9:,.1f} Gflop a step of full rows, 3 x the forward pass; peak: {known}"
    )


def line_of(name: str, figures: list[Figures], peak: float | None) -> str:
    """Medians of the rounds."""
    middle: dict[str, Any] = {key: statistics.median(each[key] for each in figures) for key in figures[0]}
    used = "unknown" if peak is None else f"{middle['flops_per_second'] / peak:.1%}"
    return (
        f"{name:<46}{middle['tokens_per_second']:>10,.0f}{used:>9}{middle['flops_per_second'] / 1e9:>10,.1f}"
        f"{middle['data_wait']:>11.2%}{middle['seconds_per_step'] * 1e3:>11,.1f}"
    )


if __name__ == "__main__":
    main()

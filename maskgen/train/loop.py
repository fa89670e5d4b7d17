"""The training loop, from top to bottom.

settings --open_data--> batches of this rank, made ahead on a thread
         --build_networks--> objective --World.wrap--> module (DDP, FSDP2, or as it is)
each step: micro-batches -> losses over the masked tokens of all of them and all ranks -> gradients -> clip -> update
now and then: a line, a validation, a checkpoint; at the end the networks as Hugging Face folders

A step is a function of the weights, the consumed samples, and seeds made of (seed, step, rank). So a checkpoint is
weights, optimizer and a count, and a run that goes on from one has the very losses of a run that never stopped.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from maskgen.batches import BatchSource
from maskgen.datasets import Loader
from maskgen.train.checkpoints import Checkpoints, read_manifest
from maskgen.train.console import evaluation_line, step_line
from maskgen.train.data import Tensors, TrainingData, micro_batches, open_data
from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from maskgen.train.evaluation import Evaluation, measuring
from maskgen.train.export import export
from maskgen.train.flops import peak_flops, training_flops
from maskgen.train.full_state import (
    derived_seed,
    load_model_state,
    load_optimizer_state,
    model_state,
    optimizer_state,
)
from maskgen.train.metrics import Clock, MetricsLog, Record, Tally
from maskgen.train.optimizers import set_learning_rate
from maskgen.train.output_folder import alone_in, exported_step, latest_checkpoint, note_exported
from maskgen.train.settings import TrainSettings
from maskgen.train.setup import Networks, autocast, build_networks, prepared, resolved_precision
from maskgen.train.stopping import Stopping
from preprocess.errors import MaskgenError
from preprocess.pipeline.work_folder import write_file

EXIT_CODES = {None: 0, "SIGINT": 130, "SIGTERM": 143}  # of a time budget: 0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How far a run came, and why no further."""

    step: int
    steps: int
    reason: str | None = None  # to stop early
    nothing_done: bool = False

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return EXIT_CODES.get(self.reason, 0)

    def summary(self, output: str) -> str:
        """The last line for the user."""
        if self.nothing_done:
            return f"{output}: finished already, {self.step} steps; raise --steps to go on, or name another --output"
        if self.reason is not None:
            return f"{output}: saved after step {self.step} ({self.reason}); run the same command again to go on"
        return f"{output}: {self.step} steps; the model is in {os.path.join(output, 'model')}"


def train(settings: TrainSettings, world: World) -> Outcome:
    """Train as the settings say, from the latest checkpoint in their output folder on."""
    settings = settings.resolved()
    settings.check_division(world.size)
    stopping = Stopping(settings.max_time)  # whose time begins now, before the data is opened
    with alone_in(settings.output, world):
        return _train(settings, world, stopping)


def _train(settings: TrainSettings, world: World, stopping: Stopping) -> Outcome:
    say = _sayer(settings, world)
    checkpoints = Checkpoints(
        os.path.join(settings.output, "checkpoints"), keep=settings.keep, keep_every=settings.keep_every
    )
    latest, configs = latest_checkpoint(checkpoints, world), None
    if latest is not None:
        manifest = read_manifest(latest)
        settings.check_same_run(manifest["notes"]["settings"], latest)
        configs = manifest["notes"]["configs"]
        if manifest["step"] >= settings.steps and world.share(exported_step(settings.output)) == manifest["step"]:
            return Outcome(manifest["step"], settings.steps, nothing_done=True)

    data = _in_turn(world, lambda: open_data(settings))
    networks = build_networks(settings, data.vocab, configs)
    module, optimizer = prepared(networks, settings, world)
    source = data.source(world.rank, world.size)
    step = 0
    if latest is not None:
        checkpoint = checkpoints.load(latest, world=world)
        load_model_state(module, checkpoint.state["model"])
        load_optimizer_state(module, optimizer, checkpoint.state["optimizer"])
        source.load_state_dict(checkpoint.state["data"])
        step = checkpoint.step
        say(f"going on after step {step}, {source.consumed:,} samples")
    run = Run(settings, world, data, networks, module, optimizer, source, checkpoints, say)
    if world.is_main:
        write_file(os.path.join(settings.output, "settings.json"), settings.to_json().encode())
        say(run.first_line())
    return run.go_on(step, stopping)


class Run:
    """A run with everything in its place: ``go_on`` is the loop."""

    def __init__(
        self,
        settings: TrainSettings,
        world: World,
        data: TrainingData,
        networks: Networks,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        source: BatchSource,
        checkpoints: Checkpoints,
        say: Say,
    ) -> None:
        self.settings, self.world, self.data, self.networks = settings, world, data, networks
        self.module, self.optimizer, self.source, self.checkpoints = module, optimizer, source, checkpoints
        self.say = say
        self.parameters = [each for each in module.parameters() if each.requires_grad]
        self.objective = measuring(module).objective
        self.precision = resolved_precision(settings, world.device)
        self.rate = settings.learning_rate()
        self.evaluate = Evaluation(data, world, settings.micro_batch or source.largest_share, self.precision)

    def rows_at_once(self, consumed: int) -> int:
        """Rows of a micro-batch of this rank: by default all of its share."""
        return self.settings.micro_batch or max(1, self.source.size(consumed) // self.world.size)

    def go_on(self, step: int, stopping: Stopping) -> Outcome:
        """Train from `step` to the end, or until somebody asks to stop."""
        settings, world = self.settings, self.world
        log = MetricsLog(settings.output, step=step, tensorboard=settings.tensorboard) if world.is_main else None
        self.log, saved, reason = log, step, None
        self.tally, self.clock = Tally(self.objective), Clock()
        try:
            with stopping, self.data.loader(self.source, world.device) as loader:
                while step < settings.steps and reason is None:
                    norm = self.one_step(step, loader)
                    step += 1
                    last = step == settings.steps
                    if step % settings.log_every == 0 or last:
                        self.report(step, norm)
                    with self.clock.paused():
                        if step % int(settings.eval_every or 1) == 0 or last:
                            self.validate(step)
                        if step % settings.save_every == 0 or last:
                            self.save(step)
                            saved = step
                    if not last and world.any(stopping.asked):
                        reasons = world.gather(stopping.reason) or []
                        reason = world.share(next((each for each in reasons if each), "asked to stop"))
                if saved < step:  # signals may come twice, by torchrun too: none of them ends this
                    self.save(step)
            if reason not in ("SIGINT", "SIGTERM"):  # they are in a hurry
                self.export(step)
        finally:
            if log is not None:
                log.close()
        return Outcome(step, settings.steps, reason)

    def one_step(self, step: int, loader: Loader) -> float:
        """One update of the weights; the norm that the gradient had."""
        settings, world, device = self.settings, self.world, self.world.device
        consumed = self.source.consumed
        rows = self.rows_at_once(consumed)
        seed = derived_seed(settings.seed, "step", step, world.rank)
        torch.manual_seed(seed)  # of dropout
        generator = torch.Generator(device).manual_seed(seed)  # of ELECTRA's samples
        with self.clock.waiting():
            batch = next(loader)
        micros = list(micro_batches(batch, rows, device))
        counts = [self.objective.counts(micro) for micro in micros]
        # What losses are divided by, before any of them: the masked tokens of all ranks and micro-batches.
        totals = world.sum({name: torch.stack([each[name] for each in counts]).sum() for name in counts[0]})

        set_learning_rate(self.optimizer, self.rate.at(step))
        for number, (micro, count) in enumerate(zip(micros, counts, strict=True), 1):
            with world.sync_gradients(self.module, on=number == len(micros)):
                with autocast(self.precision, device):
                    measured = self.module(micro, generator)
                loss = measured.loss(self.objective.weights, totals)
                (loss * world.size).backward()  # gradients are averaged over ranks
            self.tally.add(count, measured)
        norm = float(world.clip_gradients(self.parameters, settings.clip or None))
        if not math.isfinite(norm):
            self.fail(step, consumed, norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.clock.count(batch, self.flops_of(batch) if world.is_main else 0.0)
        return norm

    def fail(self, step: int, consumed: int, norm: float) -> None:
        """Keep the state from before this step, and say which samples broke it."""
        data = {**self.source.state_dict(), "consumed": consumed}
        failed = Checkpoints(os.path.join(self.settings.output, "failed"), keep=1)
        path = failed.save(step, self.state(data), world=self.world, notes=self.notes())
        figures = self.tally.figures(self.world)
        raise TrainError(
            f"step {step + 1}: the gradient's norm is {norm}, the loss {figures['loss']}; expected finite numbers; the "
            f"state before this step is in {path}; lower --lr, or look at its samples: "
            f"{self.data.names(self.source, consumed)}"
        )

    def report(self, step: int, norm: float) -> None:
        """A line of figures, and a record."""
        world = self.world
        figures = self.tally.figures(world)
        counted = self.clock.interval(world)
        record: Record = {
            "kind": "train", "step": step, "consumed": self.source.consumed, **figures,
            "lr": self.rate.at(step - 1), "grad_norm": norm, **counted,
        }  # fmt: skip
        peak = peak_flops(world.device)
        flops = record.pop("flops_per_second")
        record["mfu"] = None if peak is None or not flops else flops / (peak * world.size)
        if self.log is not None:
            self.log.write(record)
            self.say(step_line(record, self.settings.steps))

    def validate(self, step: int) -> None:
        """A line of validation, and a record."""
        record = self.evaluate(self.module, step)
        if record is not None and self.log is not None:
            self.log.write(record)
            self.say(evaluation_line(record))

    def state(self, data: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint holds."""
        keep = self.world.is_main
        optimizer = optimizer_state(self.module, self.optimizer, keep=keep)
        return {"model": model_state(self.module, keep=keep), "optimizer": optimizer, "data": data}

    def notes(self) -> dict[str, Any]:
        """What can be read of it without loading it."""
        return {"settings": self.settings.identity(), "configs": self.networks.configs}

    def save(self, step: int) -> None:
        """A checkpoint."""
        self.checkpoints.save(step, self.state(self.source.state_dict()), world=self.world, notes=self.notes())

    def export(self, step: int) -> None:
        """The networks as folders that from_pretrained loads."""
        weights = model_state(self.module, keep=self.world.is_main)
        if self.world.is_main:
            export(weights, self.networks.configs, self.settings, self.data.vocab)
            note_exported(self.settings.output, step)
        self.world.barrier()

    def flops_of(self, batch: Tensors) -> float:
        """Operations of a step, if the other ranks have as much to do."""
        config = self.networks.model_config
        if config is None:  # a CLIP, whose operations nobody counts
            return 0.0
        size, width = batch["text"].shape
        known = {}
        if self.settings.architecture == "modern":  # which computes for real tokens alone, document by document
            packed = "cumulative_lengths" in batch
            lengths = (batch["cumulative_lengths"].diff() if packed else batch["lengths"]).double()
            known = {"tokens": float(lengths.sum()), "attended": float(lengths.square().sum())}
        return self.world.size * training_flops(
            config,
            batch=size,
            length=width,
            masked=len(batch["masked_labels"]),
            generator=self.networks.generator_config,
            pairs=self.settings.next_sentence,
            **known,
        )

    def first_line(self) -> str:
        """What is about to happen."""
        settings, count = self.settings, sum(each.numel() for each in self.networks.objective.parameters())
        return (
            f"{settings.objective}, {settings.architecture} {settings.size}: {count:,} parameters, {self.precision} on "
            f"{self.world.size} x {self.world.device.type}; {len(self.data.samples):,} samples of "
            f"{settings.max_seq_length}, {self.data.evaluated(1):,} for validation; {settings.steps} steps of "
            f"{settings.batch_size}, scheme {settings.scheme}"
        )


def _sayer(settings: TrainSettings, world: World) -> Say:
    def say(line: str) -> None:
        if world.is_main and not settings.quiet:
            print(line, flush=True)

    return say


def _in_turn(world: World, make: Callable[[], TrainingData]) -> TrainingData:
    """First rank 0, which leaves mappings in the cache, then the others."""
    made, error = None, None
    try:
        made = make() if world.is_main else None
    except MaskgenError as failure:
        error = failure
    if message := world.share(error and str(error)):
        raise error or TrainError(message)
    return make() if made is None else made

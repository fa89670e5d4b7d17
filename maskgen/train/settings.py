"""Everything that a training run is told: the flags of ``maskgen train`` as one frozen record of plain values.

flags --TrainSettings(...)--> resolved() fills in the defaults of objective, architecture and size --> settings.json

A run that is resumed may change what cannot change a loss (devices, cadences, what is kept) and how long it goes on;
``difference_to`` names the first of the others that differs. Where files lie is never compared: what is in them is,
by the state of the data (see docs/batches.md).
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from maskgen.batches.sizes import Steps, linear_ramp
from maskgen.batches.weights import parse_weighted
from maskgen.identity import difference
from maskgen.train.errors import TrainError
from maskgen.train.schedules import LearningRate, Ramp
from maskgen.train.stopping import seconds

DIFFUSION = "masked-diffusion"  # the scheme of the objective diffusion
OBJECTIVES = ("mlm", "electra", "diffusion", "clip")
WEIGHTINGS = ("llada", "mdlm", "xlm")  # of diffusion
SIZES = ("tiny", "small", "base", "large")
ARCHITECTURES = ("bert", "modern")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "objective": OBJECTIVES,
    "size": SIZES,
    "architecture": ARCHITECTURES,
    "diffusion_weighting": WEIGHTINGS,
    "schedule": ("linear", "cosine", "wsd", "constant"),
    "optimizer": ("adamw", "stable-adamw"),
    "precision": ("auto", "bf16", "fp32"),
    "strategy": ("ddp", "fsdp"),
}
# Learning rate and global batch. ELECTRA's are those of its paper; BERT's of recipes with warm-up and decay in one run.
DEFAULTS: Mapping[str, Mapping[str, tuple[float, int]]] = {
    "mlm": {"tiny": (1e-3, 64), "small": (5e-4, 256), "base": (5e-4, 256), "large": (2e-4, 256)},
    "electra": {"tiny": (1e-3, 64), "small": (5e-4, 128), "base": (2e-4, 256), "large": (2e-4, 2048)},
    "diffusion": {"tiny": (1e-3, 64), "small": (5e-4, 256), "base": (5e-4, 256), "large": (2e-4, 256)},  # as mlm
    "clip": {"tiny": (1e-3, 64), "small": (5e-4, 256), "base": (5e-4, 512), "large": (5e-4, 1024)},
}
WARMUP = {"mlm": 0.06, "electra": 0.01, "diffusion": 0.06, "clip": 0.06}  # share of the steps
SCHEMES = {
    ("mlm", "bert"): "bert", ("mlm", "modern"): "modernbert", ("electra", "bert"): "electra",
    ("electra", "modern"): "electra", ("diffusion", "bert"): DIFFUSION, ("diffusion", "modern"): DIFFUSION,
    ("clip", "bert"): "pairs", ("clip", "modern"): "pairs",
}  # fmt: skip
POSITIONS = 512
EVAL_RATE = 0.15

MAY_CHANGE = "may change on resume"


def _free(default: Any) -> Any:
    return field(default=default, metadata={MAY_CHANGE: True})


@dataclass(frozen=True)
class TrainSettings:
    """One run. None stands for the default of the objective, architecture and size; ``resolved`` puts it in."""

    data: tuple[str, ...] = _free(())  # PREFIX, or PREFIX=WEIGHT each
    tokenizer: str = _free("")
    output: str = _free("")
    steps: int = _free(0)

    max_seq_length: int = 128
    seed: int = 1234
    split: str = "969,30,1"
    scheme: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    mask_rate: str | None = None  # "0.3", or "0.3:0.15" over the run; the scheme's own
    rows: str | None = None
    add_special: bool | None = None  # where the data has none
    roles: Mapping[str, str] = field(default_factory=dict)
    cache_dir: str | None = _free(None)
    any_tokenizer: bool = _free(False)

    objective: str = "mlm"
    size: str = "small"
    architecture: str = ""  # bert; of diffusion modern
    diffusion_weighting: str = WEIGHTINGS[0]
    max_positions: int | None = None
    dropout: float | None = None
    next_sentence: bool = False
    init_from: tuple[str, ...] = _free(())

    batch_size: int | None = None
    batch_ramp: str | None = None  # START:INCREMENT:SAMPLES
    lr: float | None = None
    schedule: str = "linear"
    warmup: float | None = None  # a share of the steps, or their number
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    clip: float = 1.0

    micro_batch: int | None = _free(None)
    device: str = _free("auto")
    precision: str = _free("auto")
    strategy: str = _free("ddp")
    compile: bool = _free(False)
    threads: int = _free(1)

    log_every: int = _free(10)
    eval_every: int | None = _free(None)
    eval_samples: int = _free(1024)
    eval_rate: float = _free(EVAL_RATE)
    save_every: int = _free(1000)
    keep: int = _free(3)
    keep_every: int | None = _free(None)
    max_time: str | None = _free(None)
    tensorboard: bool = _free(False)
    quiet: bool = _free(False)

    def resolved(self) -> "TrainSettings":
        """Checked, with every default in its place."""
        if not self.architecture:
            return replace(self, architecture="modern" if self.objective == "diffusion" else "bert").resolved()
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise TrainError(f"{_flag(name)} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}")
        lr, batch = DEFAULTS[self.objective][self.size]
        scheme = self.scheme or SCHEMES[self.objective, self.architecture]
        packed = self.architecture == "modern" and scheme not in ("bert", "t5")
        filled = replace(
            self,
            scheme=scheme,
            rows=self.rows or ("best-fit" if packed else None),
            lr=lr if self.lr is None else float(self.lr),
            batch_size=batch if self.batch_size is None else self.batch_size,
            warmup=WARMUP[self.objective] if self.warmup is None else float(self.warmup),
            weight_decay=float(self.weight_decay),
            clip=float(self.clip),
            max_positions=max(POSITIONS, self.max_seq_length if packed else 0)
            if self.max_positions is None
            else self.max_positions,
            eval_every=self.save_every if self.eval_every is None else self.eval_every,
        )
        filled._check()
        if filled.objective == "clip":
            from maskgen.train.pairs import check_pairs

            check_pairs(filled)
        return filled

    def _check(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not (least <= value < math.inf and int(value) == value):
                raise TrainError(f"{_flag(name)} is {value!r}; expected a whole number from {least} on; correct it")
        for name in ("clip", "weight_decay", "warmup"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainError(f"{_flag(name)} is {getattr(self, name)!r}; expected a number from 0 on; correct it")
        if not 0 < self.eval_rate < 1:
            raise TrainError(f"--eval-rate is {self.eval_rate}; expected a share above 0 and below 1; correct it")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise TrainError(f"--dropout is {self.dropout}; expected a share from 0 on and below 1; correct it")
        if not self.output:
            raise TrainError("--output is empty; expected the folder of the run; name one")
        if not self.data:
            raise TrainError("--data is empty; expected PREFIX or PREFIX=WEIGHT, one or more; name a dataset")
        if self.warmup_steps > self.steps:
            raise TrainError(f"--warmup is {self.warmup_steps} steps of {self.steps}; expected fewer; lower it")
        if self.max_seq_length > (self.max_positions or 0):
            raise TrainError(
                f"--max-seq-length is {self.max_seq_length}, longer than the {self.max_positions} positions of the "
                "model; expected at most that; shorten it, or raise --max-positions"
            )
        if self.next_sentence and self.objective != "mlm":
            raise TrainError(
                f"--next-sentence with --objective {self.objective}; expected mlm, which has the head; leave it out"
            )
        if self.next_sentence and self.architecture != "bert":
            raise TrainError("--next-sentence with --architecture modern; expected bert, which has types of parts")
        if self.next_sentence and not (self.scheme == "bert" or self.rows == "pairs"):
            raise TrainError(
                f"--next-sentence with the scheme {self.scheme}; expected pairs of texts; add --rows pairs, or use "
                "--scheme bert"
            )
        if self.objective == "diffusion":
            self._check_diffusion()
        elif self.diffusion_weighting != WEIGHTINGS[0]:
            raise TrainError(
                f"--diffusion-weighting with --objective {self.objective}; expected diffusion; leave it out"
            )
        most = 2 if self.objective == "electra" else 1
        if len(self.init_from) > most:
            raise TrainError(
                f"--init-from names {len(self.init_from)} folders; expected one (of ELECTRA the discriminator, and "
                "perhaps the generator); leave the others out"
            )
        self.batch_sizes()
        self.learning_rate()
        self.masking_rate()
        if self.max_time is not None:
            seconds(self.max_time)

    def _check_diffusion(self) -> None:
        if self.scheme != DIFFUSION:
            raise TrainError(f"--scheme {self.scheme} with --objective diffusion; expected {DIFFUSION}; leave it out")
        for name, usual in (("mask_rate", None), ("eval_rate", EVAL_RATE)):
            if getattr(self, name) != usual:
                raise TrainError(
                    f"{_flag(name)} with --objective diffusion; expected none: training draws a rate a row, and "
                    "validation takes rates from all of the range; leave it out"
                )

    def batch_sizes(self) -> Steps:
        """Global batch sizes, as steps of (consumed samples, size from there on)."""
        size = int(self.batch_size or 0)
        if self.batch_ramp is None:
            return [(0, size)]
        try:
            start, increment, samples = map(int, self.batch_ramp.split(":"))
        except ValueError:
            raise TrainError(
                f"--batch-ramp is {self.batch_ramp!r}; expected START:INCREMENT:SAMPLES, such as 32:32:1000000"
            ) from None
        return linear_ramp(start, size, increment, samples)

    def check_division(self, ranks: int) -> None:
        """Every rank must have as many micro-batches as the others, all of one size."""
        for _, size in self.batch_sizes():
            unit = ranks * (self.micro_batch or 1)
            if size % unit:
                micro = f" and micro-batches of {self.micro_batch}" if self.micro_batch else ""
                raise TrainError(
                    f"a global batch of {size} samples for {ranks} ranks{micro}; expected a multiple of {unit}; "
                    "correct --batch-size, --batch-ramp or --micro-batch"
                )

    @property
    def warmup_steps(self) -> int:
        """Steps until the learning rate has its peak."""
        warmup = float(self.warmup or 0)
        return round(warmup * self.steps) if warmup < 1 else int(warmup)

    def learning_rate(self) -> LearningRate:
        """The learning rate of each step."""
        return LearningRate(self.schedule, float(self.lr or 0), self.steps, self.warmup_steps)

    def masking_rate(self) -> Callable[[int], float] | float | None:
        """The masking rate as a function of consumed samples, or for all of them; None: the scheme's own."""
        if self.mask_rate is None:
            return None
        return Ramp.parse(self.mask_rate).over(self.samples_after(self.steps))

    def samples_after(self, steps: int) -> int:
        """How many samples that many steps consume."""
        sizes, consumed = self.batch_sizes(), 0
        for place, (_, size) in enumerate(sizes):
            end = sizes[place + 1][0] if place + 1 < len(sizes) else math.inf
            taken = min(steps, math.ceil((end - consumed) / size) if end < math.inf else steps)
            consumed, steps = consumed + taken * size, steps - taken
        return consumed

    def weighted_data(self) -> tuple[list[str], list[float] | None]:
        """The prefixes and their weights; None where none has one: in proportion to their samples."""
        pairs = parse_weighted(self.data, lambda said: TrainError(f"--data {said}"))
        weights = [weight for _, weight in pairs if weight is not None]
        return [prefix for prefix, _ in pairs], weights or None

    def to_json(self) -> str:
        """The content of settings.json."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def identity(self) -> dict[str, Any]:
        """What must not change from one part of a run to the next."""
        fixed = {each.name for each in fields(self) if not each.metadata.get(MAY_CHANGE)}
        return {name: value for name, value in asdict(self).items() if name in fixed}

    def check_same_run(self, saved: Mapping[str, Any], where: str) -> None:
        """Raise, with the first difference, unless these settings go on with a run whose identity was `saved`."""
        if (place := difference(saved, self.identity())) is not None:
            raise TrainError(
                f"{where}: a run with other settings: {place} (saved, here); use the same ones, or another --output"
            )


def settings_of(given: Mapping[str, Any]) -> TrainSettings:
    """The settings that flags make, by their names; those that were not given have their defaults."""
    from maskgen.samples.opening import parse_option, parse_roles

    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    options, roles = values.pop("option", ()), values.pop("role", ())
    settings = TrainSettings(**values, roles=parse_roles(roles)).resolved()
    if settings.objective == "clip":
        from maskgen.train.pairs import parse_clip_option

        return replace(settings, options=dict(parse_clip_option(text) for text in options))
    parsed = dict(parse_option(str(settings.scheme), text, settings.rows) for text in options)
    return replace(settings, options=parsed)


_LEAST = {
    "steps": 1, "max_seq_length": 4, "seed": 0, "max_positions": 1, "batch_size": 1, "micro_batch": 1, "threads": 1,
    "log_every": 1, "eval_every": 1, "eval_samples": 1, "save_every": 1, "keep": 1, "keep_every": 1,
}  # fmt: skip


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"

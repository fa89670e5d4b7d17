"""Which benches there are, and how each is called: for a real run, and with small inputs to try it out.

A test holds SUITE to the files bench_*.py of this folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Call = list[str]  # arguments of one run
APART = {"all": "it runs the others", "scaling": "it has a page of its own, docs/scaling.md"}
QUICK_STEP = ["--size", "tiny", "--length", "32", "--batch", "2", "--steps", "1", "--warm-up", "1"]


@dataclass(frozen=True)
class Inputs:
    """What benches work on."""

    corpora: Sequence[str] = ()
    tokenizer: str = ""
    helper: str | None = None  # of Megatron-LM


@dataclass(frozen=True)
class Bench:
    """One script; its calls, the quick ones, and what they need beside the repository."""

    calls: Callable[[Inputs], list[Call]]
    quick: Callable[[Inputs], list[Call]]
    needs: tuple[str, ...] = ()


def _calls(*calls: Call) -> Callable[[Inputs], list[Call]]:
    return lambda _: [list(call) for call in calls]


def _engines(thin: str) -> Callable[[Inputs], list[Call]]:
    return lambda given: [[each, "--tokenizer", given.tokenizer, "--thin", thin] for each in given.corpora]


def _pipeline(*options: str) -> Callable[[Inputs], list[Call]]:
    return lambda given: [[*given.corpora, "--tokenizer", given.tokenizer, *options]]


def _mapping(*options: str) -> Callable[[Inputs], list[Call]]:
    return lambda given: [[*options, *(["--helper", given.helper] if given.helper else [])]]


def _each_corpus(given: Inputs) -> list[Call]:
    return [[each] for each in given.corpora]


def _first_corpus(given: Inputs) -> list[Call]:
    return [[given.corpora[0]]]


CORPUS, BOTH = ("--corpus",), ("--corpus", "--tokenizer")
SUITE = {
    "pipeline": Bench(_pipeline("--thin", "20"), _pipeline("--thin", "1", "--no-stages"), BOTH),
    "engines": Bench(_engines("30"), _engines("1"), BOTH),
    "readers": Bench(_first_corpus, _first_corpus, CORPUS),
    "sentences": Bench(_each_corpus, _each_corpus, CORPUS),
    "indexed": Bench(_calls([]), _calls(["--sequences", "100000", "--datasets", "20"])),
    "mapping": Bench(_mapping(), _mapping("--sentences", "20000")),
    "rows": Bench(_calls([]), _calls(["--documents", "10000"])),
    "masking": Bench(_calls([]), _calls([])),
    "batches": Bench(_calls([], ["--start-up"]), _calls([])),
    "train": Bench(_calls([], ["--objective", "electra"]), _calls(QUICK_STEP)),
    "help": Bench(_calls([]), _calls([])),
}

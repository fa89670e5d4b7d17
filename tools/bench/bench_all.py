#!/usr/bin/env python3
"""Every bench of this folder, one table of all of them, and a plot.

    python tools/bench/bench_all.py --corpus CORPUS.jsonl ... --tokenizer TOKENIZER.json [--helper helpers.cpp]
    python tools/bench/bench_all.py --quick [--only help sentences]

Each bench is a process of its own, one after the other; what it prints is shown as it comes, and its figures come back
through --results. Peers that cannot be imported are named with the reason. A bench that fails is named with its last
line, the others go on, and the exit code is 1.

A whole run writes the table between the markers of docs/benchmarks.md, and docs/benchmarks.svg beside it (or of another
page: --output). --quick tries everything with a small corpus and vocabulary made from the package's own text: its
figures mean nothing, and it never writes the docs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import fill

from machine import ROOT, commit, machine
from ratio_plot import drawn
from results import Missing, Row, read_results, shown
from suite import APART, SUITE, Call, Inputs

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = str(ROOT / "docs" / "benchmarks.md")
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
QUICK_COPIES = 100  # of the embedded corpus, ten kilobytes


@dataclass
class Outcome:
    """What came of one bench."""

    name: str
    entries: list[Row | Missing] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """Its figures."""
        return [entry for entry in self.entries if isinstance(entry, Row)]

    @property
    def missing(self) -> dict[str, str]:
        """Peers that were not measured, and why."""
        return {entry.peer: entry.reason for entry in self.entries if isinstance(entry, Missing)}


def main() -> int:
    """Run, print, write."""
    arguments = arguments_of()
    names = arguments.only or list(SUITE)
    where = f"commit {commit()} on {machine()}"  # before the run, during which either may change
    page = page_of(arguments)
    if page is not None:
        around_table(page)  # before hours of work
    with tempfile.TemporaryDirectory(prefix="bench-all-") as folder:
        inputs = quick_inputs(folder) if arguments.quick else given_inputs(arguments)
        outcomes = [measured(name, inputs, arguments, folder) for name in names]
    table = "\n".join(table_lines(outcomes))
    print(f"\nMeasured at {where}\n\n{table}")
    if page is None:
        print(
            "\nNo page is written: a part of the benches, or quick ones, are no figures for the docs (--output PAGE)."
        )
    else:
        write_page(page, f"{measured_line(arguments, where)}\n\n{table}", outcomes)
        print(f"\nwritten: {page}, {plot_of(page)}")
    failed = [outcome.name for outcome in outcomes if outcome.failures]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--corpus", nargs="+", metavar="FILE", default=[], help="JSON lines, not compressed")
    add("--tokenizer", metavar="TOKENIZER.json")
    add("--helper", metavar="PATH", help="Megatron-LM's helpers.cpp, for bench_mapping.py (its module, if it is there)")
    add("--only", nargs="+", metavar="NAME", choices=SUITE, help=f"some of {', '.join(SUITE)}")
    add("--rounds", type=int, help="of each bench (its own default)")
    add("--quick", action="store_true", help="small inputs, one round: to try it out")
    add("--output", metavar="PAGE", help="write the table between its markers (docs/benchmarks.md after a whole run)")
    arguments = parser.parse_args()
    if arguments.quick and (arguments.corpus or arguments.tokenizer):
        parser.error("--quick: found --corpus or --tokenizer beside it, expected neither; it makes its own")
    if arguments.quick and arguments.output and os.path.realpath(arguments.output) == os.path.realpath(PAGE):
        parser.error(
            f"--output: found {arguments.output} beside --quick, expected another page; quick figures mean nothing"
        )
    if not arguments.quick:
        given = {"--corpus": arguments.corpus, "--tokenizer": arguments.tokenizer}
        for name in arguments.only or SUITE:
            for flag in SUITE[name].needs:
                if not given[flag]:
                    parser.error(f"{flag}: found none, expected one for {name}; give it, or try --quick")
    return arguments


def given_inputs(arguments: argparse.Namespace) -> Inputs:
    """The inputs of the command line, from wherever the benches are started."""
    corpora = [os.path.abspath(each) for each in arguments.corpus]
    helper = arguments.helper and os.path.abspath(arguments.helper)
    return Inputs(corpora, os.path.abspath(arguments.tokenizer) if arguments.tokenizer else "", helper)


def quick_inputs(folder: str) -> Inputs:
    """The corpus of `maskgen demo`, many times, and a small vocabulary of it."""
    from maskgen import demo_corpora
    from preprocess.tokenization.training import TrainingSettings, save_tokenizer, train_tokenizer

    corpus, documents = os.path.join(folder, "embedded.jsonl"), demo_corpora.small()
    demo_corpora.write(documents * QUICK_COPIES, corpus)
    save_tokenizer(train_tokenizer(lambda: documents, TrainingSettings(vocab_size=1000)), folder)
    return Inputs([corpus], os.path.join(folder, "tokenizer.json"))


def measured(name: str, inputs: Inputs, arguments: argparse.Namespace, folder: str) -> Outcome:
    """Run all calls of one bench."""
    outcome = Outcome(name)
    bench = SUITE[name]
    rounds = 1 if arguments.quick and not arguments.rounds else arguments.rounds
    for number, call in enumerate((bench.quick if arguments.quick else bench.calls)(inputs)):
        results = os.path.join(folder, f"{name}-{number}.jsonl")
        failure = run_one(name, [*call, *(["--rounds", str(rounds)] if rounds else []), "--results", results])
        if failure is not None:
            outcome.failures.append(failure)
        if os.path.exists(results):
            outcome.entries += read_results(results)
    return outcome


def run_one(name: str, call: Call) -> str | None:
    """Run a script and show what it prints as it comes; the last line of it where it fails."""
    print(f"\n== bench_{name}.py {' '.join(call[:-2])}", flush=True)
    command = [sys.executable, "-u", os.path.join(HERE, f"bench_{name}.py"), *call]
    started, last = time.monotonic(), "it printed nothing"
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    print(f"-- {time.monotonic() - started:.0f} s, exit code {process.returncode}", flush=True)
    return None if process.returncode == 0 else last


def table_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """The table, and below it what was not measured."""
    lines = ["| what | ours | yardstick | ratio |", "|---|---|---|---|"]
    for outcome in outcomes:
        lines += [f"| {outcome.name}: {cells(row)} |" for row in outcome.rows]
        lines += [f"| {outcome.name} | **failed**: {plain(last)} | | |" for last in outcome.failures]
    missing = {peer: reason for outcome in outcomes for peer, reason in outcome.missing.items()}
    lines += ["", *(f"- Not measured: {peer} ({plain(reason)})." for peer, reason in missing.items())]
    lines += [
        f"- Not part of it: `bench_{name}.py`, since {reason}." for name, reason in APART.items() if name != "all"
    ]
    return lines


def cells(row: Row) -> str:
    """The columns of one figure."""
    yardstick = row.against if row.yardstick is None else f"{shown(row.yardstick, row.unit)}, {row.against}"
    ratio = "" if row.ratio is None else shown(row.ratio, "").strip()
    return " | ".join([plain(row.what), shown(row.ours, row.unit), plain(yardstick), ratio])


def plain(words: str) -> str:
    """Words that fit into a cell, without the folders of this machine."""
    short = " ".join(os.path.basename(word) if word.startswith("/") else word for word in words.split())
    return short.replace("|", "\\|")[:160]


def measured_line(arguments: argparse.Namespace, where: str) -> str:
    """With what, and on what."""
    words = ["python tools/bench/bench_all.py"]
    if arguments.corpus:
        words += ["--corpus", *map(os.path.basename, arguments.corpus)]
    if arguments.tokenizer:
        words += ["--tokenizer", os.path.join(*os.path.abspath(arguments.tokenizer).split(os.sep)[-2:])]
    words += ["--helper", os.path.basename(arguments.helper)] if arguments.helper else []
    words += ["--rounds", str(arguments.rounds)] if arguments.rounds else []
    words += ["--only", *arguments.only] if arguments.only else []
    words += ["--quick"] if arguments.quick else []
    return fill(f"Measured by `{' '.join(words)}` at {where}.", 120, break_on_hyphens=False)


def page_of(arguments: argparse.Namespace) -> str | None:
    """Where the table goes."""
    if arguments.output:
        return str(os.path.abspath(arguments.output))
    return None if arguments.quick or arguments.only else PAGE


def around_table(page: str) -> tuple[str, str]:
    """What stands before and behind the table; of a page that is not there, a heading."""
    try:
        with open(page, encoding="utf-8") as file:
            words = file.read()
    except FileNotFoundError:
        return "# Benchmarks\n\n", ""
    before, begin, rest = words.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{page}: found no lines {BEGIN.strip()} and {END.strip()}, expected both; put them around the table")
    return before, after


def plot_of(page: str) -> str:
    """The plot beside a page."""
    return f"{os.path.splitext(page)[0]}.svg"


def write_page(page: str, table: str, outcomes: Sequence[Outcome]) -> None:
    """Put the table between the markers of `page`, whose other words stay, and the plot beside it."""
    groups = {
        outcome.name: [(f"{row.what} / {row.against}", row.ratio) for row in outcome.rows if row.ratio is not None]
        for outcome in outcomes
    }
    plot = plot_of(page)
    with open(plot, "w", encoding="utf-8") as file:
        file.write(drawn({name: rows for name, rows in groups.items() if rows}))
    write_table(page, f"{table}\n\n![Ratios of all benches, on a log axis]({os.path.basename(plot)})")


def write_table(page: str, table: str) -> None:
    """Put it between the markers."""
    before, after = around_table(page)
    with open(page, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{table}\n\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())

"""The tables of docs/scaling.md: what was measured, the model, and the model at the size of a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

from scaling_model import GIGA, TERA, Cluster, Cost, amount, duration
from scaling_runs import Corpus, Run

NAMES = {
    "cpu": "processor time, all processes",
    "seconds": "time",
    "bin": "`.bin`",
    "idx": "`.idx`",
    "json": "sidecar",
    "disk": "unfinished work at its peak",
}
TIMES = ("cpu", "seconds")
BILLION = 1e9


@dataclass(frozen=True)
class Measured:
    """Whole runs; the last one was not in the fit."""

    corpora: list[Corpus]
    runs: list[Run]
    costs: dict[str, Cost]

    @property
    def held_out(self) -> Run:
        """The one that was predicted."""
        return self.runs[-1]


@dataclass(frozen=True)
class Parts:
    """What was measured apart."""

    workers: int
    large_shards: Run  # of 256 MB
    finishing: Sequence[Run]  # of the first and the last size
    many_shards: Run  # the same as the first, in `small_shards` of them
    small_shards: int
    fingerprints: Sequence[Run]
    cat: float
    separate: dict[str, list[dict[str, float]]]


def tables(found: Measured, parts: Parts, cluster: Cluster) -> str:
    """All of them, in Markdown."""
    return "\n".join(
        [*model_lines(found, parts), "", *part_lines(found, parts), "", *plan_lines(found, parts, cluster)]
    )


def model_lines(found: Measured, parts: Parts) -> list[str]:
    """Costs, and the prediction beside the truth."""
    corpus, run = found.corpora[-1], found.held_out
    lines = [
        "| cost | fixed | a TB of text | a billion documents more | "
        f"{corpus.text / 1e6:,.0f} MB: predicted | measured | off by |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, name in NAMES.items():
        cost, truth = found.costs[kind], getattr(run, kind)
        guess = cost(corpus.text, corpus.documents)
        shown = duration if kind in TIMES else amount
        named = f"{name}, {parts.workers} workers" if kind == "seconds" else name
        cells = [cost.fixed, cost.text * TERA, cost.document * BILLION, guess, truth]
        lines.append(f"| {named} | {' | '.join(map(shown, cells))} | {guess / truth - 1:+.1%} |")
    most = max(each.memory for each in found.runs)
    smallest = min(each.memory for each in found.runs)
    lines += [
        f"| memory of the largest process | {amount(smallest)} to {amount(most)} | none | none | | "
        f"{amount(run.memory)} | |",
        f"| the same with `--shard-bytes 256M` | {amount(parts.large_shards.memory)} | none | none | | | |",
    ]
    speed = corpus.text / run.seconds / 1e6
    lines += [
        "",
        f"Yardstick of the same run: `cat` of the {corpus.text / 1e6:,.0f} MB to a new file and `sync` took "
        f"{duration(parts.cat)}, tokenizing them {duration(run.seconds)} ({speed:,.0f} MB/s): ratio "
        f"{run.seconds / parts.cat:.2f}.",
    ]
    return lines


def part_lines(found: Measured, parts: Parts) -> list[str]:
    """What was measured at sizes of its own."""
    few, many = parts.separate["plan"][0], parts.separate["plan"][-1]
    index, mapping = parts.separate["open"][-1], parts.separate["mapping"][-1]
    per_text = finish_seconds(found, parts)
    shards = finish_per_shard(parts)
    prints = [f"{duration(run.seconds)} for {amount(run_text)}" for run_text, run in zip(
        (found.corpora[0].text, found.corpora[2].text), parts.fingerprints, strict=True)]  # fmt: skip
    return [
        "| part | measured | that is |",
        "|---|---|---|",
        f"| `--finish`, apart | {duration(parts.finishing[-1].seconds)} for {amount(found.corpora[-1].text)} of text | "
        f"{duration(per_text * TERA)} a TB, {amount(parts.finishing[-1].memory)} of memory |",
        f"| the same, {parts.small_shards:,} shards | {duration(parts.many_shards.seconds)} | "
        f"{shards[0] * 1e3:.2g} ms and {amount(shards[1])} of memory a shard |",
        f"| plan of {few['size0']:,.0f} files, {few['shards']:,.0f} shards | {duration(few['seconds'])} | "
        f"{amount(few['memory'])} of memory, plan.json {amount(few['bytes'])} |",
        f"| plan of {many['size0']:,.0f} files, {many['shards']:,.0f} shards | {duration(many['seconds'])} | "
        f"{amount(many['memory'])} of memory, plan.json {amount(many['bytes'])} |",
        f"| open and check a dataset of {index['size0']:,.0f} documents | {duration(index['seconds'])} | "
        f"index {index['idx'] / index['size0']:.3g} bytes a document, {index['seconds'] / index['size0'] * 1e9:.2g} ns "
        f"a document, {amount(max(index['own'], 0))} of memory of its own |",
        f"| mapping of {mapping['size0']:,.0f} sentences | {duration(mapping['seconds'])} | "
        f"{mapping['seconds'] / mapping['size0'] * 1e9:.2g} ns a sentence, "
        f"{mapping['bytes'] / mapping['rows']:.3g} bytes a row, {amount(mapping['memory'])} of memory |",
        f"| `maskgen fingerprint` by the sidecar, 1000 samples | {', '.join(prints)} | "
        f"{amount(max(run.memory for run in parts.fingerprints))} of memory |",
    ]


def plan_lines(found: Measured, parts: Parts, cluster: Cluster) -> list[str]:
    """The model at the cluster's size."""
    whole = found.corpora[0]
    text, documents = cluster.text, cluster.text * whole.documents / whole.text
    costs = {kind: cost(text, documents) for kind, cost in found.costs.items()}
    cores = cluster.machines * cluster.cores
    ideal, rate = costs["cpu"] / cores, text / costs["cpu"]
    reading = text / cluster.storage
    copying = costs["bin"] / cluster.stream
    finish = finish_seconds(found, parts) * text
    shard_time, shard_memory = finish_per_shard(parts)
    index, mapping, planned = parts.separate["open"][-1], parts.separate["mapping"][-1], parts.separate["plan"][0]
    memory = parts.large_shards.memory
    rows = [
        ("documents, tokens", f"{documents / 1e9:.3g} billion, {costs['bin'] / 2e12:.3g} trillion (of two bytes)"),
        ("output: `.bin`, `.idx`", f"{amount(costs['bin'])}, {amount(costs['idx'])}"),
        ("work folder at its peak", f"{amount(costs['bin'] + 8 * documents)}: all tokens, lengths and counts"),
        ("processor time", f"{costs['cpu'] / 3600:,.0f} core-hours, {rate / 1e6:,.0f} MB/s a core"),
        (f"time, if {cores:,} cores never waited", duration(ideal)),
        ("what storage would have to give for that", f"{text / ideal / GIGA:,.0f} GB/s"),
        (f"time to read at {cluster.storage / GIGA:g} GB/s (assumed)",
         f"{duration(reading)}, which keeps {cluster.storage / rate:,.0f} cores busy"),
        ("shards with `--shard-bytes 256M`", f"{cluster.shards:,}, {cluster.shards / cores:.1f} a core"),
        ("memory of a worker, of a machine", f"{amount(memory)}, {amount(memory * cluster.cores)}"),
        (f"`--finish` in one process: by the rate here, at {cluster.stream / GIGA:g} GB/s (assumed)",
         f"{duration(finish + shard_time * cluster.shards)}, {duration(copying)}"),
        ("its memory", amount(parts.finishing[-1].memory + planned["memory"] + shard_memory * cluster.shards)),
        (f"the same as {cluster.machines} datasets, one a machine",
         f"{duration((finish + shard_time * cluster.shards) / cluster.machines)} by the rate here"),
        ("opening and checking the whole dataset",
         f"{duration(documents * index['seconds'] / index['size0'])}, index of {amount(costs['idx'])} in the cache"),
        ("mapping, in sentences of 25 tokens",
         f"{duration(costs['bin'] / 50 * mapping['seconds'] / mapping['size0'])}, "
         f"{amount(costs['bin'] / 50 * mapping['rows'] / mapping['size0'] * 24)} of rows"),
    ]  # fmt: skip
    head = f"| {cluster.terabytes:g} TB, {cluster.machines} machines of {cluster.cores} cores | |"
    return [head, "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]


def finish_seconds(found: Measured, parts: Parts) -> float:
    """Of a byte of text: the slope between two sizes, of processor time at least (on a busy machine noise hides it)."""
    first, last = parts.finishing
    more = found.corpora[-1].text - found.corpora[0].text
    return max(last.seconds - first.seconds, last.cpu - first.cpu, 0.0) / more


def finish_per_shard(parts: Parts) -> tuple[float, float]:
    """Seconds and bytes of memory that a shard more costs the one that finishes."""
    first = parts.finishing[0]
    extra = max(parts.small_shards - 1, 1)
    seconds = max(parts.many_shards.seconds - first.seconds, 0.0) / extra
    return seconds, max(parts.many_shards.memory - first.memory, 0.0) / extra

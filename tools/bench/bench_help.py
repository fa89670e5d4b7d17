"""How soon help is there, for every command, beside a Python that does nothing.

    python tools/bench/bench_help.py [--rounds 11]

Medians of interleaved rounds, each in a process of its own. Nothing but the standard library may be imported.
"""

import statistics
import subprocess
import sys
import time

from results import Row, bench_parser, record

from maskgen.cli import COMMANDS

ALONE = "python -c pass"


def main() -> None:
    """Print a table."""
    arguments = bench_parser(__doc__, rounds=11).parse_args()
    ways = {ALONE: ["-c", "pass"], "maskgen --help": ["-m", "maskgen.cli", "--help"]}
    ways |= {f"maskgen {name} --help": ["-m", "maskgen.cli", name, "--help"] for name in COMMANDS}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, words in ways.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    alone = statistics.median(times[ALONE])
    for name, values in times.items():
        took = statistics.median(values)
        more = "" if name == ALONE else f"  {1000 * (took - alone):+6.0f} ms"
        print(f"{name:<32}{1000 * took:7.0f} ms{more}")
    medians = {name: statistics.median(values) for name, values in times.items()}
    slowest = max(list(ways)[2:], key=lambda name: medians[name])
    for name, what in (("maskgen --help", "maskgen --help"), (slowest, f"the slowest of the commands, {slowest}")):
        row = Row(what, 1000 * medians[name], "ms", 1000 * alone, ALONE, less_is_better=True)
        record(arguments.results, [row])


if __name__ == "__main__":
    main()

"""How soon help is there, for every command, beside a Python that does nothing.

    python tools/bench/bench_help.py [--rounds 11]

Medians of interleaved rounds, each in a process of its own. Nothing but the standard library may be imported.
"""

import argparse
import statistics
import subprocess
import sys
import time

from maskgen.cli import COMMANDS

ALONE = "python -c pass"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    ways = {ALONE: ["-c", "pass"], "maskgen --help": ["-m", "maskgen.cli", "--help"]}
    ways |= {f"maskgen {name} --help": ["-m", "maskgen.cli", name, "--help"] for name in COMMANDS}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, arguments in ways.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    alone = statistics.median(times[ALONE])
    for name, values in times.items():
        took = statistics.median(values)
        more = "" if name == ALONE else f"  {1000 * (took - alone):+6.0f} ms"
        print(f"{name:<32}{1000 * took:7.0f} ms{more}")


if __name__ == "__main__":
    main()

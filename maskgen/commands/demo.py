"""Run everything once, end to end, on a small corpus that comes with the package, and show each step."""

import argparse

EXAMPLES = """\
  maskgen demo
  maskgen demo --output somewhere/else"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen demo``."""
    parser.add_argument("--output", default="maskgen-demo", metavar="DIR", help="where its files go (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from maskgen.demo import run_demo

    run_demo(arguments.output)
    return 0

"""Run everything once, end to end, on texts that are here already, and show each step.

A small corpus becomes datasets and masked samples. Then, where PyTorch is
installed, a larger one, the documentation of Python, becomes two tiny models: a
minute on two cores. Given again, what is trained already stays.
"""

import argparse

EXAMPLES = """\
  maskgen demo
  maskgen demo --steps 0
  maskgen demo --output somewhere/else"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen demo``."""
    parser.add_argument("--output", default="maskgen-demo", metavar="DIR", help="where its files go (%(default)s)")
    parser.add_argument("--steps", type=int, metavar="N", help="of each training (mlm: 800, electra: 200); 0: none")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from maskgen.demo import run_demo

    return run_demo(arguments.output, arguments.steps)

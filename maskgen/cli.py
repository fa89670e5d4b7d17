"""The ``maskgen`` command: finds the subcommand, runs it, and turns what it raises into an exit code.

Each subcommand is one module of ``maskgen.commands`` with ``add_arguments(parser)``, ``run(arguments) -> exit code``
and ``EXAMPLES``. Only the module that was asked for is imported, and none imports anything heavy before ``run``: so
help is instant.

Exit codes: 0 done; 1 looked at something and found it bad; 2 could not do it (wrong call, or an expected error in one
line); 130 interrupted, and the same command resumes.
"""

import argparse
import importlib
import io
import os
import shutil
import sys
import textwrap
from types import ModuleType

COMMANDS = {
    "tokenize": "turn raw text into indexed datasets",
    "train-tokenizer": "train a WordPiece, byte-level BPE or Unigram vocabulary",
    "merge": "concatenate indexed datasets into one",
    "verify": "check datasets: sizes, index, digests, range of ids",
    "inspect": "look inside a dataset: documents, searches, origins",
    "report": "look at datasets and their samples: one HTML page",
    "mapping": "build the sample mapping of a dataset, and describe it",
    "sample": "show masked samples, as training sees them",
    "export": "write masked samples to Parquet, for Hugging Face datasets",
    "fingerprint": "digests that prove what a training job sees; compare them",
    "reproduce": "make a dataset again from its sidecar, and compare",
    "pack": "say how full rows of documents are, by strategy",
    "train": "train a masked language model or an ELECTRA, and export it",
    "pmi": "find n-grams that belong together, for the scheme pmi",
    "predict": "fill the masks of texts with a trained model",
    "demo": "run everything once, end to end, on a small embedded corpus",
    "completion": "a script that completes commands in bash, zsh or fish",
}

INTERRUPTED = 130
BROKEN_PIPE = 141


def main(argv: list[str] | None = None) -> int:
    """Run ``maskgen`` with `argv` (the process's arguments by default) and return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] not in COMMANDS:
        return _top_level(argv)
    name = argv[0]
    parser, module = command_parser(name)
    arguments = parser.parse_intermixed_args(argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is escaped instead of ending the command
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(module.run(arguments))
    except KeyboardInterrupt:
        print(f"maskgen {name}: interrupted; run the same command again", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if not _is_expected(error):
            raise
        print(f"maskgen {name}: error: {error}", file=sys.stderr)
        return 2


def _fitting(text: str) -> str:
    """Paragraphs in lines that fit on the terminal; those that do already stay as they are."""
    width = max(40, shutil.get_terminal_size().columns - 2)  # as argparse has it
    paragraphs = [
        each if max(map(len, each.splitlines())) <= width else textwrap.fill(" ".join(each.split()), width)
        for each in text.strip().split("\n\n")
    ]
    return "\n\n".join(paragraphs)


def command_parser(name: str) -> tuple[argparse.ArgumentParser, ModuleType]:
    """The parser of a subcommand, and the module that declares it."""
    module = importlib.import_module(f"maskgen.commands.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(
        prog=f"maskgen {name}",
        description=_fitting(module.__doc__ or ""),
        epilog=f"examples:\n{module.EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser, module


def _is_expected(error: Exception) -> bool:
    from preprocess.errors import MaskgenError

    return isinstance(error, (MaskgenError, OSError))


def _top_level(argv: list[str]) -> int:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="maskgen",
        usage="maskgen COMMAND ...",
        description="Raw text in, reproducible masked-language-model training batches out.",
        epilog=f"commands:\n{listing}\n\nexamples:\n  maskgen demo\n  maskgen verify --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version and how the extensions were built")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="one of the commands below")
    arguments, unknown = parser.parse_known_args(argv)
    if arguments.version:
        _print_version()
        return 0
    if arguments.command is not None:
        parser.error(f"unknown command {arguments.command!r}; choose from {', '.join(COMMANDS)}")
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    parser.print_help()
    return 0


def _print_version() -> None:
    import maskgen._native
    import preprocess._native
    from preprocess.indexed.sidecar import library_versions

    print(", ".join(f"{name} {version}" for name, version in library_versions().items()))
    print(f"preprocess._native: {preprocess._native.build_info()}")
    print(f"maskgen._native: {maskgen._native.build_info()}")


if __name__ == "__main__":
    sys.exit(main())

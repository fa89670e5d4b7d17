"""Make a dataset again from its sidecar, and compare: stage by stage, digest by digest.

Inputs, tokenizer and options are those that FILE.json, written by maskgen
tokenize, names; where they are now, flags say. The new dataset is compared with
the sidecar and, where they are there, with the files beside it. The first stage
that differs is named, with what differs there (exit code 1). Versions of
libraries are shown, never compared.
"""

import argparse
import os

EXAMPLES = """\
  maskgen reproduce corpus_text_document.json --tokenizer vocab.txt
  maskgen reproduce corpus_text_document.json --tokenizer tok/ --root /data/raw
  maskgen reproduce corpus_text_document.json --tokenizer tok/ \\
      --input crawl/=/mnt/crawl/ --output-prefix again"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen reproduce``."""
    parser.add_argument("sidecar", metavar="FILE.json", help="the sidecar, beside its dataset or alone")
    parser.add_argument("--tokenizer", metavar="PATH", help="where it is now (by its name, here or beside FILE)")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="where an input, or a folder of inputs, is now; OLD as in the sidecar; --input=-=NEW for standard input",
    )
    parser.add_argument("--root", metavar="DIR", help="look for all other inputs below DIR")
    parser.add_argument("--output-prefix", metavar="P", help="keep the new dataset (else it is removed)")
    parser.add_argument("--work-dir", metavar="DIR", help="for one that is removed (the system's temporary folder)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (as many as cores); 0: none but this one")
    parser.add_argument("--engine", default="auto", help="auto, native, gigatoken or reference (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="only the last line, no progress")


def run(arguments: argparse.Namespace) -> int:
    """Make it again, and say stage by stage how it compares."""
    from maskgen.fingerprint.view import version_words
    from maskgen.input_places import parse_places
    from maskgen.reproduction import Request, read_recipe, reproduce
    from preprocess.indexed.sidecar import library_versions

    recipe = read_recipe(arguments.sidecar)
    request = Request(
        places=parse_places(arguments.input, arguments.root),
        tokenizer=arguments.tokenizer,
        output_prefix=arguments.output_prefix,
        work_dir=arguments.work_dir,
        workers=len(os.sched_getaffinity(0)) if arguments.workers is None else arguments.workers,
        engine=arguments.engine,
        quiet=arguments.quiet,
    )
    last = None
    for last in reproduce(recipe, request):
        if not arguments.quiet:
            verdict = "same" if last.what is None else "DIFFERENT"
            print(f"{last.name:<11} {verdict}{f': {last.note}' if last.note else ''}", flush=True)
    if not arguments.quiet:
        print(f"versions    {version_words(recipe.sidecar.versions, library_versions('tokenizers'))}")
    if last is not None and last.what is not None:
        print(f"different from {recipe.path}, first in {last.name}: {last.what}")
        return 1
    print(f"ok: made again as {recipe.path} says, digest {recipe.sidecar.digest}")
    return 0

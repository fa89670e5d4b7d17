"""Concatenate indexed datasets, in the order given, into one. Documents and modes are kept; memory stays constant."""

import argparse

EXAMPLES = """\
  maskgen merge part-0_text_document part-1_text_document \\
      --output-prefix corpus_text_document
  maskgen merge --from-file prefixes.txt --output-prefix corpus_text_document
  maskgen merge old_uint16 new_int32 --widen --output-prefix both"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen merge``."""
    parser.add_argument("prefixes", nargs="*", metavar="PREFIX", help="datasets, each without .bin or .idx")
    parser.add_argument("--from-file", metavar="FILE", help="read more prefixes from FILE, one a line")
    parser.add_argument("--output-prefix", required=True, metavar="P", help="where the merged dataset goes")
    parser.add_argument("--widen", action="store_true", help="merge different token types into one that holds all")
    parser.add_argument("--overwrite", action="store_true", help="replace a dataset that exists at the output prefix")
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")


def run(arguments: argparse.Namespace) -> int:
    """Merge and say what came out."""
    from preprocess import IndexedDataset, IndexedDatasetError, merge_datasets
    from preprocess.indexed.object_store import dataset_exists
    from preprocess.stores import is_url

    prefixes = list(arguments.prefixes)
    if arguments.from_file:
        with open(arguments.from_file, encoding="utf-8", errors="surrogateescape") as file:
            prefixes += [line.rstrip("\r\n") for line in file if line.strip()]
    output = arguments.output_prefix.removesuffix(".idx").removesuffix(".bin")
    if dataset_exists(output) and not arguments.overwrite:
        remedy = "add --overwrite to replace it, or choose another prefix"
        raise IndexedDatasetError(f"{output}.idx", "output", "a finished dataset", "a free name", remedy)
    merge_datasets(prefixes, output, widen=arguments.widen, progress=not arguments.quiet)
    if not arguments.quiet and not is_url(output):
        print(f"merged {len(prefixes)} datasets: {IndexedDataset(output)!r}")
    return 0

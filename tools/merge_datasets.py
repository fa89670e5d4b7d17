#!/usr/bin/env python3
"""Merge all indexed datasets of a folder, with the flags that Megatron-LM users know.

    python tools/merge_datasets.py --input shards/ --output-prefix corpus_text_document

Datasets are taken in the order of their names. `maskgen merge` does the same for any list of prefixes.
"""

import argparse
import os
import sys

from preprocess import IndexedDataset, MaskgenError, merge_datasets


def main() -> int:
    """Find the datasets, merge them, say what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--input", required=True, metavar="DIR", help="folder with the .bin and .idx files")
    parser.add_argument("--output-prefix", required=True, metavar="P", help="the merged dataset, without .bin or .idx")
    parser.add_argument("--multimodal", action="store_true", help="require that the datasets have modes")
    arguments = parser.parse_args()
    try:
        prefixes = datasets_in(arguments.input, arguments.output_prefix)
        if arguments.multimodal:
            require_modes(prefixes)
        merge_datasets(prefixes, arguments.output_prefix, progress=True)
        print(f"merged {len(prefixes)} datasets: {IndexedDataset(arguments.output_prefix)!r}")
    except (MaskgenError, OSError) as error:
        print(f"merge_datasets.py: error: {error}", file=sys.stderr)
        return 2
    return 0


def datasets_in(folder: str, output_prefix: str) -> list[str]:
    """Return the sorted prefixes in `folder`; a .bin or .idx without its other half is an error, not left out."""
    stems: dict[str, set[str]] = {}
    for name in os.listdir(folder):
        stem, extension = os.path.splitext(name)
        prefix = os.path.join(folder, stem)
        if extension in (".bin", ".idx") and os.path.realpath(prefix) != os.path.realpath(output_prefix):
            stems.setdefault(prefix, set()).add(extension)
    if not stems:
        raise MaskgenError(f"{folder}: found no .bin or .idx file, expected at least one dataset; check --input")
    for prefix, extensions in stems.items():
        if len(extensions) == 1:
            missing = ({".bin", ".idx"} - extensions).pop()
            raise MaskgenError(f"{prefix}{missing}: missing beside its other half; finish or remove that dataset")
    return sorted(stems)


def require_modes(prefixes: list[str]) -> None:
    """Refuse a dataset without modes by name."""
    for prefix in prefixes:
        if IndexedDataset(prefix).sequence_modes is None:
            raise MaskgenError(
                f"{prefix}.idx: found no modes, expected some with --multimodal; merge without that flag"
            )


if __name__ == "__main__":
    sys.exit(main())

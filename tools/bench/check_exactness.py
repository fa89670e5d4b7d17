"""Compare the native engine with `tokenizers` on generated texts and on whole corpora; exit code 1 on a difference.

python tools/bench/check_exactness.py VOCAB.txt [VOCAB.txt ...] [--corpus FILE.jsonl[.zst]]... [--count 2000000]

The first vocabulary is checked lower-cased, and cased with strip_accents unset, true and false; the others
lower-cased. Each text is given as str and as bytes.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from corpus_texts import corpus_texts
from tokenizers import Tokenizer as Reference

from preprocess.tokenization.checking import shrink
from preprocess.tokenization.hard_texts import hard_texts
from preprocess.tokenization.loading import load_reference
from preprocess.tokenization.native import NativeEngine
from preprocess.tokenization.reference import encode_one, flatten

VARIANTS: tuple[tuple[bool, bool | None], ...] = ((True, None), (False, None), (False, True), (False, False))


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of up to `size` texts."""
    iterator = iter(texts)
    while batch := list(islice(iterator, size)):
        yield batch


def differing(engine: NativeEngine, reference: Reference, texts: list[str], threads: int) -> Iterator[str]:
    """The texts for which the engine's ids differ from the reference's."""
    rows = [encoding.ids for encoding in reference.encode_batch_fast(texts, add_special_tokens=False)]
    expected, lengths = flatten(rows)
    for form in (texts, [text.encode() for text in texts]):
        found = engine.encode_batch(form, threads)
        if np.array_equal(found.lengths, lengths) and np.array_equal(found.ids, expected):
            continue
        ends = np.cumsum(found.lengths, dtype=np.int64)
        for index, row in enumerate(rows):
            if found.ids[ends[index] - found.lengths[index] : ends[index]].tolist() != row:
                yield texts[index]


def main() -> int:
    """Run the comparison and print a line for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabularies", nargs="+", metavar="VOCAB.txt")
    parser.add_argument("--corpus", action="append", default=[], metavar="FILE")
    parser.add_argument("--key", default="text")
    parser.add_argument("--count", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()

    engines = []
    for vocabulary in arguments.vocabularies:
        for lowercase, strip_accents in VARIANTS if vocabulary == arguments.vocabularies[0] else VARIANTS[:1]:
            loaded = load_reference(vocabulary, lowercase=lowercase, strip_accents=strip_accents)
            name = f"{vocabulary} lowercase={lowercase} strip_accents={strip_accents}"
            engines.append((name, NativeEngine(loaded), loaded.tokenizer))
    sources = [(f"{arguments.count} generated texts, seed {arguments.seed}", None)]
    sources += [(path, path) for path in arguments.corpus]
    failed = False
    for name, path in sources:
        texts = hard_texts(arguments.seed, arguments.count) if path is None else corpus_texts(path, arguments.key)
        counts = dict.fromkeys((engine_name for engine_name, _, _ in engines), 0)
        total, size, started = 0, 0, time.perf_counter()
        for batch in batches(texts, 20_000 if path is None else 500):
            total += len(batch)
            size += sum(len(text.encode()) for text in batch)
            for engine_name, engine, reference in engines:
                for text in differing(engine, reference, batch, arguments.threads):
                    counts[engine_name] += 1
                    if counts[engine_name] > 3:
                        continue

                    def differs(part: str, engine: NativeEngine = engine, reference: Reference = reference) -> bool:
                        found: list[int] = engine.encode_batch([part], 1).ids.tolist()
                        return found != encode_one(reference, part)

                    shortest = shrink(text, differs) if differs(text) else text
                    print(f"DIFFERENCE {engine_name}: {shortest!a}", flush=True)
        print(f"{name}: {total} texts, {size / 1e6:.1f} MB, {time.perf_counter() - started:.0f} s")
        for engine_name, count in counts.items():
            failed |= count > 0
            print(f"  {count} differences: {engine_name}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Parts of the work at sizes that no test corpus has, each in a process of its own; prints what it measured as JSON.

plan FILES SHARDS   --> a plan of inputs that need not exist: seconds, memory, bytes of plan.json
open DOCUMENTS      --> a dataset of so many documents of two tokens: its index, opened and used
mapping SENTENCES   --> rows of pairs of sentences
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from maskgen import mapping
from preprocess import IndexedDataset, IndexedDatasetWriter, load_tokenizer
from preprocess.corpora.corpus_file import CorpusFile
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.plan import Plan, make_plan

Figures = dict[str, float]
PER_DOCUMENT, SENTENCE = 20, 25  # sentences a document, tokens a sentence
MEGABYTE = 1 << 20


def plan(tokenizer_path: str, files: str, shards: str) -> Figures:
    """What the process that plans holds, and what every worker reads."""
    tokenizer, before = load_tokenizer(tokenizer_path), memory("VmRSS")
    each = MEGABYTE * max(1, int(shards) // int(files))
    inputs = [
        CorpusFile(f"part-{n:06}.jsonl", f"/corpus/part-{n:06}.jsonl", each, n, "jsonl") for n in range(int(files))
    ]
    size = max(1, each * int(files) // int(shards))
    started = time.perf_counter()
    made = make_plan(Options(shard_bytes=size), TokenizerChoice(tokenizer_path), tokenizer, inputs)
    content = made.to_json()
    again = Plan.from_json(content)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "memory": memory("VmHWM") - before, "bytes": len(content), "shards": len(again.shards)}


def opened(documents: str) -> Figures:
    """Memory of one's own is apart from pages of the map, which all processes share and the system takes back."""
    count, part = int(documents), 100_000
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "many")
        with IndexedDatasetWriter(prefix, "uint16") as writer:
            for done in range(0, count, part):
                now = min(part, count - done)
                writer.add_documents(np.full(2 * now, 7, np.uint16), np.full(now, 2), np.ones(now, np.int64))
        before = memory("RssAnon")
        started = time.perf_counter()
        dataset = IndexedDataset(prefix)
        first = int(dataset[0][0])
        seconds = time.perf_counter() - started
        own, mapped = memory("RssAnon") - before, memory("RssFile")
        size = os.path.getsize(f"{prefix}.idx")
    return {"seconds": seconds, "own": own, "mapped": mapped, "idx": size, "first": first}


def rows(sentences: str) -> Figures:
    """Rows of pairs, in memory."""
    count = int(sentences)
    documents = np.arange(0, count + 1, PER_DOCUMENT, dtype=np.int64)
    sizes = np.random.RandomState(1).randint(SENTENCE - 10, SENTENCE + 11, count, dtype=np.int32)
    before = memory("VmRSS")
    started = time.perf_counter()
    found: Any = mapping.build_mapping(
        documents, sizes, num_epochs=1, max_seq_length=509, short_seq_prob=0.1, seed=1, min_num_sent=2
    )
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "memory": memory("VmHWM") - before, "rows": len(found), "bytes": found.nbytes}


def memory(field: str) -> float:
    """A line of this process's status, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(float(line.split()[1]) * 1024 for line in file if line.startswith(field))


PARTS: dict[str, Callable[..., Figures]] = {"plan": plan, "open": opened, "mapping": rows}

if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))

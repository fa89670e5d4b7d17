"""What a run would do, and about what it would take: from the plan and from a few megabytes of each kind of input."""

import os
import resource
import sys
import time
from collections.abc import Sequence

from preprocess.corpora.inputs import find_inputs
from preprocess.errors import MaskgenError
from preprocess.pipeline.encoding import DocumentEncoder
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.output import dataset_prefixes
from preprocess.pipeline.plan import Plan, make_plan
from preprocess.pipeline.shard import encode_piece
from preprocess.stores import is_url
from preprocess.tokenization import Tokenizer

SAMPLE_BYTES = 8 << 20
SAMPLED_PLACES = 5


def estimate(
    inputs: Sequence[str], choice: TokenizerChoice, output_prefix: str, options: Options, workers: int, engine: str
) -> list[str]:
    """Lines for people: the plan, time, disk and memory."""
    if "-" in inputs:
        raise MaskgenError("-: found standard input, expected files with --dry-run; save it to a file")
    for url in filter(is_url, inputs):
        raise MaskgenError(f"{url}: found a URL, expected files with --dry-run; copy one of its files here, try that")
    options.check()
    tokenizer = choice.load(engine, options)
    found = find_inputs(inputs, format=options.format, split=options.split)
    plan = make_plan(options, choice, tokenizer, found.files)
    sample = _Sample(plan, tokenizer)
    lines = [f"{len(plan.files):,} inputs, {plan.total_bytes / 1e6:,.1f} MB on disk, in {len(plan.shards):,} shards"]
    lines += [f"  left out, since it is no corpus: {name}" for name in found.left_out[:5]]
    lines.append(
        f"tokenizer: {tokenizer.vocabulary_size:,} ids, {options.dtype(tokenizer)}; engine: {tokenizer.engine}"
    )
    lines += [f"dataset: {prefix}.bin, .idx, .json" for prefix in dataset_prefixes(output_prefix, plan)]
    if not sample.bytes:
        return [*lines, "no text was found in the places that were tried"]
    share = plan.total_bytes / sample.bytes
    cores = max(1, min(workers or 1, len(os.sched_getaffinity(0)), len(plan.shards)))
    tokens = sample.tokens * share
    written = tokens * options.dtype(tokenizer).itemsize + sample.documents * share * 20
    # While shards become a dataset there are two of everything; shuffled documents are written once more.
    copies = 2 if options.shuffle_seed is None else 3
    lines += [
        f"about {sample.documents * share:,.0f} documents and {tokens / 1e6:,.1f} M tokens, "
        f"from {sample.bytes / 1e6:,.1f} MB at {sample.places} places",
        f"time: about {_duration(sample.seconds * share / cores)} with {cores} of this machine's cores",
        f"disk: about {written / 1e6:,.1f} MB, {copies * written / 1e6:,.1f} MB while it is being made",
        f"memory: about {sample.memory / 1e6:,.0f} MB a worker, {max(1, workers) * sample.memory / 1e6:,.0f} MB in all",
    ]
    return lines


class _Sample:
    """A few places of the corpus, tokenized here and thrown away."""

    def __init__(self, plan: Plan, tokenizer: Tokenizer) -> None:
        self.bytes = self.documents = self.tokens = self.places = 0
        self.seconds = 0.0
        encoder = DocumentEncoder(tokenizer, plan.options)
        step = max(1, len(plan.shards) // SAMPLED_PLACES)
        for shard in plan.shards[::step]:
            self.places += 1
            started, read = time.perf_counter(), 0
            for records, encoded in encode_piece(encoder, plan.files[shard[0].file], shard[0], plan.options):
                self.documents += len(records)
                self.tokens += sum(len(each.ids) for each in encoded)
                read += records.bytes_read
                if read >= SAMPLE_BYTES // SAMPLED_PLACES:
                    break
            self.bytes += read
            self.seconds += time.perf_counter() - started
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.memory = most if sys.platform == "darwin" else most * 1024


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

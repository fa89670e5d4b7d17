"""The end of a run: finished shards become datasets.

shards, in any order --put in the order of the plan, cut at the wanted number of documents--> assemblies
                     --shuffled first, where that is asked for--> datasets, sidecars
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from preprocess.indexed.sidecar import TokenizerInfo
from preprocess.pipeline.assembly import Assembly, check_file
from preprocess.pipeline.output import remove_other_splits, split_prefix
from preprocess.pipeline.plan import Plan
from preprocess.pipeline.provenance import corpus_lines, lines_path, write_lines
from preprocess.pipeline.shard import run_shard
from preprocess.pipeline.shard_files import Receipt, read_receipt
from preprocess.pipeline.shuffle import shuffle_documents
from preprocess.pipeline.statistics import LengthHistogram
from preprocess.pipeline.summary import ErrorLimit, Totals, add_up, sidecar_inputs, sidecar_statistics
from preprocess.pipeline.work_folder import WorkFolder
from preprocess.stores import is_url
from preprocess.tokenization import Tokenizer


class Finish:
    """Takes the shards of a run as they come, in any order."""

    def __init__(
        self, plan: Plan, work: WorkFolder, tokenizer: Tokenizer, prefixes: Sequence[str], split: bool
    ) -> None:
        self._plan, self._work, self._tokenizer = plan, work, tokenizer
        self._prefixes = prefixes
        self._split = split  # a dataset for each shard
        self._waiting: dict[int, Receipt | None] = {}  # shards that are there; None for those of an earlier run
        self.receipts: list[Receipt] = []  # from the first shard on
        self.documents = 0
        self._histograms = [LengthHistogram() for _ in plan.options.json_keys]
        self._assemblies: list[Assembly] = []
        if not split and plan.options.shuffle_seed is None:
            self._assemblies = self._open(prefixes, move=True)

    @property
    def missing(self) -> int | None:
        """How many more documents are wanted; None for all."""
        most = self._plan.options.max_documents
        return None if most is None else most - self.documents

    def can_do_without(self, number: int) -> bool:
        """Whether shard `number`, which has failed, lies behind the last document that is wanted, or may do so."""
        return self.missing is not None and (self.missing == 0 or number == len(self.receipts))

    def add(self, number: int, fresh: Receipt | None = None) -> None:
        """A shard is there. One that an earlier run has made is checked against its receipt."""
        self._waiting[number] = fresh
        while len(self.receipts) in self._waiting and self.missing != 0:
            number = len(self.receipts)
            fresh = self._waiting.pop(number)
            receipt = fresh or read_receipt(self._work, number, self._plan.digest)
            whole = receipt.documents < (self.missing or sys.maxsize) and not receipt.has_unreadable
            if self.missing is None or receipt.limit == self.missing or whole:
                self._take(receipt, fresh is not None)
            else:  # some of it may lie behind the last document that is wanted
                self.cut()

    def _take(self, receipt: Receipt, fresh: bool) -> None:
        for assembly in self._assemblies:
            assembly.append(receipt, check=not fresh)
        if not fresh:
            checked = {
                f"{assembly.key}.{kind}" for assembly in self._assemblies for kind in ("bin", "lengths", "counts")
            }
            for kind in receipt.files.keys() - checked:
                check_file(self._work, receipt, kind)
        for histogram, counts in zip(self._histograms, receipt.keys, strict=True):
            histogram.merge(counts.lengths)
            if not self._split:
                counts.lengths = {}  # of many thousands of receipts they would add up
        self.receipts.append(receipt)
        self.documents += receipt.documents

    def cut(self) -> None:
        """Take the first documents of the next shard, where only these are wanted."""
        if self.missing and len(self.receipts) < len(self._plan.shards):
            number = len(self.receipts)
            self._waiting.pop(number, None)
            self._take(run_shard(self._plan, number, self._work, self._tokenizer, limit=self.missing), True)

    def complete(self, limit: ErrorLimit, quarantine: str | None) -> Totals:
        """Make the datasets exist."""
        if self.missing != 0 and len(self.receipts) != len(self._plan.shards):
            raise RuntimeError(f"{len(self.receipts)} of {len(self._plan.shards)} shards came to the end of the run")
        totals = add_up(self._plan, self.receipts, self._histograms)
        limit.check(totals, self._plan, quarantine)
        receipts = self.receipts
        options = self._plan.options
        if options.shuffle_seed is not None:
            receipts = shuffle_documents(
                self._work,
                receipts,
                self._plan.digest,
                len(options.json_keys),
                options.dtype(self._tokenizer),
                options.shuffle_seed,
                lines=options.provenance,
                first_number=len(self._plan.shards),
            )
        if self._split:
            for receipt in receipts:
                number = receipt.number - receipts[0].number
                names = [split_prefix(prefix, number, len(receipts)) for prefix in self._prefixes]
                own = totals if options.shuffle_seed is not None else add_up(self._plan, [receipt])
                self._commit(names, [receipt], own)
            for prefix in self._prefixes:
                remove_other_splits(prefix, len(receipts))
        elif self._assemblies:
            self._commit_assemblies(self._assemblies, receipts, totals)
        else:
            self._commit(self._prefixes, receipts, totals)
        return totals

    def discard(self) -> None:
        """Leave no partial dataset; the shards stay."""
        for assembly in self._assemblies:
            assembly.discard()

    def _open(self, prefixes: Sequence[str], *, move: bool) -> list[Assembly]:
        opened: list[Assembly] = []
        options = self._plan.options
        dtype = options.dtype(self._tokenizer)
        try:
            for key, prefix in enumerate(prefixes):
                opened.append(Assembly(prefix, key, dtype, self._work, move=move, pairs=options.images is not None))
        except BaseException:
            for assembly in opened:
                assembly.discard()
            raise
        return opened

    def _commit(self, prefixes: Sequence[str], receipts: Sequence[Receipt], totals: Totals) -> None:
        self._assemblies = self._open(prefixes, move=False)
        for assembly in self._assemblies:
            for receipt in receipts:
                assembly.append(receipt, check=False)
        self._commit_assemblies(self._assemblies, receipts, totals)

    def _commit_assemblies(self, assemblies: Sequence[Assembly], receipts: Sequence[Receipt], totals: Totals) -> None:
        info = TokenizerInfo(
            self._plan.tokenizer_facts["name"], self._tokenizer.digest, self._tokenizer.vocabulary_size
        )
        inputs = sidecar_inputs(self._plan, totals)
        command = run_command(self._plan, self._split)
        for assembly in assemblies:
            if self._plan.options.provenance:
                self._write_lines(assembly.prefix, receipts, totals)
            elif not is_url(assembly.prefix):
                with suppress(FileNotFoundError):
                    os.unlink(lines_path(assembly.prefix))  # of an older dataset
            statistics = sidecar_statistics(self._plan, totals, assembly.key)
            settings = run_settings(self._plan, self._plan.options.json_keys[assembly.key])
            assembly.commit(info, {**settings, "command": command}, inputs, statistics)

    def _write_lines(self, prefix: str, receipts: Sequence[Receipt], totals: Totals) -> None:
        documents = sum(receipt.documents for receipt in receipts)
        write_lines(prefix, corpus_lines(self._work, receipts), documents, totals.lines)


def run_command(plan: Plan, split: bool) -> dict[str, Any]:
    """What of the command is in no digest, but needed to do the same again; flags only where they were given."""
    said: dict[str, Any] = {
        "inputs": len(plan.files),  # the sidecar lists those of them that its documents are from
        "shard_bytes": plan.options.shard_bytes,
        "lowercase": plan.tokenizer.lowercase,
        "strip_accents": plan.tokenizer.strip_accents,
        "roles": dict(plan.tokenizer.roles) or None,
        "keep_shards": split or None,
        "remote": dict(plan.remote) or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def run_settings(plan: Plan, key: str) -> dict[str, Any]:
    """What the sidecar keeps of the command."""
    identity = plan.identity
    return {
        "plan": plan.digest,
        "identity": plan.identity_digest,
        "key": key,
        "options": identity["options"],
        "tokenizer": identity["tokenizer"],
    }

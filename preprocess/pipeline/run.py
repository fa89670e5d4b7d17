"""The whole job: `tokenize` makes the plan, has its shards run, and assembles the datasets while they come in.

inputs, options, tokenizer --> plan --> work folder (what an earlier run has finished is there)
    --> executor: the shards that are missing --> assemblies: the finished ones, in order --> datasets
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.remote_inputs import RemoteInputs
from preprocess.errors import MaskgenError
from preprocess.indexed.object_store import dataset_exists, remove_file
from preprocess.pipeline.executors import Executor, Job, Place, ShardFailedError
from preprocess.pipeline.finish import Finish
from preprocess.pipeline.moved import restore
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.output import dataset_prefixes, is_complete
from preprocess.pipeline.plan import Plan, make_plan, tokenizer_facts
from preprocess.pipeline.progress import ProgressBar
from preprocess.pipeline.quarantine import write_quarantine
from preprocess.pipeline.shard_files import read_receipt, sound_receipt
from preprocess.pipeline.sharing import missing_words, refuse_other_work, remember_share
from preprocess.pipeline.sources import finished_sources, gather, list_remote, refuse_changed
from preprocess.pipeline.summary import DEFAULT_LIMIT, ErrorLimit, Summary, Totals
from preprocess.pipeline.work_folder import ResumeError, WorkFolder
from preprocess.stores import Store, is_url
from preprocess.tokenization import Tokenizer


@dataclass(frozen=True)
class Manner:
    """How the work is done. None of it changes a byte of the datasets."""

    workers: int = 1
    executor: str = "local"
    engine: str = "auto"
    share: tuple[int, int] | None = None  # (i, n): only the shards i, i + n, i + 2n ..., and no datasets yet
    finish: bool = False  # only the datasets, from shards that are all there
    keep_shards: bool = False
    max_errors: str = DEFAULT_LIMIT
    overwrite: bool = False
    work_dir: str | None = None
    quiet: bool = True
    notes: list[str] = field(default_factory=list)  # filled with what the user should know


def tokenize(
    inputs: Sequence[str | CorpusFile],
    choice: TokenizerChoice,
    output_prefix: str,
    options: Options | None = None,
    manner: Manner | None = None,
    content: Mapping[str, str] | None = None,
) -> Summary:
    """Make the datasets ``OUTPUT_PREFIX_{key}_{document|sentence}`` from raw text.

    Unfinished work of the same command is continued. What decides the bytes stands in `options`, how the work is done
    in `manner`. Inputs that are files already found are taken as they are; `content` is then the sha256 of those of
    them that have no lasting name.
    """
    return _Run(inputs, choice, output_prefix, options or Options(), manner or Manner(), content or {}).run()


class _Run:
    def __init__(
        self,
        inputs: Sequence[str | CorpusFile],
        choice: TokenizerChoice,
        output_prefix: str,
        options: Options,
        manner: Manner,
        content: Mapping[str, str],
    ) -> None:
        options.check()
        if manner.workers < 0:
            raise MaskgenError(f"--workers: found {manner.workers}, expected 0 or more; correct it")
        if manner.share is not None and options.max_documents is not None:
            raise MaskgenError("--max-documents: found --shard or an array beside it, expected one run; leave one out")
        if manner.keep_shards and options.provenance:
            raise MaskgenError("--provenance: found --keep-shards beside it, expected one dataset; leave one out")
        self._started = time.monotonic()
        self._inputs = [each for each in inputs if isinstance(each, str)]
        self._found = [each for each in inputs if isinstance(each, CorpusFile)]
        self._choice, self._options, self._manner, self._content = choice, options, manner, content
        self._output_prefix = os.fspath(output_prefix)
        self._remote = RemoteInputs()
        self._limit = ErrorLimit.parse(manner.max_errors)
        self._work = WorkFolder.of(self._output_prefix, manner.work_dir)
        if is_url(self._output_prefix) and options.provenance:
            raise MaskgenError(
                f"{self._output_prefix}: found an object store, expected a local prefix with --provenance"
            )

    def run(self) -> Summary:
        executor = create_executor(self._manner)  # first, since its workers take a moment to start
        try:
            with self._work.lock(shared=self._manner.share is not None):
                tokenizer = self._choice.load(self._manner.engine, self._options)
                self._remote = list_remote(self._inputs, self._options)
                plan = self._finished(tokenizer) or self._plan(tokenizer)
                prefixes = dataset_prefixes(self._output_prefix, plan)
                if self._is_complete(plan, prefixes):
                    self._work.remove_inputs()
                    return self._summary(plan, prefixes, already_complete=True)
                plan = self._adopt(plan)
                summary = self._work_on(plan, tokenizer, prefixes, executor)
                if self._manner.share is None:
                    self._work.remove()
            return summary
        finally:
            executor.close()
            self._work.remove_if_empty()

    def _plan(self, tokenizer: Tokenizer) -> Plan:
        if self._found:
            return make_plan(self._options, self._choice, tokenizer, self._found, self._content)
        alone = not (self._manner.share or self._manner.finish)
        quiet = self._manner.quiet
        sources = gather(self._inputs, self._remote, self._options, self._work, alone=alone, quiet=quiet)
        self._manner.notes.extend(sources.notes)
        return make_plan(self._options, self._choice, tokenizer, sources.files, sources.content, sources.remote)

    def _finished(self, tokenizer: Tokenizer) -> Plan | None:
        """The plan of datasets that are there already and made from what the URLs still name, without a download."""
        facts = tokenizer_facts(tokenizer)
        plan = Plan(self._options, self._choice, facts, [], [], remote=self._remote.versions)
        if not self._remote.files or self._manner.overwrite:
            return None
        refuse_changed(self._work, self._remote)
        unfinished = self._work.load_plan_or_none()
        prefixes = dataset_prefixes(self._output_prefix, plan)
        if unfinished is not None or self._manner.keep_shards or not all(map(dataset_exists, prefixes)):
            return None
        sources = finished_sources(self._inputs, self._remote, prefixes)
        plan = replace(plan, files=sources.files, content=sources.content) if sources else plan
        return plan if sources and self._is_complete(plan, prefixes) else None

    def _is_complete(self, plan: Plan, prefixes: Sequence[str]) -> bool:
        unfinished = self._work.load_plan_or_none()
        if self._manner.overwrite or (unfinished is not None and unfinished.identity == plan.identity):
            return False
        return is_complete(prefixes, plan, split=self._manner.keep_shards)

    def _adopt(self, plan: Plan) -> Plan:
        share = self._manner.share
        if self._manner.overwrite:
            known = self._work.load_plan_or_none()
            if known is None or known.identity != plan.identity:
                if share is not None:
                    refuse_other_work(self._work)
                self._work.clear()
        plan = self._work.adopt_plan(plan)
        if share is not None:
            remember_share(self._work, self._manner.executor, share)
        return plan

    def _usable(self, plan: Plan) -> set[int]:
        """The shards that earlier runs have finished, as far as this one may use them.

        A receipt that is damaged, of another plan or without its files goes away, and its shard is done again. One
        that only another --on-error can use stays, for the run that has it.
        """
        restore(self._work, plan, alone=self._manner.share is None)
        usable: set[int] = set()
        names: set[str] = set()
        for number in self._work.finished(plan):
            receipt = sound_receipt(self._work, number, plan.digest)
            if receipt is None:
                continue
            names.update(file.name for file in receipt.files.values())
            if receipt.suits(plan.options.on_error):
                usable.add(number)
            elif self._manner.finish:
                raise ResumeError(
                    f"{self._work.path}: found shards from which records were left out, expected none with --on-error "
                    f"{plan.options.on_error}; give --finish the same --on-error as the tasks"
                )
        if not self._manner.share:
            self._work.remove_strays(names)
        return usable

    def _work_on(self, plan: Plan, tokenizer: Tokenizer, prefixes: Sequence[str], executor: Executor) -> Summary:
        found = self._usable(plan)
        own = range(len(plan.shards))
        if self._manner.share is not None:
            own = range(self._manner.share[0], len(plan.shards), self._manner.share[1])
        missing = [number for number in own if number not in found]
        if self._manner.finish and missing:
            raise ResumeError(missing_words(self._work, len(plan.shards), missing))
        finish = None if self._manner.share else Finish(plan, self._work, tokenizer, prefixes, self._manner.keep_shards)
        bar = ProgressBar(
            sum(plan.shard_bytes(number) for number in own),
            sum(plan.shard_bytes(number) for number in own if number in found),
            quiet=self._manner.quiet,
        )

        done: list[int] = []

        def on_finished(number: int) -> None:
            done.append(number)
            receipt = read_receipt(self._work, number, plan.digest)
            bar.finish(number, plan.shard_bytes(number), receipt.documents, sum(key.tokens for key in receipt.keys))
            if finish is not None:
                finish.add(number, receipt)

        def jobs() -> Iterator[Job]:
            for number in missing:
                if finish is not None and finish.missing == 0:
                    return
                yield Job(number, plan.options.max_documents)

        totals, quarantine = None, None
        try:
            if finish is not None:
                for number in sorted(found):
                    finish.add(number)
            try:
                executor.run(Place(self._work, self._manner.engine, plan, tokenizer), jobs(), bar.update, on_finished)
            except ShardFailedError as failure:
                # The bad record may lie behind the last document that is wanted; then nobody would have met it.
                if finish is None or not finish.can_do_without(failure.number):
                    raise
            if finish is not None:
                finish.cut()
                quarantine = self._write_quarantine(plan, finish)
                totals = finish.complete(self._limit, quarantine)
        finally:
            bar.close()
            if finish is not None:
                finish.discard()
        return self._summary(
            plan,
            prefixes if finish is not None else [],
            totals=totals,
            bytes_done=sum(plan.shard_bytes(number) for number in done),
            shards_done=len(done),
            shards_found=len(own) - len(missing),
            ready_at=executor.ready_at,
            quarantine=quarantine,
        )

    def _write_quarantine(self, plan: Plan, finish: Finish) -> str | None:
        """Before the limit is checked, since a run that stops there is one whose bad records people want to see."""
        path = f"{self._output_prefix}.quarantine.jsonl"
        local = self._work.file("quarantine.jsonl") if is_url(path) else path
        kept = None
        if plan.options.on_error == "quarantine":
            kept = write_quarantine(local, plan, self._work, finish.receipts)
        if kept is None:
            remove_file(path)  # of an earlier run under the same name: it would tell of other datasets
        elif local != path:
            Store(path).upload(local)
        return None if kept is None else path

    def _summary(
        self,
        plan: Plan,
        prefixes: Sequence[str],
        *,
        totals: Totals | None = None,
        bytes_done: int = 0,
        shards_done: int = 0,
        shards_found: int = 0,
        ready_at: float | None = None,
        quarantine: str | None = None,
        already_complete: bool = False,
    ) -> Summary:
        seconds = time.monotonic() - self._started
        return Summary(
            prefixes=prefixes,
            totals=totals or Totals(),
            plan=plan,
            bytes_done=bytes_done,
            shards_done=shards_done,
            shards_found=shards_found,
            seconds=seconds,
            seconds_starting=0.0 if ready_at is None else ready_at - self._started,
            quarantine=quarantine,
            already_complete=already_complete,
        )


def create_executor(manner: Manner) -> Executor:
    """The executor that was asked for, its workers starting."""
    if manner.workers == 0 or manner.finish:
        from preprocess.pipeline.executors.inline import InlineExecutor

        return InlineExecutor()
    if manner.executor == "ray":
        from preprocess.pipeline.executors.ray_tasks import RayExecutor

        return RayExecutor(manner.workers)
    from preprocess.pipeline.executors.local import LocalExecutor

    return LocalExecutor(manner.workers)

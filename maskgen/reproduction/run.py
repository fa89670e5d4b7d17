"""The whole of a reproduction, a stage at a time, up to the first that differs."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from maskgen.input_places import InputPlaces
from maskgen.reproduction.after import Remade
from maskgen.reproduction.before import (
    compare_inputs,
    compare_options,
    compare_tokenizer,
    find_files,
    find_tokenizer,
)
from maskgen.reproduction.recipe import Recipe, ReproductionError
from preprocess.indexed.object_store import dataset_exists
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.run import Manner, tokenize
from preprocess.staging import Staging
from preprocess.stores import is_url


@dataclass(frozen=True)
class Request:
    """Where things are now, and how the work is done. None of it changes what comes out."""

    places: InputPlaces = field(default_factory=InputPlaces)
    tokenizer: str | None = None
    output_prefix: str | None = None  # where the new dataset stays
    work_dir: str | None = None  # for one that does not
    workers: int = 1
    engine: str = "auto"
    quiet: bool = True


@dataclass(frozen=True)
class Stage:
    """A stage that was compared: what differs, if anything does, and what else there is to say of it."""

    name: str
    what: str | None
    note: str = ""


def reproduce(recipe: Recipe, request: Request | None = None) -> Iterator[Stage]:
    """Compare, make the dataset again, and compare; the stage that differs is the last that comes."""
    request = request or Request()
    for stage in _stages(recipe, request):
        yield stage
        if stage.what is not None:
            return


def _stages(recipe: Recipe, request: Request) -> Iterator[Stage]:
    with ExitStack() as stack:

        def folder(what: str) -> str:
            return stack.enter_context(tempfile.TemporaryDirectory(prefix=f"maskgen-{what}-", dir=request.work_dir))

        staging = Staging(os.path.join(folder("inputs"), "inputs"), quiet=request.quiet)
        files = find_files(recipe, request.places, staging)
        path = find_tokenizer(recipe, request.tokenizer, request.places)
        _refuse_prefix(recipe, request.output_prefix)
        yield Stage("inputs", *compare_inputs(recipe, files))
        choice, tokenizer = recipe.tokenizer_at(path)
        yield Stage("tokenizer", *compare_tokenizer(recipe, tokenizer))
        yield Stage("options", *compare_options(recipe, choice, tokenizer, files))
        prefix, options = request.output_prefix, recipe.options
        if prefix is None:
            prefix = os.path.join(folder("again"), "again")
            options = replace(options, provenance=True)  # so that the line of a document that differs can be named
        manner = Manner(request.workers, engine=request.engine, max_errors="100%", quiet=request.quiet)
        content = {file.name: file.sha256 for file in recipe.sidecar.inputs if file.sha256 is not None}
        summary = tokenize(files, choice, prefix, options, manner, content)
        made = summary.prefixes[options.json_keys.index(recipe.key)]
        sidecar = read_sidecar(made)
        if sidecar is None:
            raise ReproductionError(f"{made}.json: found nothing, expected what was just written; run it again")
        for name, finding in Remade(recipe, made, sidecar).findings():
            yield Stage(name, *finding)


def _refuse_prefix(recipe: Recipe, prefix: str | None) -> None:
    if prefix is None:
        return
    if is_url(prefix):
        raise ReproductionError(f"--output-prefix: found {prefix}, expected a local one, since it is read again")
    for key in recipe.options.json_keys:
        name = f"{prefix}_{key}_{recipe.options.level}"
        if dataset_exists(name):
            raise ReproductionError(f"--output-prefix: found a dataset {name}, expected a free name; choose another")

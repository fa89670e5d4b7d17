"""The stages that need no work: whether inputs, tokenizer and options are those that the sidecar names.

inputs     names, sizes, digests
tokenizer  the digest of its files and of how they are read, its size, the end-of-document token
options    whether they are what the sidecar's own digest was made of; where shards begin is shown, never compared
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from maskgen.identity import difference
from maskgen.input_places import InputPlaces
from maskgen.reproduction.recipe import Recipe, ReproductionError
from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.errors import CorpusError
from preprocess.corpora.inputs import find_again, input_look
from preprocess.corpora.remote_inputs import find_remote_inputs
from preprocess.indexed.parts import file_sha256
from preprocess.indexed.sidecar import InputFile
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.plan import identity_digest, make_plan, plan_digest, tokenizer_facts
from preprocess.staging import Staging
from preprocess.stores import is_url
from preprocess.tokenization import Tokenizer

SHOWN = 5  # of inputs that differ
SEEDS = 10_000  # that are tried, when the seed may be what was changed
Finding = tuple[str | None, str]  # what differs, if anything does; what else to say


def find_files(recipe: Recipe, places: InputPlaces, staging: Staging) -> list[CorpusFile]:
    """The inputs where they are now; one that is not there is an error, since nothing can be compared without it.

    Those that are behind URLs are copied to the folder of `staging`.
    """
    found = []
    options = recipe.options
    urls = [path for path in (places.path(known.name) for known in recipe.sidecar.inputs) if is_url(path)]
    copies = find_remote_inputs(urls, format=options.format).stage(staging)
    for known in recipe.sidecar.inputs:
        path = places.path(known.name)
        if path in copies:
            path = copies[path][0].path
        if recipe.options.format != "datasets" and not os.path.lexists(path):
            raise _no_input(path, known, "nothing")
        try:
            found.append(find_again(known.name, path, format=options.format, split=options.split))
        except CorpusError as error:
            raise _no_input(path, known, error.found) from None
    return found


def _no_input(path: str, known: InputFile, found: str) -> ReproductionError:
    what = "standard input" if known.name == "-" else f"the input {known.name}"
    elsewhere = "" if known.name == "-" else " or --root DIR"
    return ReproductionError(
        f"{path}: found {found}, expected {what} of {known.bytes:,} bytes; say where it is now with "
        f"--input={known.name}=PATH{elsewhere}"
    )


def compare_inputs(recipe: Recipe, files: list[CorpusFile]) -> Finding:
    """Sizes, and whatever digests there are."""
    compared = [_compare_input(known, file) for known, file in zip(recipe.sidecar.inputs, files, strict=True)]
    wrong = [what for what, _ in compared if what is not None]
    if wrong:
        return "; ".join(wrong[:SHOWN]) + (f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""), ""
    unknown = sum(not digested for _, digested in compared)
    note = f"{len(files):,} {'file' if len(files) == 1 else 'files'}, {sum(file.bytes for file in files):,} bytes"
    return None, note + (f", {unknown:,} by their size alone" if unknown else "")


def _compare_input(known: InputFile, file: CorpusFile) -> tuple[str | None, bool]:
    is_there = file.path == os.path.abspath(known.name) or is_url(known.name)
    where = known.name if is_there else f"{known.name} ({file.path})"
    if file.bytes != known.bytes:
        return f"{where}: {known.bytes:,} bytes then, {file.bytes:,} now", True
    if known.sha256 is not None:
        sha256 = file_sha256(file.path)
        return (None if sha256 == known.sha256 else f"{where}: sha256 {known.sha256} then, {sha256} now"), True
    if known.look is None:
        return None, False
    return (None if input_look(file) == known.look else f"{where}: as long as then, with another content"), True


def find_tokenizer(recipe: Recipe, path: str | None, places: InputPlaces) -> str:
    """Where the tokenizer is: where somebody says, or under its name here, beside the sidecar or the inputs."""
    name = recipe.tokenizer["name"]
    folders = [".", os.path.dirname(recipe.prefix), places.root or "."]
    for candidate in [path] if path is not None else [os.path.join(folder, name) for folder in folders]:
        if os.path.exists(candidate):
            return os.path.normpath(candidate)
    raise ReproductionError(
        f"{path or name}: found nothing, expected the tokenizer that made {recipe.prefix}, of sha256 "
        f"{recipe.tokenizer['sha256'][:12]}...; say where it is with --tokenizer PATH"
    )


def compare_tokenizer(recipe: Recipe, tokenizer: Tokenizer) -> Finding:
    """All but its name, which is where somebody has put it."""
    known = {name: value for name, value in recipe.tokenizer.items() if name != "name"}
    facts = tokenizer_facts(tokenizer)
    what = difference(known, {name: facts.get(name) for name in known})
    if what is not None and what.startswith("sha256"):
        what += f" ({tokenizer.path} is another tokenizer than {recipe.tokenizer['name']} was)"
    return what, f"{tokenizer.path}, {tokenizer.vocabulary_size:,} ids"


def compare_options(recipe: Recipe, choice: TokenizerChoice, tokenizer: Tokenizer, files: list[CorpusFile]) -> Finding:
    """Whether the sidecar's settings are those of which it has the digest."""
    if not recipe.lists_all_inputs:
        return None, "without their digest: --max-documents ended before the last input"
    identity, known = recipe.identity, recipe.sidecar.settings
    if identity_digest(identity) != known["identity"]:
        guess = next((text for text, other in _others(identity) if identity_digest(other) == known["identity"]), None)
        changed = f"{guess} when the dataset was made" if guess else "one of them was changed, or the name of an input"
        return f"not those of the sidecar's own digest: {changed}", ""
    shards = make_plan(recipe.options, choice, tokenizer, files).shards
    usual = {name: list(value) if name == "json_keys" else value for name, value in asdict(Options()).items()}
    said = [f"{name} {value}" for name, value in identity["options"].items() if value != usual.get(name)]
    if plan_digest(identity, shards) != known["plan"]:
        said.append("cut into other shards, which changes no byte")
    return None, ", ".join(said)


def _others(identity: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same identity with one option changed: what an edited sidecar may have said before."""
    options = identity["options"]
    for name, value in options.items():
        others: list[Any] = [not value] if isinstance(value, bool) else [None] if isinstance(value, int) else []
        if name == "shuffle_seed":
            others = [None, *range(SEEDS)]
        for other in others:
            yield f"{name} was {other} and not {value}", {**identity, "options": {**options, name: other}}

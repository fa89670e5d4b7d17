"""What ``maskgen inspect`` was asked for, as texts that come while they are made."""

import argparse
import sys
from collections.abc import Iterator

from maskgen.input_places import parse_places
from maskgen.inspection import check_document, describe, other_tokenizer
from maskgen.look.documents import DocumentView
from maskgen.look.pager import wants_colours
from maskgen.look.pieces import BOLD, DIM, PieceView
from maskgen.look.sample_parts import SamplePart, sample_parts
from maskgen.look.search import Hit, Pattern, patterns_of, search
from maskgen.sample_options import choice_of
from maskgen.sample_view import SampleView
from maskgen.vocab import Vocab
from preprocess import IndexedDataset, load_tokenizer
from preprocess.errors import MaskgenError
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.provenance import origins

AROUND = 8  # tokens on each side of what was searched for


class Inspector:
    """Shows parts of one dataset."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        _check(arguments)
        self._asked = arguments
        self._dataset = IndexedDataset(arguments.prefix)
        path = arguments.tokenizer
        self._tokenizer = load_tokenizer(path, engine="reference") if path else None
        self._warn_of_another_tokenizer()
        coloured = wants_colours()
        rich = (coloured or arguments.pieces or arguments.search is not None) and self._tokenizer is not None
        vocab = Vocab.from_tokenizer(path) if rich else None
        self._pieces = PieceView(vocab, self._tokenizer, coloured=coloured, apart=arguments.pieces)
        places = parse_places(arguments.input, arguments.root)
        plain = not coloured and not arguments.pieces
        self._documents = DocumentView(self._dataset, self._tokenizer, self._pieces, places, plain=plain)

    def _warn_of_another_tokenizer(self) -> None:
        sidecar = read_sidecar(self._dataset.prefix)
        if self._tokenizer is None or sidecar is None:
            return
        said = other_tokenizer(sidecar.tokenizer, self._asked.tokenizer, self._tokenizer.digest)
        if said is not None:
            print(f"maskgen inspect: {self._dataset.prefix}: {said}", file=sys.stderr)

    def texts(self) -> Iterator[str]:
        """Everything that was asked for."""
        asked = self._asked
        if asked.search is not None:
            yield from self._search(asked.search, asked.num)
        elif asked.sample is not None:
            yield from self._samples(asked.sample)
        elif asked.documents:
            for document in asked.documents:
                yield self._documents.show(document)
        else:
            yield describe(self._dataset)

    def _search(self, text: str, most: int) -> Iterator[str]:
        chosen = {check_document(self._dataset, document) for document in self._asked.documents}
        patterns = patterns_of(text, self._tokenizer)
        yield "".join(f"{text!r} is {self._named(pattern)}\n" for pattern in patterns)
        found = search(self._dataset, patterns, max(0, most), chosen or None)
        documents = len(chosen) or len(self._dataset.document_indices) - 1
        count = f"{found.places:,} {'place' if found.places == 1 else 'places'}"
        yield f"{count} in {found.documents:,} of {documents:,} documents\n"
        for hit in found.first:
            yield self._hit(hit)

    def _named(self, pattern: Pattern) -> str:
        ids = " ".join(map(str, pattern))
        if self._tokenizer is None:
            return f"ids {ids}"
        pieces = self._tokenizer.pieces
        return f"ids {ids} ({' '.join(pieces[id_] for id_ in pattern)})"

    def _hit(self, hit: Hit) -> str:
        ids = self._dataset[hit.sequence].tolist()
        begin, end = max(0, hit.token - AROUND), min(len(ids), hit.token + hit.length + AROUND)
        while begin and self._pieces.goes_on(ids[begin]):  # from the start of a word
            begin -= 1
        window = ids[begin:end]
        text = self._pieces.text(window, range(hit.token - begin, hit.token - begin + hit.length))
        origin = origins(self._dataset.prefix, [hit.document])
        where = "" if origin is None else f" ({origin[0].file}, line {origin[0].line})"
        place = self._pieces.paint(f"document {hit.document}, sequence {hit.sequence}, token {hit.token}", BOLD)
        dots = "… " if begin else "", " …" if end < len(ids) else ""
        return f"\n{place}{where}\n  {dots[0]}{text}{dots[1]}\n"

    def _samples(self, indices: list[int]) -> Iterator[str]:
        samples = choice_of(self._asked).open()
        decode = load_tokenizer(self._asked.tokenizer, engine="reference").decode
        view = SampleView(samples.vocab, decode, self._pieces.coloured)
        yield view.legend(self._asked.scheme) + "\n"
        for index in indices:
            if not -len(samples) <= index < len(samples):
                raise MaskgenError(
                    f"{self._asked.prefix}: found sample {index}, expected 0 to {len(samples) - 1}: there are "
                    f"{len(samples)} samples in one epoch; choose one of them"
                )
            number = index % len(samples)
            yield "\n" + view.show(number, samples[number])
            for part in sample_parts(samples, number):
                yield self._part(part)

    def _part(self, part: SamplePart) -> str:
        first, last = part.sequences[0], part.sequences[-1]
        sequences = f"sequence {first}" if first == last else f"sequences {first} to {last}"
        shown = self._pieces.paint(f"made of document {part.document}", BOLD)
        place = self._pieces.paint(f"(from token {part.start} of the dataset)", DIM)
        line = f"  {shown}, {sequences}, {part.tokens} tokens {place}\n"
        return line + self._documents.origin(part.document, "  ")


def _check(asked: argparse.Namespace) -> None:
    if asked.sample is None:
        return
    if asked.search is not None or asked.documents:
        raise MaskgenError("--sample: found --search or documents beside it, expected one of them; leave one out")
    missing = [flag for flag in ("tokenizer", "max_seq_length", "seed") if getattr(asked, flag) is None]
    if missing:
        flags = ", ".join(f"--{flag.replace('_', '-')}" for flag in missing)
        raise MaskgenError(f"--sample: found no {flags}, expected those of maskgen sample; say which samples")

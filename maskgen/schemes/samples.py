"""Samples of any scheme, over any rows: the interface of BertSamples, seeded by (seed, epoch, index).

indices --rows.tokens--> tokens [B, L] --scheme.fill, with the draws of each index--> the arrays of a batch
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from maskgen.identity import dataset_identity, vocab_digest
from maskgen.samples.arrays import Batch, Field, checked_out, in_use
from maskgen.samples.by_index import ByIndex, Sample
from maskgen.samples.checks import checked_indices, integer
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import Scheme
from maskgen.schemes.draws import Draws
from maskgen.vocab import Ids, Vocab

DOCUMENT_ARRAYS = ("document_ids", "positions")


class Rows(Protocol):
    """What samples need of their rows; see maskgen.rows."""

    @property
    def seq_length(self) -> int:
        """Entries of a row."""

    def __len__(self) -> int: ...
    def tokens(self, indices: Any, out: Any = None, threads: int = 1) -> Any:
        """The rows at `indices`: tokens [B, L], lengths, and the arrays of documents."""

    def describe(self) -> dict[str, Any]:
        """What these rows are."""


class SchemeSamples(ByIndex):
    """Masked samples of a scheme by name: ``SchemeSamples(rows, vocab, "roberta")[i]``, ``.batch(indices)``.

    Sample i of epoch e is a function of row i, the settings, the seed, e and i: never of its batch. Options are those
    of the scheme. With `documents` batches also have document_ids, positions and cumulative_lengths, for attention
    within documents, where the scheme leaves tokens in their places.
    """

    def __init__(
        self, rows: Rows, vocab: Vocab, scheme: str, *, seed: int = 1234, documents: bool = False, **options: Any
    ) -> None:
        self.rows, self.vocab = rows, vocab
        self.scheme = make_scheme(scheme, vocab, rows.seq_length, options)
        self.seed = integer(seed, "seed", None)
        self.fields: tuple[Field, ...] = self.scheme.fields
        self.documents = bool(documents)
        if self.documents:
            if not any(field.name == "text" for field in self.fields):
                raise SampleError(
                    f"documents=True with {scheme}, which moves tokens; expected a scheme that leaves them in their "
                    "places; leave documents out"
                )
            width = rows.seq_length
            self.fields += (
                Field("document_ids", "row", width, -1, width),
                Field("positions", "row", width, 0, width),
            )

    def __len__(self) -> int:
        return len(self.rows)

    def sample(self, index: int, *, epoch: int = 0, rate: float | None = None) -> Sample:
        """One sample: the row of it in a batch of one. Packed arrays are left out."""
        batch = self.batch([index], epoch=epoch, rate=rate)
        return {field.name: batch[field.name][0] for field in self.fields if field.kind != "packed"}

    def batch(
        self,
        indices: Iterable[int] | npt.NDArray[Any],
        out: Batch | None = None,
        threads: int = 1,
        *,
        epoch: int = 0,
        rate: float | None = None,
    ) -> Batch:
        """The samples at `indices`, stacked: new arrays, or `out`, from `allocate` or of the same make.

        `rate` takes the place of the scheme's own in this call. The result does not depend on `threads`. Packed arrays
        come back as views of what is in use.
        """
        chosen = checked_indices(indices, len(self))
        threads = integer(threads, "threads", 1)
        draws = Draws(self.seed, integer(epoch, "epoch", 0), chosen)
        out = self.allocate(len(chosen)) if out is None else checked_out(self.fields, out, len(chosen))
        rows = self._rows(chosen, draws, threads)
        tokens: Ids = np.asarray(rows.tokens, np.int64)
        lengths: Ids = np.asarray(rows.lengths, np.int64)
        self._check_tokens(tokens, chosen)
        used = self.scheme.fill(tokens, lengths, draws, rate, out)
        batch = in_use(self.fields, out, used)
        self._write_rest(batch, rows)
        return batch

    def _rows(self, indices: Ids, _draws: Draws, threads: int) -> Any:
        """The rows to mask."""
        return self.rows.tokens(indices, threads=threads)

    def _write_rest(self, batch: Batch, rows: Any) -> None:
        """What the rows add to the arrays of the scheme."""
        if self.documents:
            for name in DOCUMENT_ARRAYS:
                batch[name][...] = getattr(rows, name)
            batch["cumulative_lengths"] = rows.cumulative_lengths

    def describe(self) -> dict[str, Any]:
        """The identity of these samples, as JSON holds it: equal where every sample is."""
        dataset = getattr(self.rows, "dataset", None)
        return {
            "scheme": self.scheme.name,
            "scheme_version": self.scheme.version,
            "seed": self.seed,
            "options": {**self.scheme.options, "documents": self.documents},
            "vocab": vocab_digest(self.vocab),
            "rows": self.rows.describe(),
            "data": None if dataset is None else dataset_identity(dataset),
        }

    def _check_tokens(self, tokens: Ids, indices: Ids) -> None:
        # As unsigned, so that one comparison finds negative ids, too.
        if tokens.size and int(tokens.view(np.uint64).max()) >= len(self.vocab):
            row, place = np.argwhere(tokens.view(np.uint64) >= len(self.vocab))[0].tolist()
            raise SampleError(
                f"row {indices[row]} holds the id {tokens[row, place]} at {place}; expected ids below "
                f"{len(self.vocab)}, the vocabulary of {self.vocab.name}; use the tokenizer that this dataset was made "
                "with"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rows!r}, {self.scheme.name!r}: {len(self)} samples, seed {self.seed})"


def make_scheme(name: str, vocab: Vocab, seq_length: int, options: Mapping[str, Any]) -> Scheme:
    """The scheme of that name, with these options."""
    from maskgen.schemes import SCHEMES

    if name not in SCHEMES:
        raise SampleError(f"scheme is {name!r}; expected one of {', '.join(SCHEMES)}; correct its name")
    kind = SCHEMES[name]
    known = list(kind.__init__.__kwdefaults__ or {})
    wrong = sorted(set(options) - set(known))
    if wrong:
        raise SampleError(f"{name} has no option {', '.join(wrong)}; expected some of {', '.join(known)}; correct it")
    return kind(vocab, seq_length, **options)

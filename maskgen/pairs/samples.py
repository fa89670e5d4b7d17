"""Pairs of a caption and an image by index, in batches of fixed shape.

document --mode 0--> ids, [CLS] and [SEP] around them where they are asked for, cut, padded --> text, padding_mask
         --mode 1--> bytes of the file --decode--> pixels --square, drawn or in the middle--> images

What is drawn for a sample is a function of (seed, epoch, index), as for all schemes that are not Megatron-LM's.
"""

from typing import Any

import numpy as np

from maskgen.identity import array_digest, dataset_identity, plain, vocab_digest
from maskgen.pairs.resizing import Pixels, crop_and_resize
from maskgen.samples.arrays import Batch, Field
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.samples.unmasked import Unmasked
from maskgen.schemes.base import checked_share
from maskgen.schemes.draws import Draws, below, uniforms
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset, IndexedDatasetError, lost_page_count
from preprocess.images import ImageError, decode

SIDE, TOP, LEFT, MIRROR = range(96, 100)  # streams, apart from those of schemes
VERSION = 1  # of what these samples promise: it changes when their bits do
TEXT, IMAGE = 0, 1  # modes
CHANNELS, LARGEST_IMAGE = 3, 4096
REMEDY = "make the dataset with maskgen tokenize --images"


class PairSamples(Unmasked):
    """Captions and their images, of a dataset of pairs: ``samples[i]``, ``samples.batch(indices)``.

    Batches have text [B, max_seq_length], padding_mask (1 for tokens), lengths, and images, uint8 [B, 3, image_size,
    image_size]. `documents` are those that are used, all by default. With `add_special` a caption is
    ``[CLS] caption [SEP]``; one that is too long loses its end. The largest square in the middle of an image is shown,
    or with `min_scale` below 1 a square anywhere, its side `min_scale` to 1 of that one; mirrored with `mirror`.
    """

    scheme = "pairs"

    def __init__(
        self,
        dataset: IndexedDataset,
        vocab: Vocab,
        *,
        max_seq_length: int,
        image_size: int,
        documents: range | None = None,
        add_special: bool = True,
        min_scale: float = 1.0,
        mirror: float = 0.0,
        seed: int = 1234,
    ) -> None:
        self.dataset, self.vocab, self.add_special = dataset, vocab, bool(add_special)
        self.max_seq_length = integer(max_seq_length, "max_seq_length", 3)
        self.image_size = integer(image_size, "image_size", 1)
        if self.image_size > LARGEST_IMAGE:
            raise SampleError(f"image_size is {image_size}; expected at most {LARGEST_IMAGE}; correct it")
        self.min_scale, self.mirror = checked_share(min_scale, "min_scale"), checked_share(mirror, "mirror")
        self.seed = integer(seed, "seed", None)
        self.documents = self._checked(range(len(dataset.document_indices) - 1) if documents is None else documents)
        (self.pad_id,) = vocab.ids("pad")
        self.around = vocab.ids("cls", "sep") if self.add_special else ()
        width, planes = self.max_seq_length, (CHANNELS, self.image_size, self.image_size)
        self.fields: tuple[Field, ...] = (
            Field("text", "row", width, 0, len(vocab) - 1),
            Field("padding_mask", "row", width, 0, 1),
            Field("lengths", "number", width, 0, width),
            Field("images", "row", int(np.prod(planes)), 0, 255, planes=planes, stored="uint8"),
        )

    def _checked(self, documents: range) -> range:
        """The documents, each of which has to be a pair."""
        bounds, modes = self.dataset.document_indices, self.dataset.sequence_modes
        if modes is None:
            raise SampleError(
                f"{self.dataset.prefix}: sequences without modes; expected captions with images; {REMEDY}"
            )
        if documents.step != 1 or not 0 <= documents.start <= max(documents.stop, documents.start) < len(bounds):
            raise SampleError(f"documents are {documents}; expected some of 0 to {len(bounds) - 2}, in their order")
        chosen = bounds[documents.start : documents.stop + 1]
        places = chosen[:-1]
        bad = np.flatnonzero(np.diff(chosen) != 2)
        if not len(bad):
            bad = np.flatnonzero((modes[places] != TEXT) | (modes[places + 1] != IMAGE))
        if len(bad):
            number = documents.start + int(bad[0])
            found = modes[int(bounds[number]) : int(bounds[number + 1])].tolist()[:5]
            raise SampleError(
                f"{self.dataset.prefix}: document {number} has sequences of the modes {found}; expected {[TEXT, IMAGE]}"
                f", a caption and its image; {REMEDY}"
            )
        return documents

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def rows(self) -> "PairSamples":
        """What samples are drawn from."""
        return self

    def caption(self, index: int) -> Ids:
        """The ids of a caption, as the dataset has them."""
        document = self.documents[index]
        tokens: Ids = self.dataset[int(self.dataset.document_indices[document])].astype(np.int64)
        if tokens.size and int(tokens.view(np.uint64).max()) >= len(self.vocab):  # negative ones are large so
            wrong = tokens[tokens.view(np.uint64) >= len(self.vocab)][0]
            raise SampleError(
                f"{self.dataset.prefix}: document {document} holds the id {wrong}; expected ids below "
                f"{len(self.vocab)}, the vocabulary of {self.vocab.name}; use the tokenizer that this dataset was made "
                "with"
            )
        return tokens

    def image_file(self, index: int) -> bytes:
        """The bytes of an image's file."""
        document = self.documents[index]
        words = self.dataset[int(self.dataset.document_indices[document]) + 1]
        padding = int(words[0]) if len(words) else -1
        size = (len(words) - 1) * words.itemsize - padding
        if not 0 <= padding < words.itemsize or size < 0:
            raise SampleError(
                f"{self.dataset.prefix}: document {document}: an image of {len(words)} words whose padding is {padding}"
                f"; expected 0 to {words.itemsize - 1} and the bytes of a file; {REMEDY}"
            )
        return words[1:].tobytes()[:size]

    def picture(self, index: int) -> Pixels:
        """The pixels of a whole image, uint8 [height, width, 3]."""
        try:
            return decode(self.image_file(index))
        except ImageError as error:
            raise SampleError(
                f"{self.dataset.prefix}: document {self.documents[index]}: the image is {error}; expected one that can "
                "be decoded; install what it needs, or leave it out of the dataset"
            ) from None

    def _fill(self, indices: Ids, epoch: int, out: Batch) -> None:
        draws, width = Draws(self.seed, epoch, indices), self.max_seq_length
        shares = self.min_scale + (1 - self.min_scale) * uniforms(draws.words(SIDE, 1)[:, 0])
        words = {stream: draws.words(stream, 1)[:, 0] for stream in (TOP, LEFT)}
        mirrored = uniforms(draws.words(MIRROR, 1)[:, 0]) < self.mirror
        for row, index in enumerate(indices.tolist()):
            ids = self.caption(index)
            if self.add_special:
                ids = np.concatenate((self.around[:1], ids[: width - 2], self.around[1:]))
            length = min(len(ids), width)
            out["text"][row, :length], out["text"][row, length:] = ids[:length], self.pad_id
            out["padding_mask"][row] = np.arange(width) < length
            out["lengths"][row] = length
            pixels = self.picture(index)
            height, across = pixels.shape[:2]
            side = min(height, across)
            top, left = (height - side) // 2, (across - side) // 2
            if self.min_scale < 1:
                side = max(1, round(side * float(shares[row])))
                top = int(below(words[TOP][row : row + 1], height - side + 1)[0])
                left = int(below(words[LEFT][row : row + 1], across - side + 1)[0])
            square = crop_and_resize(pixels, self.image_size, side, top, left)
            out["images"][row] = (square[:, ::-1] if mirrored[row] else square).transpose(2, 0, 1)

    def _check_pages(self, before: int) -> None:
        if lost_page_count() > before:
            raise IndexedDatasetError(
                self.dataset.prefix, "memory map", "a page that its file no longer has (zeros were read in its place)",
                "a file that keeps its size while it is mapped", "restore the file and ask for these pairs again",
            )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """The identity of these samples, as JSON holds it: equal where every sample is."""
        names = ("max_seq_length", "image_size", "add_special", "min_scale", "mirror")
        description: dict[str, Any] = plain({
            "scheme": self.scheme,
            "scheme_version": VERSION,
            "seed": self.seed,
            "options": {name: getattr(self, name) for name in names},
            "vocab": vocab_digest(self.vocab),
            "rows": {
                "kind": "pairs of images",
                "samples": len(self),
                "documents": [self.documents.start, self.documents.stop],
                "sequences": array_digest(self.dataset.sequence_lengths),
            },
            "data": dataset_identity(self.dataset),
        })  # fmt: skip
        return description

    def __repr__(self) -> str:
        return f"PairSamples({self.dataset.prefix!r}: {len(self)} pairs, seed {self.seed})"

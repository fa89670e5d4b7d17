"""Rows for tests of schemes, and plain Python twins of what the schemes do with arrays."""

from types import SimpleNamespace

import numpy as np

from maskgen.samples.arrays import allocate
from maskgen.schemes import SCHEMES
from maskgen.schemes.draws import Draws
from maskgen.vocab import Vocab

M = 2**64 - 1
CLS, SEP, MASK, PAD, BOS, EOS = 2, 3, 4, 0, 5, 6
FIRST, LAST = 46, 89  # ordinary ids; every third continues a word; the last four end sentences
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>", "[NLU]", "[S2S]", "[NLG]"]
PIECES += [f"<extra_id_{i}>" for i in range(36)]
PIECES += [f"##w{i}" if i % 3 == 0 else f"w{i}" for i in range(FIRST, LAST - 3)] + [".", "!", "?", "##."]
TOY = Vocab(
    PIECES, cls_id=CLS, sep_id=SEP, mask_id=MASK, pad_id=PAD, bos_id=BOS, eos_id=EOS, sentinel_ids=range(10, 46),
    special_ids=[1, 7, 8, 9],
)  # fmt: skip


class Rows:
    """Rows in memory."""

    def __init__(self, tokens, lengths=None):
        self.array = np.asarray(tokens)
        self.lengths = np.full(len(self.array), self.array.shape[1]) if lengths is None else np.asarray(lengths)
        self.seq_length = self.array.shape[1]

    def __len__(self):
        return len(self.array)

    def tokens(self, indices, **_):
        lengths = self.lengths[indices]
        ends = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        ids = np.where(np.arange(self.seq_length) < lengths[:, None], 0, -1)
        positions = np.where(ids == 0, np.arange(self.seq_length), 0)
        return SimpleNamespace(
            tokens=self.array[indices], lengths=lengths, document_ids=ids, positions=positions, cumulative_lengths=ends
        )

    def describe(self):
        return {"kind": "memory", "tokens": self.array.tolist(), "lengths": self.lengths.tolist()}


def random_rows(seed, rows, width, least=FIRST, most=LAST + 1, short=True):
    """Tokens with all kinds of ids from `least` on, and lengths."""
    random = np.random.RandomState(seed)
    tokens = random.randint(least, most, (rows, width))
    return tokens, random.randint(0, width + 1, rows) if short else np.full(rows, width)


def filled(name, tokens, lengths, seed=1, epoch=0, indices=None, rate=None, vocab=TOY, **options):
    """The arrays of a batch, straight from the scheme, in arrays full of rubbish."""
    tokens, lengths = np.asarray(tokens, np.int64), np.asarray(lengths, np.int64)
    scheme = SCHEMES[name](vocab, tokens.shape[1], **options)
    out = allocate(scheme.fields, len(tokens), None)
    for array in out.values():
        array.fill(77)
    indices = np.arange(len(tokens)) if indices is None else np.asarray(indices)
    used = scheme.fill(tokens, lengths, Draws(seed, epoch, indices), rate, out)
    packed = {field.name for field in scheme.fields if field.kind == "packed"}
    return {key: value[:used] if key in packed else value for key, value in out.items()}


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & M
    return z ^ (z >> 31)


class Twin:
    """The draws of one sample, number by number."""

    def __init__(self, seed, epoch, index):
        self.key = mix(mix(mix(seed & M) ^ (epoch & M)) ^ index)

    def word(self, stream, number):
        return mix((self.key + 0x9E3779B97F4A7C15 * ((stream << 32) + number + 1)) & M)

    def uniform(self, stream, number):
        return (self.word(stream, number) >> 11) * 2.0**-53

    def below(self, stream, number, bound):
        return (self.word(stream, number) >> 32) * bound >> 32

    def rank(self, stream, place):
        return (self.word(stream, place) & ~(2**20 - 1)) | place

    def choose(self, stream, places, count):
        return sorted(sorted(places, key=lambda place: self.rank(stream, place))[:count])


def shown(twin, tokens, chosen, mask, random, vocab=TOY, leader=None, weights=None):
    """The text with these places chosen."""
    text = list(tokens)
    ordinary = vocab.ordinary_ids.tolist()
    for place in chosen:
        u = twin.uniform(2, place if leader is None else leader[place])
        if u < mask:
            text[place] = vocab.mask_id
        elif u < mask + random:
            if weights is None:
                text[place] = ordinary[twin.below(3, place, len(ordinary))]
            else:
                sums = np.cumsum(np.array(weights, float)[ordinary])
                text[place] = ordinary[int(np.sum(sums / sums[-1] <= twin.uniform(3, place)))]
    return text


def encoder_batch(rows, width, pad=PAD):
    """The arrays of a batch from (tokens, length, text, chosen places) of each row."""
    batch = {name: [] for name in ("text", "labels", "loss_mask", "padding_mask", "lengths", "masked_counts")}
    positions, labels = [], []
    for row, (tokens, length, text, chosen) in enumerate(rows):
        batch["text"].append([text[i] if i < length else pad for i in range(width)])
        batch["labels"].append([tokens[i] if i in chosen else -1 for i in range(width)])
        batch["loss_mask"].append([int(i in chosen) for i in range(width)])
        batch["padding_mask"].append([int(i < length) for i in range(width)])
        batch["lengths"].append(length)
        batch["masked_counts"].append(len(chosen))
        positions += [row * width + i for i in sorted(chosen)]
        labels += [tokens[i] for i in sorted(chosen)]
    return {**batch, "masked_positions": positions, "masked_labels": labels}


def assert_equal(found, expected):
    for name, array in expected.items():
        assert np.array_equal(found[name], np.reshape(array, found[name].shape)), name

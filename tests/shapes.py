"""Pictures of shapes in colours with captions, drawn here: what CLIP can learn in a minute."""

import itertools

import numpy as np
import torch

SIZE = 16
COLOURS = {
    "red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0), "yellow": (1.0, 1.0, 0.0),
    "pink": (1.0, 0.0, 1.0), "cyan": (0.0, 1.0, 1.0), "white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0),
}  # fmt: skip
SHAPES = ("square", "cross", "ring", "bar")
PLACES = {"left": 4, "right": 11}
KINDS = list(itertools.product(COLOURS, SHAPES, PLACES))  # 8 x 4 x 2 = 64
WORDS = ["[PAD]", "[MASK]", "a", "on", "the", "picture", "of", *COLOURS, *SHAPES, *PLACES]
IDS = {word: id_ for id_, word in enumerate(WORDS)}
PAD, MASK = 0, 1
LENGTH = 9


def caption(kind, rng):
    colour, shape, place = kind
    words = ["a", colour, shape, "on", "the", place]
    return (["a", "picture", "of"] if rng.random() < 0.5 else []) + words


def picture(kind, rng):
    """[3, SIZE, SIZE] in 0..1: noise, and a shape whose place and brightness vary within their kind."""
    colour, shape, place = kind
    image = 0.4 + 0.1 * rng.random((3, SIZE, SIZE))
    x, y = PLACES[place] + rng.integers(-1, 2), 8 + rng.integers(-1, 2)
    radius = 3
    rows, columns = np.mgrid[:SIZE, :SIZE]
    down, across = np.abs(rows - y), np.abs(columns - x)
    distance = np.hypot(down, across)
    inside = {
        "square": np.maximum(down, across) <= radius - 0.5,
        "cross": (np.minimum(down, across) < 1) & (np.maximum(down, across) <= radius),
        "bar": (down < 2) & (across <= radius),
        "ring": (distance <= radius) & (distance > radius - 1.6),
    }[shape]
    image[:, inside] = (np.array(COLOURS[colour]) * (0.8 + 0.2 * rng.random()))[:, None]
    return image.astype(np.float32)


def batch(kinds, rng):
    """Pairs of these kinds, with the names that the training loop has."""
    text = np.zeros((len(kinds), LENGTH), np.int64)
    for row, kind in enumerate(kinds):
        ids = [IDS[word] for word in caption(kind, rng)]
        text[row, : len(ids)] = ids
    images = np.stack([picture(kind, rng) for kind in kinds])
    return {
        "text": torch.from_numpy(text),
        "padding_mask": torch.from_numpy((text != PAD).astype(np.int64)),
        "images": torch.from_numpy(images),
    }


def random_batch(size, rng):
    """Pairs each of another kind, so that a caption fits one picture of the batch alone."""
    return batch([KINDS[number] for number in rng.permutation(len(KINDS))[:size]], rng)

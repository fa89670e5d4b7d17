"""Batches of captions and images: equal to a plain twin, in any order, squares by whole numbers, what is refused."""

import io
import pickle
import sys
import types

import numpy as np
import pytest
from helpers import write_dataset
from image_files import jpeg, picture, png, ppm
from scheme_twins import CLS, PAD, SEP, TOY, Twin

from maskgen.batches import BatchError, BatchSource, Blend
from maskgen.pairs import PairSamples
from maskgen.pairs.resizing import crop_and_resize
from maskgen.samples import SampleError
from preprocess import IndexedDataset, IndexedDatasetWriter
from preprocess.pipeline.images import image_words

SIZE, WIDTH = 8, 6


def write_images(prefix, images, captions=None, modes=(0, 1)):
    captions = (
        [[50 + number % 30] * (number % 7 + 1) for number in range(len(images))] if captions is None else captions
    )
    with IndexedDatasetWriter(str(prefix), "int32") as writer:
        for caption, content in zip(captions, images, strict=True):
            words = image_words(content)
            writer.add_document([*caption, *words.tolist()], [len(caption), len(words)], modes)
    return IndexedDataset(prefix), captions


@pytest.fixture
def pairs(tmp_path):
    pictures = [picture(number, 9 + number % 5, 12 - number % 4) for number in range(20)]
    files = [(png, ppm)[number % 2](each) for number, each in enumerate(pictures)]
    return *write_images(tmp_path / "d", files), pictures


def box_twin(square, size):
    """Means over the pixels that a new one covers, rounded halves up, pixel by pixel."""
    side = len(square)
    out = np.zeros((size, size, 3), np.uint8)
    for i in range(size):
        for j in range(size):
            rows = slice(i * side // size, -(-(i + 1) * side // size))
            columns = slice(j * side // size, -(-(j + 1) * side // size))
            part = square[rows, columns].reshape(-1, 3).astype(int)
            out[i, j] = [(2 * total + len(part)) // (2 * len(part)) for total in part.sum(axis=0).tolist()]
    return out


@pytest.mark.parametrize("side", [1, 3, 8, 9, 16, 31])
def test_squares_are_means(side):
    pixels = picture(side, 40, 50)
    found = crop_and_resize(pixels, SIZE, side, 4, 7)
    assert np.array_equal(found, box_twin(pixels[4 : 4 + side, 7 : 7 + side], SIZE))


def sample_twin(twin, caption, pixels, scale, mirror, special):
    ids = [CLS, *caption[: WIDTH - 2], SEP] if special else caption[:WIDTH]
    height, across = pixels.shape[:2]
    side = min(height, across)
    top, left = (height - side) // 2, (across - side) // 2
    if scale < 1:
        side = max(1, round(side * (scale + (1 - scale) * twin.uniform(96, 0))))
        top, left = twin.below(97, 0, height - side + 1), twin.below(98, 0, across - side + 1)
    square = box_twin(pixels[top : top + side, left : left + side], SIZE)
    square = square[:, ::-1] if twin.uniform(99, 0) < mirror else square
    return [*ids, *[PAD] * (WIDTH - len(ids))], len(ids), square.transpose(2, 0, 1)


@pytest.mark.parametrize(("scale", "mirror", "special"), [(1.0, 0.0, True), (0.4, 0.5, True), (0.4, 0.0, False)])
def test_samples_are_their_twin(pairs, scale, mirror, special):
    dataset, captions, pictures = pairs
    options = {"min_scale": scale, "mirror": mirror, "add_special": special, "seed": 9}
    samples = PairSamples(dataset, TOY, max_seq_length=WIDTH, image_size=SIZE, **options)
    batch = samples.batch(range(20), epoch=2)
    assert batch["images"].dtype == np.uint8
    assert batch["images"].shape == (20, 3, SIZE, SIZE)
    for index, (caption, pixels) in enumerate(zip(captions, pictures, strict=True)):
        text, length, image = sample_twin(Twin(9, 2, index), caption, pixels, scale, mirror, special)
        assert batch["text"][index].tolist() == text
        assert batch["padding_mask"][index].tolist() == [int(place < length) for place in range(WIDTH)]
        assert batch["lengths"][index] == length
        assert np.array_equal(batch["images"][index], image)


def test_no_order_of_access_changes_a_sample(pairs):
    samples = PairSamples(pairs[0], TOY, max_seq_length=WIDTH, image_size=SIZE, min_scale=0.5, mirror=0.5)
    copied = pickle.loads(pickle.dumps(samples))
    forward = samples.batch(range(20))
    for index in np.random.RandomState(0).permutation(20).tolist():
        assert all(np.array_equal(copied[index][name], array[index]) for name, array in forward.items())
    assert (samples.batch(range(20), epoch=1)["images"] != forward["images"]).any()


def test_parts_blends_and_their_state(pairs):
    dataset = pairs[0]
    options = {"max_seq_length": WIDTH, "image_size": SIZE}
    first, rest = (PairSamples(dataset, TOY, documents=part, **options) for part in (range(5), range(5, 20)))
    whole = PairSamples(dataset, TOY, **options).batch(range(20))
    assert np.array_equal(rest.batch([0, 14])["images"], whole["images"][[5, 19]])
    source = BatchSource(Blend([first, rest], [0.5, 0.5]), batch_size=6, seed=1)
    batches = [source.next_batch() for _ in range(5)]
    later = BatchSource(Blend([first, rest], [0.5, 0.5]), batch_size=6, seed=1)
    later.load_state_dict({**source.state_dict(), "consumed": 12})
    assert all(np.array_equal(array, batches[2][name]) for name, array in later.next_batch().items())
    assert source.allocate()["images"].dtype == np.uint8
    state = BatchSource(PairSamples(dataset, TOY, **options), batch_size=6, seed=1).state_dict()
    other = BatchSource(PairSamples(dataset, TOY, **{**options, "image_size": SIZE + 1}), batch_size=6, seed=1)
    with pytest.raises(BatchError, match="image_size"):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no bytes"),
        (bytes(40), "that begin with"),
        (png(picture(1))[:-15], "cut off"),
        (jpeg(), "pip install pillow"),
    ],
)
def test_images_that_cannot_be_decoded(tmp_path, monkeypatch, content, words):
    monkeypatch.setitem(sys.modules, "PIL", None)
    dataset, _ = write_images(tmp_path / "d", [png(picture(0)), content])
    samples = PairSamples(dataset, TOY, max_seq_length=WIDTH, image_size=SIZE)
    samples[0]
    with pytest.raises(SampleError, match="document 1: the image is .*" + words):
        samples[1]


def test_other_kinds_go_through_pillow(tmp_path, monkeypatch):
    """A stand-in for it: the file goes in, pixels come out; what it raises over a file is that file's fault."""
    pixels = picture(4, SIZE, SIZE)

    class Opened:
        width, height = SIZE, SIZE

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def convert(self, mode):
            assert mode == "RGB"
            return pixels

    def opened(file):
        assert isinstance(file, io.BytesIO)
        if file.read() == jpeg(9, 9):
            raise OSError("broken")
        return Opened()

    module = types.ModuleType("PIL")
    module.Image = types.SimpleNamespace(open=opened)
    monkeypatch.setitem(sys.modules, "PIL", module)
    dataset, _ = write_images(tmp_path / "d", [jpeg(), jpeg(9, 9)])
    samples = PairSamples(dataset, TOY, max_seq_length=WIDTH, image_size=SIZE)
    assert np.array_equal(samples[0]["images"], pixels.transpose(2, 0, 1))
    with pytest.raises(SampleError, match=r"cannot be decoded \(broken"):
        samples[1]


def test_datasets_that_have_no_pairs(tmp_path):
    options = {"max_seq_length": WIDTH, "image_size": SIZE}
    write_dataset(tmp_path / "t", [[[50, 51]]])
    with pytest.raises(SampleError, match="without modes"):
        PairSamples(IndexedDataset(tmp_path / "t"), TOY, **options)
    dataset, _ = write_images(tmp_path / "r", [png(picture(0))], modes=(1, 0))
    with pytest.raises(SampleError, match=r"document 0 has sequences of the modes \[1, 0\]"):
        PairSamples(dataset, TOY, **options)
    write_dataset(tmp_path / "l", [[[50], [0, 1]], [[50]]], dtype="int32", modes=[[0, 1], [0]])
    with pytest.raises(SampleError, match=r"document 1 has sequences of the modes \[0\]"):
        PairSamples(IndexedDataset(tmp_path / "l"), TOY, **options)
    assert len(PairSamples(IndexedDataset(tmp_path / "l"), TOY, documents=range(1), **options)) == 1
    dataset, _ = write_images(tmp_path / "i", [png(picture(0))], captions=[[500]])
    with pytest.raises(SampleError, match="document 0 holds the id 500"):
        PairSamples(dataset, TOY, **options)[0]
    for wrong in (range(2), range(-1, 1), range(0, 1, 2)):
        with pytest.raises(SampleError, match="documents are"):
            PairSamples(dataset, TOY, documents=wrong, **options)


@pytest.mark.parametrize("words", [[], [-1, 5], [4, 5], [3], [7, 1, 2]])
def test_images_whose_padding_is_wrong(tmp_path, words):
    write_dataset(tmp_path / "d", [[[50], words]], dtype="int32", modes=[[0, 1]])
    samples = PairSamples(IndexedDataset(tmp_path / "d"), TOY, max_seq_length=WIDTH, image_size=SIZE)
    with pytest.raises(SampleError, match="whose padding is"):
        samples[0]

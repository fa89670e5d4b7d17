"""The losses of CLIP against twins with loops in numpy, at extremes too; gathering of one rank; views of images."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from maskgen.train.clip import Augment, SimCLR, SimSiam
from maskgen.train.clip.augment import luminance
from maskgen.train.clip.gather import gather, mean_over_ranks, ranks_of, sum_over_ranks
from maskgen.train.clip.losses import (
    coarse,
    contrastive_rows,
    image_to_text,
    pooled,
    regularisation_rows,
    right_rows,
    text_to_image,
)
from maskgen.train.clip.visual_ssl import Standardised
from maskgen.train.errors import TrainError


def unit(*shape, seed=0):
    vectors = np.random.default_rng(seed).normal(size=shape)
    return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("first", [0, 2])
def test_contrastive_rows_are_the_twin(first, decoupled):
    similarities = np.random.default_rng(1).normal(size=(3, 5)) * 4
    expected = []
    for row in range(3):
        pair = first + row
        others = [math.exp(similarities[row, j]) for j in range(5) if not (decoupled and j == pair)]
        expected.append(math.log(sum(others)) - similarities[row, pair])
    found = contrastive_rows(torch.from_numpy(similarities), first, decoupled)
    assert np.allclose(found, expected)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_large_similarities_have_a_loss_and_gradients(dtype, decoupled):
    # Their exponentials are infinite: without the maximum taken off, the loss was infinite / infinite.
    similarities = torch.tensor([[500.0, 400.0], [300.0, 200.0]], dtype=dtype, requires_grad=True)
    found = contrastive_rows(similarities, 0, decoupled)
    found.sum().backward()
    expected = [-100.0, 100.0] if decoupled else [0.0, 100.0]
    assert found.tolist() == pytest.approx(expected)
    assert torch.isfinite(similarities.grad).all()


def test_a_pair_alone_has_nothing_to_learn():
    alone = torch.tensor([[3.0]], requires_grad=True)
    for decoupled in (False, True):
        loss = contrastive_rows(alone, 0, decoupled).sum()
        loss.backward()
        assert loss.item() == 0
    assert alone.grad.item() == 0


def test_fine_grained_similarities_are_the_twin():
    texts, images = unit(3, 4, 6), unit(2, 5, 6, seed=1)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]])
    there, back = text_to_image(texts, images, mask), image_to_text(texts, images, mask)
    assert there.shape == (3, 2)
    assert back.shape == (2, 3)  # a row an image: in x-clip it was a row a text, and both ways ranked images
    for x in range(3):
        tokens = [texts[x, t].numpy() for t in range(4) if mask[x, t]]
        for y in range(2):
            grid = np.array([[token @ patch for patch in images[y].numpy()] for token in tokens])
            assert there[x, y].item() == pytest.approx(grid.max(1).mean())
            assert back[y, x].item() == pytest.approx(grid.max(0).mean())


def test_padding_is_no_part_of_fine_grained_similarities():
    texts, images, mask = unit(2, 4, 6), unit(2, 5, 6, seed=1), torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
    other = torch.where(mask[..., None] > 0, texts, 100.0)
    for measure in (text_to_image, image_to_text):
        assert torch.equal(measure(texts, images, mask), measure(other, images, mask))


def test_a_text_without_tokens_has_finite_losses_and_gradients():
    texts, images = unit(2, 4, 6).requires_grad_(), unit(2, 5, 6, seed=1).requires_grad_()
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]])
    there, back = text_to_image(texts, images, mask), image_to_text(texts, images, mask)
    assert there[1].tolist() == [0, 0]
    assert back[:, 1].tolist() == [0, 0]
    (contrastive_rows(there * 100, 0, True) + contrastive_rows(back * 100, 0, False)).sum().backward()
    assert torch.isfinite(texts.grad).all()
    assert torch.isfinite(images.grad).all()


def test_regularisation_is_the_twin():
    texts, images = unit(4, 6), unit(4, 6, seed=1)
    found = regularisation_rows((texts[1:3], texts), (images[1:3], images), 1)
    t, i = texts.numpy(), images.numpy()
    expected = [np.mean([(t[row] @ t[j] - i[row] @ i[j]) ** 2 for j in range(4) if j != row]) for row in (1, 2)]
    assert np.allclose(found, expected)
    assert regularisation_rows((texts[:1], texts[:1]), (images[:1], images[:1]), 0).tolist() == [0]


def test_pooled_latents():
    latents, mask = unit(2, 3, 4), torch.tensor([[1, 1, 0], [1, 0, 0]])
    expected = latents[0, :2].sum(0)
    assert torch.allclose(pooled(latents, mask)[0], expected / expected.norm())
    assert torch.allclose(pooled(latents, mask)[1], latents[1, 0])
    assert torch.allclose(pooled(latents).norm(dim=-1), torch.ones(2, dtype=torch.float64))


def test_right_rows_counts_pairs_that_come_first():
    similarities = coarse(torch.eye(3)[[1, 0, 2]], torch.eye(3))
    assert right_rows(similarities, 0).item() == 1
    assert right_rows(torch.eye(5)[1:4], 1).item() == 3


def test_one_process_gathers_itself():
    rows = torch.randn(3, 2, requires_grad=True)
    ranks = ranks_of(3, 7, rows.device)
    assert (ranks.total, ranks.first, ranks.longest) == (3, 0, 7)
    assert gather(rows, ranks) is rows
    assert mean_over_ranks(rows) is rows
    assert sum_over_ranks({"a": rows})["a"] is rows


# Visual SSL.


class Flat(nn.Module):
    def __init__(self, dim=6, patches=1):
        super().__init__()
        self.linear = nn.Linear(3 * 4 * 4, dim * patches)
        self.patches = patches

    def forward(self, images):
        found = self.linear(images.flatten(1))
        return found.unflatten(1, (self.patches, -1)) if self.patches > 1 else found


def half(images):
    return images * 0.5


def test_simclr_is_the_twin():
    torch.manual_seed(0)
    ssl = SimCLR(Flat(), dim=6, projection_size=5, temperature=0.3, augment_fn=half)
    ssl.augment_fn2 = lambda images: images.flip(3)
    images = torch.rand(4, 3, 4, 4)
    with torch.no_grad():
        views = np.concatenate([ssl.projector(ssl.net(view)).numpy() for view in (half(images), images.flip(3))])
        found = ssl(images).item()
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    scores, losses = views @ views.T / 0.3, []
    for row in range(8):
        pair = (row + 4) % 8
        losses.append(math.log(sum(math.exp(scores[row, j]) for j in range(8) if j != row)) - scores[row, pair])
    assert found == pytest.approx(np.mean(losses), rel=1e-5)


def test_simsiam_is_the_twin_and_its_goals_are_constants():
    torch.manual_seed(0)
    ssl = SimSiam(Flat(), dim=6, projection_size=5, projection_hidden_size=7, augment_fn=half)
    ssl.augment_fn2 = lambda images: images.flip(3)
    images = torch.rand(4, 3, 4, 4)
    z = [ssl.projector(ssl.net(view)) for view in (half(images), images.flip(3))]
    p = [ssl.predictor(each) for each in z]
    cosines = [nn.functional.cosine_similarity(p[a], z[b].detach(), dim=1) for a, b in ((0, 1), (1, 0))]
    expected = (4 - 2 * cosines[0] - 2 * cosines[1]).mean()
    loss = ssl(images)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = [torch.autograd.grad(each, ssl.net.linear.weight)[0] for each in (loss, expected)]
    assert torch.allclose(*gradients, atol=1e-6)


def test_standardised_has_no_statistics_and_takes_one_row():
    rows = torch.randn(6, 3, dtype=torch.float64) * 5 + 2
    layer, twin = Standardised(3).double(), nn.BatchNorm1d(3).double()
    assert torch.allclose(layer(rows), twin(rows))
    assert torch.equal(layer.eval()(rows), layer.train()(rows))
    assert layer(rows[:1]).tolist() == [[0, 0, 0]]
    assert not list(layer.buffers())


def test_representations_of_layers_and_patches():
    images = torch.rand(2, 3, 4, 4)
    several = Flat(patches=3)
    for pool, expected in (("first", several(images)[:, 0]), ("mean", several(images).mean(1))):
        assert torch.equal(SimCLR(several, dim=6, pool=pool).representation(images), expected)
    convolution = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Flatten())
    expected = convolution[0](images).mean((2, 3))
    assert torch.equal(SimCLR(convolution, dim=6, hidden_layer="0").representation(images), expected)
    with pytest.raises(TrainError, match="correct dim"):
        SimCLR(Flat(), dim=7)(images)
    with pytest.raises(TrainError, match="pool"):
        SimCLR(Flat(), dim=6, pool="last")
    with pytest.raises(TrainError, match="temperature"):
        SimCLR(Flat(), dim=6, temperature=0)


# Views.


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_views_are_images_and_functions_of_their_generator(channels):
    images = torch.rand(8, channels, 10, 10)
    first, again = (Augment()(images, torch.Generator().manual_seed(4)) for _ in range(2))
    assert first.shape == images.shape
    assert torch.equal(first, again)
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.equal(first, Augment()(images, torch.Generator().manual_seed(5)))
    assert all(not torch.equal(view, image) for view, image in zip(first, images, strict=True))


def test_changes_of_views_one_by_one():
    images, nothing = torch.rand(5, 3, 8, 8), {"smallest": 1.0, "flip": 0.0, "colour": 0.0, "grey": 0.0, "blur": 0.0}
    grey = Augment(**nothing | {"grey": 1.0})
    blur, colour = Augment(**nothing | {"blur": 1.0}), Augment(**nothing | {"colour": 1.0})
    flat = torch.full((2, 3, 8, 8), 0.5)
    # A crop of the whole area still changes its sides' ratio, so look at what does not depend on it.
    assert torch.allclose(blur(flat), flat, atol=1e-6)
    assert blur(images).std() < images.std()
    view = grey(images)
    assert torch.allclose(view, luminance(view).expand(-1, 3, -1, -1), atol=1e-6)
    assert not torch.allclose(colour(flat), flat)
    ramp = torch.linspace(0, 1, 8).expand(2, 3, 8, 8).contiguous()
    assert (Augment(**nothing | {"flip": 1.0})(ramp).diff(dim=3) <= 1e-6).all()
    assert (Augment(**nothing)(ramp).diff(dim=3) >= -1e-6).all()


@pytest.mark.parametrize("wrong", [{"smallest": 0.0}, {"flip": 1.5}, {"strength": -0.1}])
def test_shares_of_views_are_checked(wrong):
    with pytest.raises(TrainError, match="of views"):
        Augment(**wrong)

"""Every trainable parameter decays or not, once; StableAdamW against a twin in plain Python."""

import math

import pytest
import torch
from torch import nn

from maskgen.train.errors import TrainError
from maskgen.train.optimizers import StableAdamW, build_optimizer, check_groups, parameter_groups, set_learning_rate


class Encoder(nn.Module):
    def __init__(self, vocab=11, width=4):
        super().__init__()
        self.embeddings = nn.Embedding(vocab, width)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"in": nn.Linear(width, 2 * width), "out": nn.Linear(2 * width, width), "norm": norm(width)})
            for norm in (nn.LayerNorm, nn.RMSNorm)
        )


class TiedHead(nn.Module):
    def __init__(self, embeddings):
        super().__init__()
        self.decoder = nn.Linear(embeddings.embedding_dim, embeddings.num_embeddings)
        self.decoder.weight = embeddings.weight


class Pair(nn.Module):
    """A generator and a discriminator on the same embeddings, as ELECTRA has them."""

    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = Encoder(), Encoder()
        self.discriminator.embeddings = self.generator.embeddings
        self.head = TiedHead(self.generator.embeddings)
        self.outer_norm = nn.LayerNorm((3, 4))  # two dimensions, and still no decay
        self.position_bias = nn.Parameter(torch.zeros(3, 4))
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def tied():
    encoder = Encoder()
    return nn.Sequential(encoder, TiedHead(encoder.embeddings))


def split(module):
    names = {parameter: name for name, parameter in module.named_parameters()}
    return [
        (group["weight_decay"], {names[parameter] for parameter in group["params"]})
        for group in parameter_groups(module, 0.1)
    ]


@pytest.mark.parametrize("make", [Encoder, tied, Pair])
def test_each_trainable_parameter_is_in_one_group_once(make):
    module = make()
    found = [id(parameter) for group in parameter_groups(module, 0.1) for parameter in group["params"]]
    expected = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_matrices_and_embeddings_decay_and_nothing_else():
    (decay, decaying), (none, rest) = split(Pair())
    assert (decay, none) == (0.1, 0.0)
    layers = {
        f"{who}.layers.{n}.{part}" for who in ("generator", "discriminator") for n in (0, 1) for part in ("in", "out")
    }
    assert decaying == {"generator.embeddings.weight"} | {f"{name}.weight" for name in layers}
    assert "outer_norm.weight" in rest
    assert "position_bias" in rest
    assert "head.decoder.bias" in rest
    assert "generator.layers.1.norm.weight" in rest
    assert not any("frozen" in name for name in decaying | rest)


def test_a_parameter_that_is_a_norms_under_one_of_its_names_does_not_decay():
    module = nn.ModuleDict({"linear": nn.Linear(4, 4, bias=False), "norm": nn.LayerNorm((4, 4), bias=False)})
    module["linear"].weight = module["norm"].weight
    assert split(module) == [(0.0, {"linear.weight"})]


def test_groups_that_do_not_cover_the_module_are_refused():
    module = tied()
    whole = parameter_groups(module, 0.1)
    check_groups(module, whole)
    with pytest.raises(TrainError, match=r"lack 0\.layers\.0\.in\.bias and 7 more"):
        check_groups(module, whole[:1])
    missing = [{"params": whole[0]["params"][1:]}, whole[1]]
    with pytest.raises(TrainError, match=r"lack 0\.embeddings\.weight; expected each trainable parameter exactly once"):
        check_groups(module, missing)
    with pytest.raises(TrainError, match=r"have more than once 0\.embeddings\.weight"):
        check_groups(module, [*whole, {"params": [module[1].decoder.weight]}])
    with pytest.raises(TrainError, match=r"have of another module \(4, 4\)"):
        check_groups(module, [*whole, {"params": [nn.Parameter(torch.zeros(4, 4))]}])
    with pytest.raises(TrainError, match="without parameters"):
        parameter_groups(nn.Linear(2, 2).requires_grad_(False), 0.1)


def test_building():
    module = tied()
    adamw = build_optimizer(module, "adamw", lr=1e-3, betas=(0.8, 0.9), eps=1e-7, weight_decay=0.2)
    assert type(adamw) is torch.optim.AdamW
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.2, 0.0]
    assert adamw.param_groups[0]["betas"] == (0.8, 0.9)
    assert not adamw.param_groups[0]["fused"]  # on a CPU
    stable = build_optimizer(module, "stable-adamw", lr=1e-3)
    assert type(stable) is StableAdamW
    set_learning_rate(stable, 0.5)
    assert [group["lr"] for group in stable.param_groups] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "sgd"}, "'sgd'; expected one of adamw, stable-adamw"),
        ({"lr": -1.0}, "lr -1.0"),
        ({"lr": math.nan}, "lr nan"),
        ({"betas": (0.9, 1.0)}, r"betas \(0.9, 1.0\)"),
        ({"eps": 0.0}, "eps 0.0"),
        ({"weight_decay": -0.1}, "weight decay -0.1"),
        ({"name": "stable-adamw", "fused": True}, "no such kernel"),
    ],
)
def test_bad_settings_are_refused(arguments, said):
    with pytest.raises(TrainError, match=said):
        build_optimizer(nn.Linear(2, 2), **{"lr": 1e-3, **arguments})


class Twin:
    """One tensor as a list of floats."""

    def __init__(self, weights, lr, betas, eps, decay):
        self.weights, self.lr, self.betas, self.eps, self.decay = list(weights), lr, betas, eps, decay
        self.v, self.u, self.t = [0.0] * len(weights), [0.0] * len(weights), 0

    def step(self, gradient):
        self.t += 1
        b1, b2 = (b * (1 - b ** (self.t - 1)) / (1 - b**self.t) for b in self.betas)
        for i, g in enumerate(gradient):
            self.v[i] = b1 * self.v[i] + (1 - b1) * g
            self.u[i] = b2 * self.u[i] + (1 - b2) * g * g
        squares = [g * g / max(u, self.eps**2) for g, u in zip(gradient, self.u, strict=True)]
        rate = self.lr / max(1.0, math.sqrt(sum(squares) / len(squares)))
        for i in range(len(gradient)):
            self.weights[i] -= rate * self.decay * self.weights[i]
            self.weights[i] -= rate * self.v[i] / (math.sqrt(self.u[i]) + self.eps)
        return rate


def test_stable_adamw_against_its_twin():
    torch.manual_seed(5)
    module = nn.ModuleDict({"a": nn.Linear(3, 5), "b": nn.Linear(2, 2, bias=False)}).double()
    settings = {"lr": 0.01, "betas": (0.9, 0.98), "eps": 1e-6}
    optimizer = build_optimizer(module, "stable-adamw", weight_decay=0.1, **settings)
    parameters = dict(module.named_parameters())
    twins = {
        name: Twin(p.flatten().tolist(), decay=0.1 if p.ndim > 1 else 0.0, **settings) for name, p in parameters.items()
    }
    rates = []
    for step in range(30):
        for name, parameter in parameters.items():
            if name == "b.weight" and step == 4:
                parameter.grad = None  # from here on it is one step behind the others
                continue
            size = 1000.0 if step in (10, 11) else 0.0 if step == 20 else 1.0
            parameter.grad = torch.randn_like(parameter) * size
            rates.append(twins[name].step(parameter.grad.flatten().tolist()))
        optimizer.step()
        for name, parameter in parameters.items():
            torch.testing.assert_close(
                parameter.flatten(), torch.tensor(twins[name].weights, dtype=torch.float64), rtol=1e-10, atol=1e-12
            )
    assert min(rates) < 0.4 * max(rates)  # the large gradients were held back
    assert max(rates) == settings["lr"]


def test_without_outliers_stable_adamw_is_adamw():
    torch.manual_seed(5)
    start = torch.randn(6, 6)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    settings = {"lr": 0.01, "betas": (0.9, 0.98), "eps": 1e-8, "weight_decay": 0.1}
    stable, adamw = StableAdamW([ours], **settings), torch.optim.AdamW([theirs], **settings)
    for step in range(20):
        ours.grad = theirs.grad = torch.randn(6, 6) / (step + 1)  # ever smaller: nothing to hold back
        stable.step()
        adamw.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_closure_is_called_with_gradients():
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = StableAdamW([weight], lr=0.1)

    def closure():
        loss = weight.square().sum()
        loss.backward()
        return loss.detach()

    assert optimizer.step(closure) == 4
    assert (weight < 1).all()

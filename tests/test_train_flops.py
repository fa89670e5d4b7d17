"""The formula against PyTorch's own counter on small encoders, and the table of devices."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from maskgen.train.flops import peak_flops, peak_of_name, training_flops


@dataclass(frozen=True)
class Config:
    architecture: str = "bert"
    vocab_size: int = 96
    hidden_size: int = 32
    layers: int = 3
    intermediate_size: int = 80
    embedding_size: int | None = None


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.gated = config.architecture == "modern"
        self.up, self.down = nn.Linear(width, inner * (2 if self.gated else 1)), nn.Linear(inner, width)

    def forward(self, x):
        heads = [part.unflatten(-1, (4, -1)).transpose(1, 2) for part in self.query_key_value(x).chunk(3, -1)]
        query, key, value = heads
        mixed = (query @ key.transpose(-1, -2)).softmax(-1) @ value
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        up = self.up(x)
        return x + self.down(up.chunk(2, -1)[0] * up.chunk(2, -1)[1] if self.gated else up.relu())


class Model(nn.Module):
    """Any head: "masked", "replaced" (ELECTRA's), with or without pairs."""

    def __init__(self, config, head="masked", pairs=False):
        super().__init__()
        width, narrow = config.hidden_size, config.embedding_size or config.hidden_size
        self.embeddings = nn.Embedding(config.vocab_size, narrow)
        self.project = nn.Linear(narrow, width) if narrow != width else nn.Identity()
        self.layers = nn.Sequential(*[Layer(config) for _ in range(config.layers)])
        self.head = (
            nn.Sequential(nn.Linear(width, narrow), nn.Linear(narrow, config.vocab_size))
            if head == "masked"
            else nn.Sequential(nn.Linear(width, width), nn.Linear(width, 1))
        )
        self.kind = head
        self.pair_head = nn.Sequential(nn.Linear(width, width), nn.Linear(width, 2)) if pairs else None

    def forward(self, tokens, places):
        hidden = self.layers(self.project(self.embeddings(tokens)))
        loss = self.head(hidden.flatten(0, 1)[places] if self.kind == "masked" else hidden).sum()
        return loss if self.pair_head is None else loss + self.pair_head(hidden[:, 0]).sum()


def counted(models, batch, length, masked, backward):
    tokens, places = torch.zeros(batch, length, dtype=torch.long), torch.arange(masked)
    with FlopCounterMode(display=False) as counter:
        loss = sum(model(tokens, places) for model in models)
        if backward:
            loss.backward()
    return counter.get_total_flops()


CONFIGS = [
    Config(),
    Config(architecture="modern"),
    Config(embedding_size=16),
    Config(embedding_size=32),
    Config(architecture="modern", hidden_size=64, intermediate_size=96, vocab_size=500, layers=2),
]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
def test_masked_language_model(config, pairs):
    formula = training_flops(config, batch=4, length=24, masked=14, pairs=pairs)
    assert 3 * counted([Model(config, pairs=pairs)], 4, 24, 14, backward=False) == formula
    assert counted([Model(config, pairs=pairs)], 4, 24, 14, backward=True) == formula


@pytest.mark.parametrize("config", CONFIGS)
def test_electra(config):
    small = replace(config, hidden_size=16, intermediate_size=32, embedding_size=config.hidden_size)
    models = [Model(small), Model(config, head="replaced")]
    formula = training_flops(config, batch=4, length=24, masked=14, generator=small)
    assert 3 * counted(models, 4, 24, 14, backward=False) == formula
    assert counted(models, 4, 24, 14, backward=True) == formula


def test_packed_rows_count_what_is_computed():
    # Two documents of 10 and 14 tokens in a row of 30 cost as much as two rows of such lengths.
    apart = sum(training_flops(Config(), batch=1, length=length, masked=2) for length in (10, 14))
    packed = training_flops(Config(), batch=1, length=30, masked=4, tokens=24, attended=10**2 + 14**2)
    assert packed == apart


def test_bert_base_is_what_papers_say():
    """Six operations a parameter and token, and the attention on top."""
    base = Config(vocab_size=30522, hidden_size=768, layers=12, intermediate_size=3072)
    tokens = 256 * 512
    flops = training_flops(base, batch=256, length=512, masked=0)
    assert flops == pytest.approx(6 * 85e6 * tokens + 12 * 12 * 768 * 512 * tokens, rel=0.01)


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989),
        ("NVIDIA H20", 148),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA A10G", 70),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA L40", 181),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA B200", 2250),
        ("AMD Instinct MI300X", 1307),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("Tesla V100-SXM2-16GB", None),
        ("NVIDIA H1000", None),
        ("", None),
    ],
)
def test_peaks(name, tera):
    assert peak_of_name(name) == (None if tera is None else tera * 1e12)


def test_a_cpu_has_no_peak():
    assert peak_flops(torch.device("cpu")) is None

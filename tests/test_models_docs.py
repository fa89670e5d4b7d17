"""The pages about models run as they stand."""

import re
from pathlib import Path

import pytest
import torch
import transformers  # noqa: F401 - imported here once, since it takes seconds

from maskgen.train.models import EncoderConfig, MaskedLm, generator_of

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
            exec(compile(block, page, "exec"), names)
    return names


def test_encoder_decoders_learn(tmp_path, monkeypatch, capsys):
    """T5, UL2 and BART samples train models of transformers: losses fall far below where they begin."""
    losses = run("encoder-decoders.md", tmp_path, monkeypatch)["losses"]
    assert set(losses) == {"t5", "span-corruption", "ul2", "bart"}
    for name, each in losses.items():
        first, last = sum(each[:5]) / 5, sum(each[-5:]) / 5
        assert first > 3.0, name  # of 65 ids, by chance 4.2
        assert last < 0.75 * first, name
    assert capsys.readouterr().out.count(" -> ") == 4


def test_models(tmp_path, monkeypatch):
    names = run("models.md", tmp_path, monkeypatch)
    assert names["hidden"].shape == (1, 8, 128)
    assert names["logits"].shape == (2, 30522)
    assert names["again"].config == names["config"]
    assert names["unpadding"](names["batch"])["boundaries"].tolist() == [0, 4, 7]


def test_the_table_of_sizes():
    rows = re.findall(r"^\| `(tiny|small|base|large)` \| (.*)\|$", (DOCS / "models.md").read_text(), re.MULTILINE)
    assert len(rows) == 4

    def millions(network, minus=0):
        return f"{(sum(parameter.numel() for parameter in network.parameters()) - minus) / 1e6:.1f}"

    for size, row in rows:
        configs = [EncoderConfig.of_size(size, architecture=each, vocab_size=30522) for each in ("bert", "modern")]
        generators = [generator_of(config) for config in configs]
        with torch.device("meta"):
            expected = [millions(MaskedLm(config)) for config in configs]
            expected += [millions(MaskedLm(each), 30522 * each.embedding_size) for each in generators]
        assert re.findall(r"(?<!\d)\d+\.\d", row) == expected, size
        widths = [(f"{config.hidden_size:,}", str(config.layers)) for config in configs]
        assert re.findall("([0-9,]+) \u00d7 ([0-9]+)", row) == widths
        assert f"{generators[0].hidden_size} wide" in row

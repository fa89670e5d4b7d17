"""The pages about models run as they stand."""

import re

import torch
import transformers  # noqa: F401 - imported here once, since it takes seconds
from doc_pages import ROOT, run_page

from maskgen.train.models import EncoderConfig, MaskedLm, generator_of


def test_encoder_decoders_learn(tmp_path, monkeypatch, capsys):
    """T5, UL2 and BART samples train models of transformers: losses fall far below where they begin."""
    monkeypatch.chdir(tmp_path)
    names, _ = run_page("docs/encoder-decoders.md", capsys)
    losses = names["losses"]
    assert set(losses) == {"t5", "span-corruption", "ul2", "bart"}
    for name, each in losses.items():
        first, last = sum(each[:5]) / 5, sum(each[-5:]) / 5
        assert first > 3.0, name  # of 65 ids, by chance 4.2
        assert last < 0.75 * first, name
    assert capsys.readouterr().out.count(" -> ") == 4


def test_models(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, _ = run_page("docs/models.md", capsys)
    assert names["hidden"].shape == (1, 8, 128)
    assert names["logits"].shape == (2, 30522)
    assert names["again"].config == names["config"]
    assert names["unpadding"](names["batch"])["boundaries"].tolist() == [0, 4, 7]


def test_the_table_of_sizes():
    rows = re.findall(r"^\| `(tiny|small|base|large)` \| (.*)\|$", (ROOT / "docs/models.md").read_text(), re.MULTILINE)
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

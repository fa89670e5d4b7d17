"""The networks of a run: what they learn from, what of them is exported, and what transformers makes of it."""

from dataclasses import replace

import pytest
import torch
import transformers
from tokenizer_files import SPECIAL
from torch.nn import functional
from train_runs import PIECES, tiny, write_corpus

from maskgen import Vocab, to_hf
from maskgen.train import loop
from maskgen.train.data import open_data
from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from maskgen.train.models import build_masked_lm, generator_of, load_pretrained, save_pretrained
from maskgen.train.setup import build_networks, new_config

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def run(settings):
    with World.start("cpu") as world:
        return loop.train(settings, world)


def first_batch(settings, samples=8):
    batch = open_data(settings).samples.batch(range(samples))
    return batch, {name: torch.as_tensor(array) for name, array in batch.items()}


RUNS = {
    "mlm, bert": ({}, {"model": "MaskedLM"}),
    "mlm, bert, pairs": ({"next_sentence": True}, {"model": "PreTraining"}),
    "mlm, modern": ({"architecture": "modern"}, {"model": "MaskedLM"}),
    "electra, bert": ({"objective": "electra"}, {"model": "PreTraining", "generator": "MaskedLM"}),
    "electra, modern": (
        {"objective": "electra", "architecture": "modern"}, {"model": "TokenClassification", "generator": "MaskedLM"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_what_a_run_leaves_is_whole_for_transformers(tmp_path, corpus, name):
    """No tensor is missing, left over or drawn anew, and logits of what AutoTokenizer gives are the same."""
    changes, folders = RUNS[name]
    run(tiny(tmp_path, *corpus, steps=2, **changes))
    for folder, head in folders.items():
        path = tmp_path / "run" / folder
        auto = getattr(transformers, f"AutoModelFor{head}")
        theirs, report = auto.from_pretrained(path, output_loading_info=True)
        assert not any(report.values())
        ours = load_pretrained(path).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        inputs = tokenizer(["w1 w2 [MASK] w5", "w7"], ["w3 w6", "w9 [MASK]"], padding=True, return_tensors="pt")
        vocab = Vocab.from_tokenizer(corpus[1])
        assert inputs["input_ids"][0, [0, 3, 5]].tolist() == vocab.ids("cls", "mask", "sep")
        bert = "bert" in name
        assert ("token_type_ids" in inputs) is bert
        given = {"padding_mask": inputs["attention_mask"]}
        if bert:
            assert inputs["token_type_ids"].sum(1).tolist() == [3, 3]
            given["token_types"] = inputs["token_type_ids"]
        with torch.no_grad():
            found = theirs.eval()(**inputs)
            logits = found.prediction_logits if "pairs" in name else found.logits
            real = inputs["attention_mask"].bool()
            expected = ours(inputs["input_ids"], **given)
            torch.testing.assert_close(logits.view_as(expected)[real], expected[real], **CLOSE)
            if "pairs" in name:
                expected = ours.pair_logits(inputs["input_ids"], **given)
                torch.testing.assert_close(found.seq_relationship_logits, expected, **CLOSE)
        if head == "MaskedLM":
            assert theirs.get_output_embeddings().weight is theirs.get_input_embeddings().weight


@pytest.mark.parametrize("form", ["file", "folder"])
def test_roles_that_were_chosen_are_those_of_the_exported_tokenizer(tmp_path, form):
    prefix, tokenizer = write_corpus(tmp_path)
    pieces = ["<blank>" if piece == "[MASK]" else piece for piece in PIECES]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    if form == "folder":
        vocabulary = {piece: id_ for id_, piece in enumerate(pieces)}
        tokenizer = transformers.BertTokenizer(vocab=vocabulary, mask_token="[UNK]")
        tokenizer.save_pretrained(tmp_path / "tokenizer")
        tokenizer = str(tmp_path / "tokenizer")
    run(tiny(tmp_path, prefix, tokenizer, steps=1, roles={"mask": "<blank>"}))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "run/model")
    assert theirs.mask_token == "<blank>"
    assert theirs("w1 <blank>w2")["input_ids"][1:-1] == [6, SPECIAL.index("[MASK]"), 7]


def test_losses_are_those_of_transformers(tmp_path, corpus):
    """Of the same batch: masked tokens, and pairs whose is_random is Hugging Face's next_sentence_label."""
    settings = tiny(tmp_path, *corpus, next_sentence=True, dropout=0.0)
    data = open_data(settings)
    networks = build_networks(settings, data.vocab)
    save_pretrained(networks.exported["model"], tmp_path / "model")
    theirs = transformers.BertForPreTraining.from_pretrained(tmp_path / "model")
    arrays, batch = first_batch(settings)
    assert 0 < arrays["is_random"].sum() < 8
    given = {name: torch.as_tensor(array) for name, array in to_hf(arrays, next_sentence=True).items()}
    torch.testing.assert_close(networks.objective(batch), theirs(**given).loss, **CLOSE)


@pytest.mark.parametrize("architecture", ["bert", "modern"])
def test_both_networks_of_electra_learn_and_share_embeddings(tmp_path, corpus, architecture):
    settings = tiny(tmp_path, *corpus, objective="electra", architecture=architecture)
    vocab = Vocab.from_tokenizer(corpus[1])
    objective = build_networks(settings, vocab).objective
    _, batch = first_batch(settings)
    generator, discriminator = objective.generator, objective.discriminator
    words = discriminator.word_embeddings.weight
    assert generator.word_embeddings.weight is words
    shown = []
    handle = discriminator.register_forward_pre_hook(lambda _module, inputs: shown.append(inputs[0]))
    measured = objective.measure(batch, generator=torch.Generator().manual_seed(1))
    handle.remove()
    for term, network in (("mlm", generator), ("disc", discriminator)):
        weight = network.layers[0].up.weight
        both = torch.autograd.grad(measured.sums[term], (words, weight), retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in both), term
    other = torch.autograd.grad(measured.sums["disc"], generator.layers[0].up.weight, allow_unused=True)
    assert other == (None,)
    masked = batch["loss_mask"].bool()
    original = torch.where(masked, batch["labels"], batch["text"])
    assert torch.equal(shown[0][~masked], original[~masked])
    assert measured.figures["disc_positive"] == (shown[0] != original).sum() > 0
    assert not torch.isin(shown[0], torch.tensor([vocab.mask_id, *range(len(vocab), 128)])).any()
    logits = objective.discriminator_head(discriminator(shown[0], **objective.encoder_inputs(batch)))
    assert logits.shape == masked.shape


def test_ids_that_no_token_has_are_never_sampled(tmp_path, corpus):
    """Neither those of rounding, nor those of a larger embedding that a folder brings."""
    vocab = Vocab.from_tokenizer(corpus[1])
    settings = tiny(tmp_path, *corpus, objective="electra")
    assert build_networks(settings, vocab).objective.never_sampled[-28:] == tuple(range(100, 128))
    whole = replace(new_config(settings, vocab), vocab_size=300)
    networks = build_networks(settings, vocab, {"model": whole.to_json(), "generator": generator_of(whole).to_json()})
    assert networks.objective.never_sampled == (*range(5), *range(100, 300))


def test_what_a_folder_decides_and_what_the_settings_do(tmp_path, corpus):
    vocab = Vocab.from_tokenizer(corpus[1])
    settings = tiny(tmp_path, *corpus)
    model = build_masked_lm(replace(new_config(settings, vocab), layers=1), seed=5)
    save_pretrained(model, tmp_path / "model")
    given = replace(settings, init_from=(str(tmp_path / "model"),))
    for dropout, expected in ((None, 0.1), (0.3, 0.3)):
        network = build_networks(replace(given, dropout=dropout), vocab).exported["model"]
        assert (network.config.layers, network.config.dropout, network.config.attention_dropout) == (
            1, expected, expected,
        )  # fmt: skip
        assert all(map(torch.equal, network.state_dict().values(), model.state_dict().values()))


def test_a_folder_with_one_token_type_is_for_samples_of_one_part(tmp_path, corpus):
    vocab = Vocab.from_tokenizer(corpus[1])
    settings = tiny(tmp_path, *corpus)
    save_pretrained(build_masked_lm(replace(new_config(settings, vocab), type_vocab_size=1)), tmp_path / "model")
    given = replace(settings, init_from=(str(tmp_path / "model"),))
    with pytest.raises(TrainError, match="model: one token type; expected 2"):
        build_networks(given, vocab)
    build_networks(replace(given, scheme="roberta"), vocab)


def test_a_generator_without_its_factors_is_refused(tmp_path, corpus):
    settings = tiny(tmp_path, *corpus, steps=1, objective="electra", architecture="modern")
    run(settings)
    folders = tuple(str(tmp_path / "run" / name) for name in ("model", "generator"))
    again = replace(settings, output=str(tmp_path / "again"), init_from=folders)
    with pytest.raises(TrainError, match=r"generator: embeddings of 64 numbers; expected 128, .*; leave it out"):
        run(again)
    run(replace(again, init_from=folders[:1]))


@pytest.mark.parametrize("architecture", ["bert", "modern"])
def test_bf16_stays_near_float32(tmp_path, corpus, architecture):
    settings = tiny(tmp_path, *corpus, architecture=architecture, dropout=0.0)
    objective = build_networks(settings, Vocab.from_tokenizer(corpus[1])).objective
    _, batch = first_batch(settings)
    exact = objective(batch)
    with torch.autocast("cpu", torch.bfloat16):
        near = objective(batch)
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, exact, rtol=0.01, atol=0.0)
    assert functional.mse_loss(near, exact) > 0

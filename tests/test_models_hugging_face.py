"""Networks and folders of Hugging Face: the same logits, and there and back without loss."""

import json

import pytest
import torch
import transformers
from model_cases import config, discriminator, masked_lm, packed_batch, padded_batch, shaken
from safetensors.torch import load_file, save_file
from tokenizer_files import write_bpe, write_tokenizer, write_vocabulary

from maskgen.train.errors import TrainError
from maskgen.train.models import (
    Discriminator,
    EncoderConfig,
    MaskedLm,
    build_masked_lm,
    encoder_inputs,
    generator_of,
    load_pretrained,
    save_pretrained,
)
from preprocess import load_tokenizer

CLOSE = {"rtol": 0, "atol": 1e-5}
SIZES = {"vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
         "intermediate_size": 48, "max_position_embeddings": 40, "pad_token_id": 3}  # fmt: skip
NO_IDS = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
NETWORKS = {
    "BertForMaskedLM": masked_lm,
    "BertForPreTraining": lambda: masked_lm(pairs=True),
    "ElectraForMaskedLM": lambda: masked_lm(embedding_size=16),
    "ElectraForPreTraining": discriminator,
    "ModernBertForMaskedLM": lambda: masked_lm("modern"),
    "ModernBertForTokenClassification": lambda: discriminator("modern"),
}
FOREIGN = {
    "BertForMaskedLM": ({"hidden_dropout_prob": 0.2, "layer_norm_eps": 1e-7}, transformers.BertConfig),
    "BertForPreTraining": ({"type_vocab_size": 3, "classifier_dropout": 0.3}, transformers.BertConfig),
    "ElectraForMaskedLM": ({"embedding_size": 16, "summary_type": "mean"}, transformers.ElectraConfig),
    "ElectraForPreTraining": ({"embedding_size": 32, "attention_probs_dropout_prob": 0.0}, transformers.ElectraConfig),
    "ModernBertForMaskedLM": (
        {
            "layer_types": ["full_attention"] * 3,
            "norm_eps": 1e-6,
            "mlp_dropout": 0.1,
            "embedding_dropout": 0.1,
            **NO_IDS,
        },
        transformers.ModernBertConfig,
    ),
    "ModernBertForTokenClassification": (
        {"global_attn_every_n_layers": 1, "num_labels": 1, "local_attention": 64, **NO_IDS},
        transformers.ModernBertConfig,
    ),
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def foreign(name, folder, **changes):
    """A network of transformers, saved by it."""
    facts, kind = FOREIGN[name]
    with torch.random.fork_rng():
        torch.manual_seed(11)
        network = shaken(getattr(transformers, name)(kind(**{**SIZES, **facts, **changes})))
    network.save_pretrained(folder)
    return network


def their_inputs(batch):
    inputs = {"input_ids": batch["text"], "attention_mask": batch["padding_mask"]}
    if "types" in batch:
        inputs["token_type_ids"] = torch.where(batch["padding_mask"].bool(), batch["types"], 0)
    return inputs


def their_logits(network, batch):
    inputs = their_inputs(batch)
    if "ModernBert" in type(network).__name__:
        inputs.pop("token_type_ids", None)
    with torch.no_grad():
        output = network(**inputs)
    logits = output.prediction_logits if "prediction_logits" in output else output.logits
    pairs = output.get("seq_relationship_logits")
    return (logits.squeeze(-1) if "TokenClassification" in type(network).__name__ else logits), pairs


def assert_same_logits(ours, theirs, batch):
    expected, pairs = their_logits(theirs, batch)
    with torch.no_grad():
        found = ours(batch["text"], **encoder_inputs(batch))
        torch.testing.assert_close(found, expected, **CLOSE)
        assert expected.std() > 0.1
        if pairs is not None:
            torch.testing.assert_close(ours.pair_logits(batch["text"], **encoder_inputs(batch)), pairs, **CLOSE)


@pytest.mark.parametrize("name", NETWORKS)
def test_transformers_computes_the_same_logits(tmp_path, name):
    network = NETWORKS[name]()
    save_pretrained(network, tmp_path / "model")
    assert json.loads((tmp_path / "model/config.json").read_text())["architectures"] == [name]
    theirs, report = getattr(transformers, name).from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report.values()), report
    assert_same_logits(network, theirs.eval(), padded_batch())
    assert_same_logits(network, theirs.eval(), padded_batch((20, 20)))


@pytest.mark.parametrize(
    "name", ["BertForMaskedLM", "BertForPreTraining", "ElectraForMaskedLM", "ModernBertForMaskedLM"]
)
def test_auto_model_finds_the_class(tmp_path, name):
    network = NETWORKS[name]()
    save_pretrained(network, tmp_path)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    batch = padded_batch()
    torch.testing.assert_close(their_logits(theirs, batch)[0], network(batch["text"], **encoder_inputs(batch)), **CLOSE)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_there_and_back_loses_nothing(tmp_path, name, dtype):
    theirs = foreign(name, tmp_path / "theirs")
    if dtype != torch.float32:
        theirs = theirs.to(dtype)
        theirs.save_pretrained(tmp_path / "theirs")
    ours = load_pretrained(tmp_path / "theirs")
    if dtype == torch.float32:
        assert_same_logits(ours.eval(), theirs, padded_batch())
    save_pretrained(ours, tmp_path / "ours")
    before, after = (load_file(tmp_path / folder / "model.safetensors") for folder in ("theirs", "ours"))
    assert before.keys() == after.keys()
    for tensor in before:
        assert before[tensor].dtype == after[tensor].dtype == dtype
        assert torch.equal(before[tensor].view(torch.uint8), after[tensor].view(torch.uint8)), tensor
    configs = [transformers.AutoConfig.from_pretrained(tmp_path / folder).to_dict() for folder in ("theirs", "ours")]
    for each in configs:
        del each["_name_or_path"]
    assert configs[0] == configs[1]
    again = load_pretrained(tmp_path / "ours")
    assert again.config == ours.config
    assert again.state_dict().keys() == ours.state_dict().keys()


def test_what_a_network_has_no_use_for_stays_with_it(tmp_path):
    """A pooler without a head, settings of classifiers, and the idle bias of an untied head."""
    foreign("BertForMaskedLM", tmp_path, tie_word_embeddings=False, id2label={0: "a", 1: "b", 2: "c"})
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["bert.pooler.dense.weight"] = torch.randn(32, 32)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours = load_pretrained(tmp_path)
    assert isinstance(ours, MaskedLm)
    assert ours.pair_head is None
    assert not ours.config.tie_embeddings
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    assert_same_logits(ours.eval(), theirs, padded_batch())
    save_pretrained(ours, tmp_path / "again")
    after = load_file(tmp_path / "again/model.safetensors")
    assert tensors.keys() == after.keys()
    assert all(torch.equal(tensors[name], after[name]) for name in tensors)
    assert json.loads((tmp_path / "again/config.json").read_text())["id2label"] == {"0": "a", "1": "b", "2": "c"}


@pytest.mark.parametrize("name", ["BertForMaskedLM", "ElectraForMaskedLM", "ModernBertForMaskedLM"])
def test_untied_networks_of_ours(tmp_path, name):
    network = masked_lm("modern" if name.startswith("Modern") else "bert", tie_embeddings=False,
                        embedding_size=16 if name.startswith("Electra") else 0)  # fmt: skip
    save_pretrained(network, tmp_path)
    theirs, report = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert_same_logits(network, theirs.eval(), padded_batch())


def test_checkpoints_as_early_releases_wrote_them(tmp_path):
    """gamma and beta, buffers, copies of tied tensors, and both heads in a BertForMaskedLM: so is bert-base-uncased."""
    theirs = foreign("BertForPreTraining", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
           for name, tensor in tensors.items()}  # fmt: skip
    old["bert.embeddings.position_ids"] = torch.arange(40)[None]
    old["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    old["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    save_file(old, tmp_path / "model.safetensors")
    settings = json.loads((tmp_path / "config.json").read_text())
    defaults = ("tie_word_embeddings", "is_decoder", "add_cross_attention", "initializer_range")
    early = {name: value for name, value in settings.items() if name not in defaults}
    early |= {"architectures": ["BertForMaskedLM"], "position_embedding_type": "absolute"}
    (tmp_path / "config.json").write_text(json.dumps(early))
    ours = load_pretrained(tmp_path).eval()
    assert ours.pair_head is not None
    assert_same_logits(ours, theirs, padded_batch())
    del old["cls.predictions.bias"]  # and some have the other name alone
    save_file(old, tmp_path / "model.safetensors")
    assert_same_logits(load_pretrained(tmp_path).eval(), theirs, padded_batch())
    old["cls.predictions.decoder.weight"][0, 0] += 1
    save_file(old, tmp_path / "model.safetensors")
    with pytest.raises(TrainError, match=r"decoder.weight other than bert.embeddings.word_embeddings.weight"):
        load_pretrained(tmp_path)


def test_positions_and_bases_of_modernbert_before_release_5(tmp_path):
    theirs = foreign("ModernBertForMaskedLM", tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    for name in ("layer_types", "rope_parameters"):
        del settings[name]
    settings |= {"global_attn_every_n_layers": 1, "global_rope_theta": 500.0, "local_rope_theta": 10000.0}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    ours = load_pretrained(tmp_path).eval()
    assert ours.config.rotary_base == 500.0
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    assert_same_logits(ours, theirs, padded_batch())
    save_pretrained(ours, tmp_path / "again")
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "again").eval()
    assert_same_logits(ours, theirs, padded_batch())


def test_factorised_modern_networks_are_saved_as_one_factor(tmp_path):
    """The generator of a modern ELECTRA: Hugging Face has no class with both factors."""
    network = shaken(build_masked_lm(generator_of(config("modern"), 0.5)))
    assert (network.config.embedding_size, network.config.hidden_size) == (32, 16)
    save_pretrained(network, tmp_path)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    assert_same_logits(network, theirs, padded_batch())
    assert load_pretrained(tmp_path).config.embedding_size == 16


def test_packed_rows_are_what_transformers_computes_of_documents(tmp_path):
    network, batch = masked_lm("modern"), packed_batch(rows=((5, 9, 4),))
    save_pretrained(network, tmp_path)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    logits = network(batch["text"], **encoder_inputs(batch))
    for start, end in ((0, 5), (5, 14), (14, 18)):
        alone = theirs(input_ids=batch["text"][:, start:end]).logits
        torch.testing.assert_close(logits[:, start:end], alone, **CLOSE)


def test_a_state_takes_the_place_of_the_networks_own(tmp_path):
    full, shell = masked_lm(), build_masked_lm(config())
    save_pretrained(shell, tmp_path, state=full.state_dict())
    again = load_pretrained(tmp_path, dtype=torch.float64)
    assert all(torch.equal(a.double(), b) for a, b in zip(full.parameters(), again.parameters(), strict=True))
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_saving_again_replaces_and_leaves_nothing_else(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    save_pretrained(masked_lm(), tmp_path)
    save_pretrained(discriminator(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert isinstance(load_pretrained(tmp_path), Discriminator)


def make_tokenizer(folder, form):
    folder.mkdir()
    if form == "vocab.txt":
        return write_vocabulary(folder)
    if form == "tokenizer.json":
        return write_tokenizer(folder)
    write_bpe(folder)
    return str(folder)


TEXTS = ["hello world", "The token, unaffable слово!", "he he [MASK] of 한국"]


@pytest.mark.parametrize("form", ["vocab.txt", "tokenizer.json", "byte-bpe"])
@pytest.mark.parametrize("architecture", ["bert", "modern"])
def test_auto_tokenizer_has_the_roles_and_the_ids(tmp_path, form, architecture):
    path = make_tokenizer(tmp_path / "tokenizer", form)
    ours = load_tokenizer(path, engine="reference")
    network = build_masked_lm(config(architecture, vocab_size=ours.vocabulary_size, pad_id=0))
    save_pretrained(network, tmp_path / "model", tokenizer=path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert theirs.model_max_length == 40
    for role in ("cls", "sep", "mask", "pad", "unk", "bos", "eos"):
        assert getattr(theirs, f"{role}_token_id") == getattr(ours.roles, role), role
    plain, lengths = ours.encode_batch(TEXTS)
    found = [theirs(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    assert [id_ for ids in found for id_ in ids] == plain.tolist()
    if ours.roles.cls is not None:
        pair = theirs("hello", "world")
        one, two = (theirs(text, add_special_tokens=False)["input_ids"] for text in ("hello", "world"))
        cls, sep = ours.roles.cls, ours.roles.sep
        assert pair["input_ids"] == [cls, *one, sep, *two, sep]
        assert ("token_type_ids" in pair) is (architecture == "bert")
        if architecture == "bert":
            assert pair["token_type_ids"] == [0] * (len(one) + 2) + [1] * (len(two) + 1)
        padded = theirs(TEXTS, padding=True, return_tensors="pt")
        assert padded["attention_mask"].sum(1).tolist() == [length + 2 for length in lengths.tolist()]
    if architecture == "modern":
        settings = json.loads((tmp_path / "model/config.json").read_text())
        assert settings["cls_token_id"] == ours.roles.cls
    # A folder that is complete is copied as it is.
    save_pretrained(network, tmp_path / "again", tokenizer=tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    assert load_tokenizer(tmp_path / "again", engine="reference").roles == ours.roles


def test_a_tokenizer_with_more_ids_than_the_network_is_refused(tmp_path):
    path = write_vocabulary(tmp_path)
    with pytest.raises(TrainError, match=r"found ids up to \d+; expected fewer than the 61"):
        save_pretrained(masked_lm(), tmp_path / "model", tokenizer=path)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_the_logits_of_whole_sizes(tmp_path):
    for architecture, size in (("bert", "base"), ("bert", "small"), ("modern", "base")):
        whole = EncoderConfig.of_size(size, architecture=architecture, vocab_size=1024, max_positions=128, pad_id=3)
        network = build_masked_lm(whole).eval()
        save_pretrained(network, tmp_path / size)
        theirs = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / size).eval()
        batch = padded_batch((128, 60), width=128)
        with torch.no_grad():
            found = network(batch["text"], **encoder_inputs(batch))
        torch.testing.assert_close(found, their_logits(theirs, batch)[0], **CLOSE)

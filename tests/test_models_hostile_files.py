"""Folders that are not what they say: one line that names file, what was found and what was expected, and no memory."""

import json
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import discriminator, masked_lm
from safetensors.torch import load_file, save_file

from maskgen.train.errors import TrainError
from maskgen.train.models import load_pretrained, save_pretrained

WORDS = "bert.embeddings.word_embeddings.weight"


@pytest.fixture
def folder(tmp_path):
    save_pretrained(masked_lm(), tmp_path)
    return tmp_path


def refused(folder, message):
    with pytest.raises(TrainError, match=message) as caught:
        load_pretrained(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < 600


def change(folder, **settings_):
    path = folder / "config.json"
    facts = json.loads(path.read_text())
    for name, value in settings_.items():
        facts[name] = value
        if value is ...:
            del facts[name]
    path.write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"architectures": None}, "found architectures None; expected one of BertForMaskedLM, .*ElectraForPreTraining"),
        ({"architectures": ["GPT2LMHeadModel"]}, r"found architectures \['GPT2LMHeadModel'\]; expected one"),
        ({"architectures": ["BertForMaskedLM", "BertModel"]}, "found architectures"),
        ({"architectures": [3]}, r"found architectures \[3\]"),
        ({"architectures": "x" * 1000}, r"found architectures 'x+\.\.\.; expected"),
        ({"model_type": "roberta"}, "found model_type 'roberta' for BertForMaskedLM; expected 'bert'"),
        ({"model_type": ...}, "found model_type None"),
        ({"hidden_act": "relu"}, "found hidden_act 'relu'; expected 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "found position_embedding_type 'relative_key'"),
        ({"is_decoder": True}, "found is_decoder True; expected False"),
        ({"hidden_size": "32"}, "hidden_size is '32'"),
        ({"hidden_size": 10**15}, "hidden_size is 1000000000000000"),
        ({"num_hidden_layers": 10**9}, "layers is 1000000000"),
        ({"vocab_size": -5}, "vocab_size is -5"),
        ({"vocab_size": None}, "vocab_size is None"),
        ({"num_attention_heads": 5}, "heads is 5; expected a divisor of hidden_size 32"),
        ({"pad_token_id": 61}, "pad_id is 61"),
        ({"tie_word_embeddings": "yes"}, "tie_embeddings is 'yes'"),
        ({"hidden_dropout_prob": [0.1]}, r"dropout is \[0.1\]"),
        # Sizes that disagree with the tensors.
        ({"vocab_size": 62}, r"word_embeddings.weight of shape \[61, 32\]; expected \[62, 32\] by config.json"),
        ({"vocab_size": 1 << 24}, r"shape \[61, 32\]; expected \[16777216, 32\]"),
        ({"num_hidden_layers": 4}, r"found no tensor bert.encoder.layer.3.attention"),
        ({"num_hidden_layers": 2}, r"BertForMaskedLM does not have \(bert.encoder.layer.2.* and 13 more\)"),
        ({"intermediate_size": 64}, r"intermediate.dense.weight of shape \[48, 32\]; expected \[64, 32\]"),
        ({"tie_word_embeddings": False}, "found no tensor cls.predictions.decoder.weight"),
        ({"architectures": ["BertForPreTraining"]}, "found no tensor bert.pooler.dense.weight"),
        ({"architectures": ["ElectraForMaskedLM"], "model_type": "electra"}, "found no tensor electra.embeddings"),
    ],
)  # fmt: skip
def test_settings(folder, settings_, message):
    change(folder, **settings_)
    refused(folder, message)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"layer_types": ["full_attention", "sliding_attention", "full_attention"]}, "found layers with local"),
        ({"layer_types": "full"}, "found layers with local"),
        ({"layer_types": ..., "global_attn_every_n_layers": 3}, "found layers with local .* attention"),
        ({"layer_types": ..., "global_attn_every_n_layers": ...}, "found layers with local"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "found rope_parameters .*'yarn'"),
        ({"rope_parameters": [1]}, "found rope_parameters"),
        ({"rope_scaling": {"factor": 2}}, "found rope_parameters"),
        ({"rope_parameters": {"full_attention": {"rope_theta": "1e4"}}}, "rotary_base is '1e4'"),
        ({"norm_bias": True}, "found norm_bias True; expected False"),
        ({"decoder_bias": False}, "found decoder_bias False; expected True"),
        ({"embedding_dropout": 0.5}, "found embedding_dropout 0.5 and mlp_dropout 0.0; expected one"),
        ({"attention_dropout": 0.1}, "attention_dropout is 0.1; expected 0 for the architecture modern"),
        ({"architectures": ["ModernBertForTokenClassification"], "num_labels": 3}, "of 3 labels; expected 1"),
        ({"architectures": ["ModernBertForTokenClassification"], "id2label": {"0": "a", "1": "b"}}, "of 2 labels"),
    ],
)  # fmt: skip
def test_settings_of_modern_networks(tmp_path, settings_, message):
    save_pretrained(masked_lm("modern"), tmp_path)
    change(tmp_path, **settings_)
    refused(tmp_path, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no JSON"),
        (b"{", "found no JSON"),
        (b"\xff\xfe", "found no JSON"),
        (b"[1]", "found a list; expected a JSON object"),
        (b"[" * 100_000, "found no JSON"),
        (b" " * (1 << 24) + b"{}", "found 16777218 bytes; expected a small file"),
    ],
)
def test_config_files(folder, content, message):
    (folder / "config.json").write_bytes(content)
    refused(folder, message)


def test_files_that_are_not_there(folder, tmp_path):
    refused(tmp_path / "nowhere", "config.json: cannot be read .No such file")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, r"found config.json, pytorch_model.bin; expected model.safetensors in one piece")
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    refused(folder, "cannot be read .Is a directory")


def rewrite(folder, edit):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda tensors: tensors.pop(WORDS), f"found no tensor {WORDS}; expected one of shape .61, 32."),
        (lambda tensors: tensors.update({WORDS: torch.zeros(32, 61)}), r"of shape \[32, 61\]; expected \[61, 32\]"),
        (lambda tensors: tensors.update({WORDS: torch.zeros(61 * 32)}), r"of shape \[1952\]; expected \[61, 32\]"),
        (lambda tensors: tensors.update({WORDS: torch.zeros(61, 32).char()}), "of type torch.int8; expected"),
        (
            lambda tensors: tensors.update({WORDS: torch.zeros(61, 32).to(torch.float8_e4m3fn)}),
            "of type torch.float8_e4m3fn; expected float32",
        ),
        (lambda tensors: tensors.update(surprise=torch.zeros(1)), r"tensors that BertForMaskedLM .* \(surprise\)"),
        (
            lambda tensors: tensors.update(
                {"bert.encoder.layer.1.attention.self.key.bias": torch.zeros(32, dtype=torch.float16)}
            ),
            "layer.1.attention.self.query.bias torch.float32, .*expected one type for the three",
        ),
    ],
)  # fmt: skip
def test_tensors(folder, edit, message):
    rewrite(folder, edit)
    refused(folder, message)


def header(text, padding=b""):
    return struct.pack("<Q", len(text)) + text + padding


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 4,
        struct.pack("<Q", 1 << 60) + b"{}",
        header(b"{"),
        header(b"[]"),
        header(b'{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}', b"\x00" * 8),
        header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', b"\x00" * 8),
        header(b'{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}', b"\x00" * 8),
    ],
)
def test_weights_that_are_no_safetensors(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, "model.safetensors: found no complete safetensors file")


def test_weights_cut_short_anywhere(folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    for length in (*range(0, 200, 7), len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(folder, "found no complete safetensors file")
    path.write_bytes(content + b"\x00")
    refused(folder, "found no complete safetensors file")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
NAMES = {"masked": masked_lm, "discriminator": discriminator, "modern": lambda: masked_lm("modern")}


@pytest.mark.parametrize("which", NAMES)
@settings(max_examples=60)
@given(data=st.data())
def test_any_value_of_any_setting_loads_or_is_refused(tmp_path_factory, which, data):
    folder = tmp_path_factory.mktemp("model")
    save_pretrained(NAMES[which](), folder)
    facts = json.loads((folder / "config.json").read_text())
    name = data.draw(st.sampled_from([*facts, "position_embedding_type", "rope_scaling", "id2label", "hidden_act"]))
    change(folder, **{name: data.draw(VALUES)})
    try:
        network = load_pretrained(folder)
    except TrainError as error:
        message = str(error)
    else:
        message = ""
        save_pretrained(network, folder / "again")
        load_pretrained(folder / "again")
    assert "\n" not in message


def test_a_full_disk_and_a_file_in_the_way(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(TrainError, match=r"cannot write the model .Not a directory"):
        save_pretrained(masked_lm(), tmp_path / "file" / "model")
    network = masked_lm()
    save_pretrained(network, tmp_path / "model")
    before = (tmp_path / "model/model.safetensors").read_bytes()

    def full(*_arguments, **_keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TrainError, match=r"cannot write the model .No space left on device"):
        save_pretrained(discriminator(), tmp_path / "model")
    assert (tmp_path / "model/model.safetensors").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]

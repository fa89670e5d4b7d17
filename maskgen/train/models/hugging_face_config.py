"""config.json of Hugging Face, read and written: sizes under their names, and what our encoders do not have refused.

config.json --read_config--> class, EncoderConfig, settings of no concern to us --written_config--> config.json
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from maskgen.train.errors import TrainError
from maskgen.train.models.config import EncoderConfig
from maskgen.train.models.hugging_face_names import MODEL_TYPES, MODERN, MODERN_DISCRIMINATOR

_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "pad_id": "pad_token_id",
    "initializer_range": "initializer_range",
    "tie_embeddings": "tie_word_embeddings",
}
_BERT = _SIZES | {
    "type_vocab_size": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "norm_eps": "layer_norm_eps",
}
_ELECTRA = _BERT | {"embedding_size": "embedding_size"}
_MODERN = _SIZES | {"dropout": "mlp_dropout", "attention_dropout": "attention_dropout", "norm_eps": "norm_eps"}
FIELDS: Mapping[str, Mapping[str, str]] = {"bert": _BERT, "electra": _ELECTRA, "modernbert": _MODERN}

# What Hugging Face takes where a file is silent.
_BERT_DEFAULTS = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-12, "pad_token_id": 0, "initializer_range": 0.02,
    "tie_word_embeddings": True,
}  # fmt: skip
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "bert": _BERT_DEFAULTS,
    "electra": _BERT_DEFAULTS | {
        "hidden_size": 256, "embedding_size": 128, "num_attention_heads": 4, "intermediate_size": 1024,
    },
    "modernbert": {
        "vocab_size": 50368, "hidden_size": 768, "num_hidden_layers": 22, "num_attention_heads": 12,
        "intermediate_size": 1152, "max_position_embeddings": 8192, "mlp_dropout": 0.0, "attention_dropout": 0.0,
        "norm_eps": 1e-5, "pad_token_id": 50283, "initializer_range": 0.02, "tie_word_embeddings": True,
    },
}  # fmt: skip
# Settings that have to be as they are here, which is also what silence means.
_BERT_FIXED: Mapping[str, Any] = {
    "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False,
}  # fmt: skip
FIXED: Mapping[str, Mapping[str, Any]] = {
    "bert": _BERT_FIXED,
    "electra": _BERT_FIXED,
    "modernbert": {
        "hidden_activation": "gelu", "classifier_activation": "gelu", "norm_bias": False, "attention_bias": False,
        "mlp_bias": False, "classifier_bias": False, "decoder_bias": True,
    },
}  # fmt: skip
ROTARY_BASE = 160_000.0  # ModernBERT's, where a file is silent
ROLES = ("bos", "eos", "cls", "sep")


class ReadConfig(NamedTuple):
    """A class of Hugging Face, our configuration of it, and the whole file."""

    kind: str
    config: EncoderConfig
    settings: dict[str, Any]


def read_config(settings: Any, path: str) -> ReadConfig:
    """Check a config.json, and say it in our words."""
    if not isinstance(settings, dict):
        raise TrainError(f"{path}: found a {type(settings).__name__}; expected a JSON object; check the file")
    kind = _kind(settings, path)
    model_type = MODEL_TYPES[kind]
    for name, fixed in FIXED[model_type].items():
        if settings.get(name, fixed) != fixed:
            raise TrainError(
                f"{path}: found {name} {_short(settings[name])}; expected {fixed!r}, the only one that can be "
                "computed here; use another checkpoint"
            )
    facts = {
        ours: settings.get(theirs, DEFAULTS[model_type].get(theirs)) for ours, theirs in FIELDS[model_type].items()
    }
    facts["architecture"] = "modern" if model_type == "modernbert" else "bert"
    if model_type == "modernbert":
        facts["rotary_base"] = _rotary_base(settings, path)
        _check_modern(settings, kind, path)
    try:
        return ReadConfig(kind, EncoderConfig.from_json(facts), settings)
    except TrainError as error:
        raise TrainError(f"{path}: {error}") from error


def written_config(
    config: EncoderConfig, kind: str, settings: Mapping[str, Any], dtype: str | None, ids: Mapping[str, int | None]
) -> dict[str, Any]:
    """The config.json of a network: what it is, over the `settings` of the file it came from, if it came from one."""
    model_type = MODEL_TYPES[kind]
    result = dict(settings)
    facts = config.to_json()
    result.update({theirs: facts[ours] for ours, theirs in FIELDS[model_type].items()})
    if model_type == "modernbert":
        rope = result.get("rope_parameters")
        full = {"rope_type": "default", "rope_theta": config.rotary_base}
        result["rope_parameters"] = {**(rope if isinstance(rope, dict) else {}), "full_attention": full}
        result["layer_types"] = ["full_attention"] * config.layers
        if not settings or "global_attn_every_n_layers" in settings:  # how releases before 5 say the same
            result["global_attn_every_n_layers"], result["global_rope_theta"] = 1, config.rotary_base
        result["embedding_dropout"] = config.dropout
    if kind == MODERN_DISCRIMINATOR:
        result.setdefault("id2label", {"0": "replaced"})
        result.setdefault("label2id", {"replaced": 0})
    if not settings and model_type == "modernbert":
        # Its defaults are ids of ModernBERT's own vocabulary.
        result.update({f"{role}_token_id": ids.get(role) for role in ROLES})
    result.pop("torch_dtype", None)
    result.pop("dtype", None)
    if dtype is not None:
        result["dtype"] = dtype
    return {**result, "architectures": [kind], "model_type": model_type}


def _kind(settings: Mapping[str, Any], path: str) -> str:
    known = ", ".join(kind for kind in MODEL_TYPES if kind != MODERN_DISCRIMINATOR)
    classes = settings.get("architectures")
    kind = classes[0] if isinstance(classes, list) and len(classes) == 1 else classes
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        raise TrainError(
            f"{path}: found architectures {_short(classes)}; expected one of {known}; use another checkpoint"
        )
    model_type = settings.get("model_type")
    if model_type != MODEL_TYPES[kind]:
        raise TrainError(
            f"{path}: found model_type {_short(model_type)} for {kind}; expected {MODEL_TYPES[kind]!r}; check the file"
        )
    return kind


def _rotary_base(settings: Mapping[str, Any], path: str) -> Any:
    rope = settings.get("rope_parameters") or {}
    full = rope.get("full_attention") or {} if isinstance(rope, dict) else None
    scaled = settings.get("rope_scaling")
    if not isinstance(full, dict) or full.get("rope_type", "default") != "default" or scaled:
        raise TrainError(
            f"{path}: found rope_parameters {_short(rope or scaled)}; expected rope_type 'default' for full_attention; "
            "use another checkpoint"
        )
    return full.get("rope_theta", settings.get("global_rope_theta", ROTARY_BASE))


def _check_modern(settings: Mapping[str, Any], kind: str, path: str) -> None:
    every, layers = settings.get("global_attn_every_n_layers", 3), settings.get("num_hidden_layers", 22)
    types = settings.get("layer_types")
    if types is None:
        local = every != 1 and layers != 1
    else:
        local = not isinstance(types, list) or any(each != "full_attention" for each in types)
    if local:
        raise TrainError(
            f"{path}: found layers with local (sliding) attention; expected full_attention in all of them "
            "(layer_types, or global_attn_every_n_layers 1); use another checkpoint"
        )
    drops = [settings.get(f"{place}_dropout", 0.0) for place in ("embedding", "mlp")]
    if drops[0] != drops[1]:
        raise TrainError(
            f"{path}: found embedding_dropout {_short(drops[0])} and mlp_dropout {_short(drops[1])}; expected one "
            "value for both; change one of them"
        )
    if kind == MODERN_DISCRIMINATOR:
        labels = settings.get("id2label", settings.get("num_labels", 2))
        count = len(labels) if isinstance(labels, dict) else labels
        if count != 1:
            raise TrainError(
                f"{path}: found {MODERN_DISCRIMINATOR} of {_short(count)} labels; expected 1, as a discriminator has, "
                f"or {MODERN}; use another checkpoint"
            )


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."

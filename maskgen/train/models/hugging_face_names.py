"""Under which names Hugging Face keeps the tensors of our networks.

    our name --names_of--> one name, or three whose tensors follow each other in ours (query, key, value)

Only names and places differ: every tensor goes there and back bit for bit.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from maskgen.train.errors import TrainError
from maskgen.train.models.config import EncoderConfig
from maskgen.train.models.networks import Discriminator, MaskedLm

Network = MaskedLm | Discriminator
State = Mapping[str, Tensor]
BERT, PAIRS = "BertForMaskedLM", "BertForPreTraining"
GENERATOR, DISCRIMINATOR = "ElectraForMaskedLM", "ElectraForPreTraining"
MODERN, MODERN_DISCRIMINATOR = "ModernBertForMaskedLM", "ModernBertForTokenClassification"
MODEL_TYPES: Mapping[str, str] = {
    BERT: "bert", PAIRS: "bert", GENERATOR: "electra", DISCRIMINATOR: "electra",
    MODERN: "modernbert", MODERN_DISCRIMINATOR: "modernbert",
}  # fmt: skip
_MLM_HEAD = "cls.predictions.transform"
_HEADS: Mapping[str, Mapping[str, str]] = {
    BERT: {"head.dense": f"{_MLM_HEAD}.dense", "head.norm": f"{_MLM_HEAD}.LayerNorm"},
    GENERATOR: {"head.dense": "generator_predictions.dense", "head.norm": "generator_predictions.LayerNorm"},
    DISCRIMINATOR: {
        "head.dense": "discriminator_predictions.dense",
        "head.classifier": "discriminator_predictions.dense_prediction",
    },
    MODERN: {"head.dense": "head.dense", "head.norm": "head.norm"},
    MODERN_DISCRIMINATOR: {"head.dense": "head.dense", "head.norm": "head.norm", "head.classifier": "classifier"},
}
_DECODERS = {BERT: "cls.predictions.decoder", GENERATOR: "generator_lm_head", MODERN: "decoder"}
_BERT_EMBEDDINGS = {
    "word_embeddings": "embeddings.word_embeddings",
    "position_embeddings": "embeddings.position_embeddings",
    "type_embeddings": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    "projection": "embeddings_project",
}
_BERT_LAYER = {
    "attention.qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.out": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "mlp_norm": ("output.LayerNorm",),
}
_MODERN_EMBEDDINGS = {
    "word_embeddings": "embeddings.tok_embeddings",
    "embedding_norm": "embeddings.norm",
    "final_norm": "final_norm",
}
_MODERN_LAYER = {
    "attention_norm": ("attn_norm",),
    "attention.qkv": ("attn.Wqkv",),
    "attention.out": ("attn.Wo",),
    "mlp_norm": ("mlp_norm",),
    "up": ("mlp.Wi",),
    "down": ("mlp.Wo",),
}


def class_of(network: Network) -> str:
    """The class of Hugging Face that computes what this network does."""
    modern = network.config.architecture == "modern"
    if isinstance(network, Discriminator):
        return MODERN_DISCRIMINATOR if modern else DISCRIMINATOR
    if modern:
        return MODERN
    if network.pair_head is not None:
        return PAIRS
    electra = network.config.factorised or network.foreign.settings.get("model_type") == "electra"
    return GENERATOR if electra else BERT


def names_of(ours: str, kind: str, config: EncoderConfig) -> tuple[str, ...]:
    """Their names for one of our tensors, for a class of theirs."""
    module, _, last = ours.rpartition(".")
    heads = BERT if kind == PAIRS else kind
    if ours == "head.bias":
        tied_bert = heads == BERT and config.tie_embeddings
        return ("cls.predictions.bias" if tied_bert else f"{_DECODERS[heads]}.bias",)
    if module == "head.decoder":
        return (f"{_DECODERS[heads]}.{last}",)
    if module in _HEADS[heads]:
        return (f"{_HEADS[heads][module]}.{last}",)
    if module.startswith("pair_head."):
        return ({"pair_head.pooler": "bert.pooler.dense", "pair_head.classifier": "cls.seq_relationship"}[module]
                + f".{last}",)  # fmt: skip
    module = module.removeprefix("encoder.")
    bert = config.architecture == "bert"
    prefix = MODEL_TYPES[kind] if bert else "model"
    if module.startswith("layers."):
        _, number, part = module.split(".", 2)
        theirs = (_BERT_LAYER if bert else _MODERN_LAYER)[part]
        layers = "encoder.layer" if bert else "layers"
        return tuple(f"{prefix}.{layers}.{number}.{each}.{last}" for each in theirs)
    return (f"{prefix}.{(_BERT_EMBEDDINGS if bert else _MODERN_EMBEDDINGS)[module]}.{last}",)


def exported(state: State, kind: str, config: EncoderConfig) -> dict[str, Tensor]:
    """A state of ours under their names."""
    result = {}
    for ours, tensor in state.items():
        names = names_of(ours, kind, config)
        # Tensors in a file share no memory: pieces are copied.
        pieces = [tensor] if len(names) == 1 else [piece.clone() for piece in tensor.chunk(len(names))]
        result.update({name: piece.detach().contiguous() for name, piece in zip(names, pieces, strict=True)})
    if kind in (BERT, PAIRS) and not config.tie_embeddings:
        # Their untied head has two biases, and adds the decoder's alone.
        result.setdefault("cls.predictions.bias", result["cls.predictions.decoder.bias"].clone())
    return result


def folded(state: State) -> dict[str, Tensor]:
    """A modern state with factorised embeddings, with their product in place of both factors."""
    result = dict(state)
    factor = result.pop("encoder.projection.weight")
    words = result["encoder.word_embeddings.weight"]
    result["encoder.word_embeddings.weight"] = (words.double() @ factor.double().t()).to(words.dtype)
    return result


def expected_shapes(network: Network, kind: str) -> Iterator[tuple[str, tuple[str, ...], tuple[int, ...]]]:
    """Of each of our tensors: our name, theirs, and the shape of each of theirs."""
    for ours, tensor in network.state_dict().items():
        names = names_of(ours, kind, network.config)
        yield ours, names, (tensor.shape[0] // len(names), *tensor.shape[1:])


def imported(network: Network, kind: str, tensors: dict[str, Tensor], path: str) -> dict[str, Tensor]:
    """Their tensors as a state of ours; those that are used are taken out of `tensors`."""
    state = {}
    for ours, names, _ in expected_shapes(network, kind):
        pieces = [tensors.pop(name) for name in names]
        if len({piece.dtype for piece in pieces}) > 1:
            types = ", ".join(f"{name} {piece.dtype}" for name, piece in zip(names, pieces, strict=True))
            raise TrainError(f"{path}: found {types}; expected one type for the three; convert them")
        state[ours] = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return state

"""What comes out of somebody's network: its output, or that of one of its layers, as vectors that belong to tokens.

network(tokens, **inputs) --output or hook on a layer--> tensor --shape looked at, leading vectors off--> [B, L, width]
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from maskgen.train.errors import TrainError

Layer = int | str | None


def find_layer(network: nn.Module, layer: int | str) -> nn.Module:
    """The module that is meant: the child with this index (negative from the end), or the one with this dotted name."""
    if isinstance(layer, str):
        named: dict[str, nn.Module] = dict(network.named_modules())
        if layer in named:
            return named[layer]
        near = ", ".join(list(named)[1:9])
        raise TrainError(f"no module is named {layer!r}; expected one of {type(network).__name__}: {near}, ...; or the "
                         "index of a child; correct it")  # fmt: skip
    children = list(network.children())
    if not -len(children) <= layer < len(children):
        raise TrainError(f"layer {layer} of {type(network).__name__}, which has {len(children)} children; expected the "
                         "index of one; or pass the name of a module")  # fmt: skip
    return children[layer]


def run(network: nn.Module, tokens: Tensor, inputs: Mapping[str, Any], layer: Layer = None) -> Tensor:
    """The output of the network or, unless `layer` is None or -1, that of a layer inside of it.

    The hook is there during this call only, so that nothing keeps activations and copies of the network are clean.
    """
    if layer is None or layer == -1:
        return tensor_of(network(tokens, **inputs), network)
    module = find_layer(network, layer)
    _refuse_compiled(network, module, layer)
    caught: list[Any] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        caught[:] = [output]  # of a layer that is used again and again, the last output

    handle = module.register_forward_hook(keep)
    try:
        network(tokens, **inputs)
    finally:
        handle.remove()
    if not caught:
        raise TrainError(
            f"layer {layer!r} was not called by {type(network).__name__}; expected one that it uses; name another"
        )
    return tensor_of(caught[0], module)


def _refuse_compiled(network: nn.Module, module: nn.Module, layer: int | str) -> None:
    for outer in network.modules():
        compiled = hasattr(outer, "_orig_mod") or getattr(outer, "_compiled_call_impl", None) is not None
        if compiled and outer is not module and any(inner is module for inner in outer.modules()):
            raise TrainError(f"layer {layer!r} is inside of a compiled module, which does not see hooks; expected a "
                             "network that is not; compile its layers one by one")  # fmt: skip


def tensor_of(output: Any, module: nn.Module) -> Tensor:
    """The tensor in an output: itself, ``last_hidden_state`` or ``logits``, or the first of a tuple."""
    for value in (output, getattr(output, "last_hidden_state", None), getattr(output, "logits", None)):
        if isinstance(value, Tensor):
            return value
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], Tensor):
        return output[0]
    raise TrainError(
        f"{type(module).__name__} returned a {type(output).__name__}; expected a tensor, or something with "
        "last_hidden_state or logits; wrap it"
    )


def of_tokens(vectors: Tensor, tokens: Tensor, drop_leading: int, network: nn.Module) -> Tensor:
    """The vectors of the tokens, [B, L, width], without those that the network put before them."""
    rows, length = tokens.shape
    if vectors.dim() != 3 or vectors.shape[:2] != (rows, length + drop_leading):
        raise TrainError(
            f"{type(network).__name__} returned the shape {list(vectors.shape)} for tokens {[rows, length]}; expected "
            f"{[rows, length + drop_leading, '...']} with drop_leading={drop_leading}; set drop_leading to the number "
            "of vectors that it puts before the tokens"
        )
    return vectors[:, drop_leading:]


def numbers_of_tokens(values: Tensor, tokens: Tensor, drop_leading: int, network: nn.Module) -> Tensor:
    """One number a token, [B, L], of an output with or without a last dimension of 1."""
    if values.dim() == 2:
        values = values.unsqueeze(2)
    if values.dim() == 3 and values.shape[2] != 1:
        raise TrainError(
            f"{type(network).__name__} returned {values.shape[2]} numbers a token; expected one logit: original or "
            "replaced; pass discr_dim, or a discriminator_head"
        )
    return of_tokens(values, tokens, drop_leading, network).squeeze(2)

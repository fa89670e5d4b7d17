"""Networks in folders as Hugging Face keeps them: config.json, model.safetensors, and the tokenizer's files.

    folder --config.json--> network without weights --shapes agree?--> model.safetensors --> MaskedLm | Discriminator
    network --> the same files, readable by from_pretrained

What a file says is checked against the other before anything is read into memory. Files are written under temporary
names and renamed, config.json last.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from maskgen.train.errors import TrainError
from maskgen.train.models.config import EncoderConfig
from maskgen.train.models.hugging_face_config import read_config, written_config
from maskgen.train.models.hugging_face_names import (
    BERT,
    DISCRIMINATOR,
    MODERN_DISCRIMINATOR,
    PAIRS,
    Network,
    class_of,
    expected_shapes,
    exported,
    folded,
    imported,
    names_of,
)
from maskgen.train.models.networks import Discriminator, Foreign, MaskedLm
from maskgen.train.models.tokenizer_files import read_tokenizer_files

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LARGEST_CONFIG = 1 << 24
_PAIR_TENSORS = frozenset(
    f"{module}.{name}" for module in ("bert.pooler.dense", "cls.seq_relationship") for name in ("weight", "bias")
)
# Buffers that older releases saved, and tensors without use: a pooler without a head, the second bias of an untied one.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_UNUSED = frozenset({*_PAIR_TENSORS, "cls.predictions.bias"})


def save_pretrained(
    network: Network,
    folder: str | os.PathLike[str],
    *,
    tokenizer: str | os.PathLike[str] | None = None,
    roles: Mapping[str, str] | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a network so that ``AutoModelForMaskedLM.from_pretrained(folder)`` and the like load it.

    The class is BertForMaskedLM, BertForPreTraining (with a head for pairs), ElectraForMaskedLM (embeddings with a size
    of their own), ElectraForPreTraining (a discriminator), ModernBertForMaskedLM, or for modern discriminators
    ModernBertForTokenClassification with one label. `tokenizer`, a file or folder, is written beside it, for
    AutoTokenizer, with the special tokens that `roles` names where the usual names do not apply. `state` takes the
    place of ``network.state_dict()``, for networks whose weights are in shards.
    """
    path = os.fspath(folder)
    config, kind = network.config, class_of(network)
    files = None if tokenizer is None else read_tokenizer_files(tokenizer, config, roles)
    tensors = dict(network.state_dict() if state is None else state)
    if config.architecture == "modern" and config.factorised:
        tensors, config = folded(tensors), replace(config, embedding_size=0)
    tensors = exported(tensors, kind, config) | network.foreign.tensors
    types = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}
    settings = written_config(
        config, kind, network.foreign.settings, types.pop() if len(types) == 1 else None, files.ids if files else {}
    )
    try:
        os.makedirs(path, exist_ok=True)
        _write(os.path.join(path, WEIGHTS), lambda partial: _save_tensors(tensors, partial))
        for name, content in (files.contents if files else {}).items():
            _write_bytes(os.path.join(path, name), content)
        _write_bytes(os.path.join(path, CONFIG), (json.dumps(settings, indent=2, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise TrainError(
            f"{path}: cannot write the model ({error.strerror or error}); expected a folder with room; free some, or "
            "choose another"
        ) from error


def load_pretrained(folder: str | os.PathLike[str], *, dtype: torch.dtype | None = None) -> Network:
    """A network from a folder of Hugging Face, ours or another's.

    Tensors keep their types unless `dtype` names one: training wants ``torch.float32``. What the network has no use for
    stays in ``network.foreign`` and is saved again with it.
    """
    path = os.fspath(folder)
    kind, config, settings = read_config(_read_json(os.path.join(path, CONFIG)), os.path.join(path, CONFIG))
    weights = os.path.join(path, WEIGHTS)
    if not os.path.isfile(weights):
        others = sorted(name for name in os.listdir(path) if name.endswith((".bin", ".json", ".safetensors")))
        raise TrainError(
            f"{path}: found {_few(others) or 'no files'}; expected {WEIGHTS} in one piece; load and save the "
            "model with transformers to have it so"
        )
    with _opened(weights) as file:
        on_disk = {_modern_name(name): name for name in file.keys() if not name.endswith(_BUFFERS)}  # noqa: SIM118
        if kind == BERT and on_disk.keys() >= _PAIR_TENSORS:
            kind = PAIRS
        with torch.device("meta"):
            network: Network = (
                Discriminator(config) if kind in (DISCRIMINATOR, MODERN_DISCRIMINATOR)
                else MaskedLm(config, pairs=kind == PAIRS)
            )  # fmt: skip
        _rename_bias(on_disk, config)
        shapes = {name: file.get_slice(there).get_shape() for name, there in on_disk.items()}
        copies = _check_tensors(network, kind, shapes, weights)
        tensors = {name: file.get_tensor(there).clone() for name, there in on_disk.items()}
    _check_types(tensors, weights)
    for copy, original in copies.items():
        if not torch.equal(tensors.pop(copy), tensors[original]):
            raise TrainError(
                f"{weights}: found {copy} other than {original}; expected the same, since {CONFIG} does not say "
                "tie_word_embeddings false; correct it there"
            )
    network.load_state_dict(imported(network, kind, tensors, weights), assign=True)
    network.foreign = Foreign(settings, tensors)
    return network if dtype is None else network.to(dtype)


def _read_json(path: str) -> Any:
    try:
        if os.path.getsize(path) > LARGEST_CONFIG:
            raise TrainError(f"{path}: found {os.path.getsize(path)} bytes; expected a small file; check the path")
        with open(path, "rb") as file:
            return json.loads(file.read())
    except OSError as error:
        raise TrainError(
            f"{path}: cannot be read ({error.strerror}); expected the {CONFIG} of a model; check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise TrainError(
            f"{path}: found no JSON ({error}); expected the settings of a model; check the file"
        ) from error


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise TrainError(
            f"{path}: found no complete safetensors file ({text}); expected tensors; copy or save the file again"
        ) from error


def _modern_name(name: str) -> str:
    """Early checkpoints of BERT say gamma and beta for the weight and bias of a layer norm."""
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(f"LayerNorm{old}"):
            return name.removesuffix(old) + new
    return name


def _rename_bias(on_disk: dict[str, str], config: EncoderConfig) -> None:
    """BERT's head has its one bias under two names, and files have either."""
    used, other = "cls.predictions.bias", "cls.predictions.decoder.bias"
    if not config.tie_embeddings:
        used, other = other, used
    if other in on_disk and used not in on_disk:
        on_disk[used] = on_disk.pop(other)


def _check_tensors(network: Network, kind: str, shapes: Mapping[str, list[int]], path: str) -> dict[str, str]:
    """Refuse what is missing, of another shape or too many. Returns copies of tied tensors, and of what."""
    used = set()
    for _, names, shape in expected_shapes(network, kind):
        for name in names:
            if name not in shapes:
                raise TrainError(
                    f"{path}: found no tensor {name}; expected one of shape {list(shape)} for {kind} as {CONFIG} "
                    "describes it; check that both files are of the same model"
                )
            if tuple(shapes[name]) != shape:
                raise TrainError(
                    f"{path}: found {name} of shape {list(shapes[name])}; expected {list(shape)} by {CONFIG}; check "
                    "that both files are of the same model"
                )
            used.add(name)
    copies = {}
    if isinstance(network, MaskedLm) and network.config.tie_embeddings:
        ties = {"head.decoder.weight": "encoder.word_embeddings.weight", "head.decoder.bias": "head.bias"}
        named = {names_of(a, kind, network.config)[0]: names_of(b, kind, network.config)[0] for a, b in ties.items()}
        copies = {copy: original for copy, original in named.items() if copy in shapes and copy not in used}
    unknown = sorted(set(shapes) - used - set(copies) - _UNUSED)
    if unknown:
        raise TrainError(
            f"{path}: found tensors that {kind} does not have ({_few(unknown)}); expected only its own; check that "
            f"{CONFIG} is of the same model"
        )
    return copies


def _check_types(tensors: Mapping[str, Tensor], path: str) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.element_size() < 2:
            raise TrainError(
                f"{path}: found {name} of type {tensor.dtype}; expected float32, bfloat16 or float16; use a checkpoint "
                "that is not quantised"
            )


def _save_tensors(tensors: Mapping[str, Tensor], path: str) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({name: tensor.cpu() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(None, " ".join(str(error).split())) from error


def _write_bytes(path: str, content: bytes) -> None:
    def write(partial: str) -> None:
        with open(partial, "wb") as file:
            file.write(content)

    _write(path, write)


def _write(path: str, write: Callable[[str], None]) -> None:
    partial = f"{path}.partial"
    try:
        write(partial)
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

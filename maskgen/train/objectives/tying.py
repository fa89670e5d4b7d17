"""Embeddings that two networks share: ELECTRA's generator reads and writes with those of the discriminator.

names --> parameters of both --> the discriminator's, wherever the generator has its own (a tied output layer too)
"""

from collections.abc import Iterable

from torch import nn

from maskgen.train.errors import TrainError


def tie(
    generator: nn.Module,
    discriminator: nn.Module,
    names: bool | Iterable[str | tuple[str, str]] = True,
    *,
    heads: Iterable[nn.Module] = (),
) -> list[str]:
    """Let the generator use the discriminator's parameters; returns the names in the generator.

    `names` are dotted names of modules or parameters, pairs of them where the two networks differ, or True: every
    nn.Embedding that has the same name in both. In `heads` they are replaced as well.
    """
    pairs = _embeddings(generator, discriminator) if isinstance(names, bool) else [
        (each, each) if isinstance(each, str) else each for each in names
    ]  # fmt: skip
    tied = []
    for of_generator, of_discriminator in pairs:
        theirs, ours = _parameters(discriminator, of_discriminator), _parameters(generator, of_generator)
        if list(theirs) != list(ours):
            raise TrainError(f"{of_generator} has the parameters {list(ours)} and {of_discriminator} {list(theirs)}; "
                             "expected the same; name parameters instead")  # fmt: skip
        for name, parameter in theirs.items():
            if ours[name].shape != parameter.shape:
                raise TrainError(
                    f"{of_generator} is {list(ours[name].shape)} in the generator and {list(parameter.shape)} in the "
                    "discriminator; expected one shape; give both the same embedding size, or name what to tie"
                )
            for network in (generator, *heads):
                _replace(network, ours[name], parameter)
        tied.append(of_generator)
    return tied


def _embeddings(generator: nn.Module, discriminator: nn.Module) -> list[tuple[str, str]]:
    theirs = {name for name, module in discriminator.named_modules() if isinstance(module, nn.Embedding)}
    ours = [name for name, module in generator.named_modules() if isinstance(module, nn.Embedding) and name in theirs]
    if not ours:
        raise TrainError("no embedding has the same name in generator and discriminator; expected one; pass the names "
                         "as pairs, (generator's, discriminator's)")  # fmt: skip
    return [(name, name) for name in ours]


def _parameters(network: nn.Module, name: str) -> dict[str, nn.Parameter]:
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters(remove_duplicate=False))
    if name in parameters:
        return {"": parameters[name]}
    if not name or name not in modules:
        raise TrainError(f"no module or parameter is named {name!r} in {type(network).__name__}; correct the name")
    return dict(modules[name].named_parameters())


def _replace(network: nn.Module, old: nn.Parameter, new: nn.Parameter) -> None:
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if parameter is old:
                setattr(module, name, new)

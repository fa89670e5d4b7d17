"""From ids back to text, for the commands that show people what is in a dataset."""

import os

from tokenizers import Tokenizer

from preprocess import MaskgenError


def load_decoder(path: str) -> Tokenizer:
    """The tokenizer in a ``tokenizer.json``, or in a folder that holds one."""
    file = os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path
    try:
        return Tokenizer.from_file(file)
    except Exception as error:  # the library raises bare Exceptions
        raise MaskgenError(
            f"{file}: tokenizer: found {error}, expected a tokenizer.json; check the path, or save the tokenizer again"
        ) from None

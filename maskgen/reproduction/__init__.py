"""Reproduction: a dataset made again from what its sidecar says, and compared with it stage by stage.

sidecar --recipe--> inputs, tokenizer, options --tokenize--> the dataset again --stages--> the first that differs
"""

from maskgen.reproduction.recipe import Recipe, ReproductionError, read_recipe
from maskgen.reproduction.run import Request, Stage, reproduce

__all__ = ["Recipe", "ReproductionError", "Request", "Stage", "read_recipe", "reproduce"]

"""Masked-language-model predictions on one sequence of tokens: Megatron-LM's bits from Megatron-LM's arguments."""

from maskgen.masking.predictions import MaskedLmPredictions, MaskedSpan, create_masked_lm_predictions

__all__ = ["MaskedLmPredictions", "MaskedSpan", "create_masked_lm_predictions"]

"""``create_masked_lm_predictions``: from the tokens of one sequence to what is masked in it, and by what.

Data flow: the arguments are checked; each token gets the answer to "does its piece start a word?"; an engine draws from
the caller's generator. The two engines consume the same draws, so they may be mixed on one generator.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from maskgen.masking.generators import bit_generator_of
from maskgen.masking.settings import MaskingSettings, budget_of
from maskgen.word_starts import starts_by_table, starts_word, unknown_token


class MaskedSpan(NamedTuple):
    """One masked n-gram: the places of its tokens and what stood there."""

    index: list[int]  # type: ignore[assignment]  # Megatron-LM's name, and tuple's method
    label: list[int]


class MaskedLmPredictions(NamedTuple):
    """A masked sequence: `tokens` to show the model, `labels` to predict at `positions`, where pieces start words."""

    tokens: list[int]
    positions: list[int]
    labels: list[int]
    boundaries: list[int]
    spans: list[MaskedSpan]


def create_masked_lm_predictions(
    tokens: Sequence[int] | npt.NDArray[Any],
    vocab_id_list: Sequence[int] | npt.NDArray[Any],
    vocab_id_to_token_dict: Mapping[int, str] | Sequence[str],
    masked_lm_prob: float,
    cls_id: int,
    sep_id: int,
    mask_id: int,
    max_predictions_per_seq: float,
    np_rng: np.random.RandomState,
    max_ngrams: int = 3,
    do_whole_word_mask: bool = True,
    favor_longer_ngram: bool = False,
    do_permutation: bool = False,
    geometric_dist: bool = False,
    masking_style: str = "bert",
    *,
    permutation_rng: np.random.RandomState | None = None,
    word_starts: str | Sequence[bool] | npt.NDArray[Any] = "wordpiece",
    engine: str = "native",
) -> MaskedLmPredictions:
    """Choose words and n-grams of `tokens`, mask them, and say what was there. Always five results.

    The arguments up to `masking_style` are Megatron-LM's, in its order, and so are the results, bit for bit.
    `max_predictions_per_seq` may be a fraction and is not rounded: a cap below 1 masks nothing. `permutation_rng`
    draws the n-grams that `do_permutation` moves; it is `np_rng` by default, where Megatron-LM takes numpy's global
    generator. `word_starts` says which ids start a word: a rule on the pieces of `vocab_id_to_token_dict`
    ("wordpiece", "byte-bpe", "sentencepiece"), or a table with one truth value an id, which makes the call faster.

    >>> import numpy as np
    >>> pieces = ["[CLS]", "[SEP]", "[MASK]", "light", "##house", "keeper", "sea"]
    >>> rng = np.random.RandomState(4)
    >>> result = create_masked_lm_predictions([0, 3, 4, 5, 6, 1], range(7), pieces, 0.5, 0, 1, 2, 3, rng)
    >>> result.positions, result.labels, result.boundaries
    ([3, 4], [5, 6], [1, 1, 0, 1, 1, 1])
    """
    settings = MaskingSettings(
        masked_lm_prob,
        cls_id,
        sep_id,
        mask_id,
        max_ngrams,
        bool(do_whole_word_mask),
        bool(favor_longer_ngram),
        bool(do_permutation),
        bool(geometric_dist),
        masking_style,
    )
    if masking_style == "bert" and settings.masked_lm_prob > 0 and len(vocab_id_list) == 0:
        raise ValueError("vocab_id_list is empty; expected the ids that may replace a token")
    bit_generator_of(np_rng, "np_rng")
    permutation_rng = np_rng if permutation_rng is None else permutation_rng
    bit_generator_of(permutation_rng, "permutation_rng")
    plain = tokens.tolist() if isinstance(tokens, np.ndarray) else list(tokens)
    starts = _starts(plain, vocab_id_to_token_dict, word_starts)
    budget = budget_of(len(plain), settings.masked_lm_prob, max_predictions_per_seq)
    predict = _engine(engine)
    return predict(plain, starts, settings, budget, vocab_id_list, np_rng, permutation_rng)


Predict = Callable[
    [
        list[int],
        bytes,
        MaskingSettings,
        float,
        Sequence[int] | npt.NDArray[Any],
        np.random.RandomState,
        np.random.RandomState,
    ],
    MaskedLmPredictions,
]


def _engine(name: str) -> Predict:
    from maskgen.masking import native, reference

    engines: dict[str, Predict] = {"native": native.predict, "reference": reference.predict}
    if name not in engines:
        raise ValueError(f"engine is {name!r}; expected one of {', '.join(engines)}")
    return engines[name]


def _starts(
    tokens: list[int],
    pieces: Mapping[int, str] | Sequence[str],
    word_starts: str | Sequence[bool] | npt.NDArray[Any],
) -> bytes:
    """For each token a byte: 1 where its piece starts a word."""
    if isinstance(word_starts, str):
        starts = starts_word(word_starts)
        try:
            if tokens and min(tokens) < 0:  # which a sequence of pieces would count from its end
                raise IndexError
            return bytes([starts(pieces[token]) for token in tokens])
        except (KeyError, IndexError):
            known = pieces if isinstance(pieces, Mapping) else range(len(pieces))
            raise unknown_token(tokens, known, len(pieces)) from None
    return starts_by_table(tokens, np.asarray(word_starts, np.bool_))

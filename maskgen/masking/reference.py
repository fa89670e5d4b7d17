"""The definition of the masking in plain Python and numpy: slow, and meant to be read.

Data flow: the tokens become words (lists of places); the words, in a random order, become n-grams that fit the budget
and do not overlap; each place of an n-gram becomes [MASK], a random id, or stays; optionally other n-grams trade
places. Every draw stands in the order in which Megatron-LM makes it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.masking.predictions import MaskedLmPredictions, MaskedSpan
from maskgen.masking.settings import MaskingSettings, budget_of
from maskgen.word_starts import starts_by_table

CONTINUATION = 0.2  # the parameter of the geometric distribution of lengths
SHOWN_AS_MASK = 0.8
KEPT = 0.5  # of the rest


def predict(
    tokens: list[int],
    starts: bytes,
    settings: MaskingSettings,
    budget: float,
    vocab_ids: Sequence[int] | npt.NDArray[Any],
    rng: np.random.RandomState,
    permutation_rng: np.random.RandomState,
    drawn: list[int] | None = None,
) -> MaskedLmPredictions:
    """Mask `tokens` in place of one word after another, in a random order, until `budget` is reached.

    The lengths of n-grams that were drawn for it, also for those that found no place, are added to `drawn`.
    """
    words, boundaries = find_words(tokens, starts, settings)
    output = list(tokens)
    if settings.masked_lm_prob == 0:
        return MaskedLmPredictions(output, [], [], boundaries, [])
    order = np.arange(len(words))
    rng.shuffle(order)
    taken: set[int] = set()
    spans = []
    for ngram in choose_ngrams(words, order.tolist(), budget, settings, rng, taken, drawn=drawn):
        spans.append(MaskedSpan(ngram, [tokens[place] for place in ngram]))
        if settings.masking_style == "t5":
            for place in ngram:
                output[place] = settings.mask_id
            continue
        for place in ngram:
            if rng.random_sample() < SHOWN_AS_MASK:
                output[place] = settings.mask_id
            elif rng.random_sample() >= KEPT:
                output[place] = int(vocab_ids[rng.randint(0, len(vocab_ids))])
    rng.shuffle(order)
    if settings.do_permutation:
        moved = choose_ngrams(words, order.tolist(), budget, settings, permutation_rng, taken, by_choice=True)
        places = sorted(place for ngram in moved for place in ngram)
        sources = list(places)
        rng.shuffle(sources)
        before = list(output)
        for place, source in zip(places, sources, strict=True):
            output[place] = before[source]
    spans.sort(key=lambda span: span.index[0])
    positions = sorted(taken)
    return MaskedLmPredictions(output, positions, [tokens[place] for place in positions], boundaries, spans)


def predict_row(
    tokens: npt.NDArray[Any],
    starts: npt.NDArray[np.bool_],
    settings: MaskingSettings,
    max_predictions: float,
    vocab_ids: npt.NDArray[Any],
    rng: np.random.RandomState,
    drawn: list[int] | None = None,
) -> MaskedLmPredictions:
    """Mask one row of a batch; `starts` says of each id of the vocabulary whether its piece starts a word."""
    plain = tokens.tolist()
    budget = budget_of(len(plain), settings.masked_lm_prob, max_predictions)
    return predict(plain, starts_by_table(plain, starts), settings, budget, vocab_ids, rng, rng, drawn)


def find_words(tokens: list[int], starts: bytes, settings: MaskingSettings) -> tuple[list[list[int]], list[int]]:
    """The places of each word, and for each token whether a word starts there ([CLS] and [SEP] do, and are no words).

    A piece that continues a word joins the last one, even across a [SEP].
    """
    words: list[list[int]] = []
    boundaries = [1] * len(tokens)
    specials = (settings.cls_id, settings.sep_id)
    for place, token in enumerate(tokens):
        if token in specials:
            continue
        boundaries[place] = starts[place]
        if settings.do_whole_word_mask and words and not starts[place]:
            words[-1].append(place)
        else:
            words.append([place])
    return words, boundaries


def choose_ngrams(
    words: list[list[int]],
    order: list[int],
    budget: float,
    settings: MaskingSettings,
    rng: np.random.RandomState,
    taken: set[int],
    by_choice: bool = False,
    drawn: list[int] | None = None,
) -> Iterator[list[int]]:
    """Yield n-grams (their places) that start at the words of `order`, avoid `taken`, and together fit `budget`.

    One length is drawn a word, also for words that are covered or do not fit. An n-gram that is too long for what is
    left of the budget gives up its last words. `taken` grows by what is yielded.
    """
    draw, skip = length_draws(settings, rng, by_choice or not settings.geometric_dist)
    chosen = 0
    for done, word in enumerate(order):
        if chosen >= budget:
            return
        if chosen + 1 > budget:  # nothing fits any more, yet each word that is left consumes its draw
            skip(len(order) - done)
            return
        length = draw()
        if drawn is not None:
            drawn.append(length)
        if chosen + len(words[word]) > budget:
            continue
        ngram = [place for each in words[word : word + length] for place in each]
        while chosen + len(ngram) > budget:
            length -= 1
            ngram = [place for each in words[word : word + length] for place in each]
        if taken.isdisjoint(ngram):
            taken.update(ngram)
            chosen += len(ngram)
            yield ngram


def length_draws(
    settings: MaskingSettings, rng: np.random.RandomState, by_choice: bool
) -> tuple[Callable[[], int], Callable[[int], object]]:
    """A function that draws the length of an n-gram, and one that consumes the draws of so many. One double a draw."""
    if by_choice:
        cumulative = settings.cumulative.tolist()  # a list: bisect on it is faster than numpy's searchsorted on one key
        return lambda: bisect_right(cumulative, rng.random_sample()) + 1, rng.random_sample
    # A double of exactly 0, once in 2^53 draws, would be a length of 0.
    return lambda: min(max(rng.geometric(CONTINUATION), 1), settings.max_ngrams), rng.random_sample

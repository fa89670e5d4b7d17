"""The masking against Megatron-LM's own results, and both generators' state after each call."""

import gzip
import json

import numpy as np
import pytest
from helpers import GOLDEN

from maskgen import create_masked_lm_predictions

VOCABULARY = (GOLDEN / "bert-base-uncased-vocab.txt").read_text(encoding="utf-8").splitlines()
PIECES = dict(enumerate(VOCABULARY))
IDS = list(range(len(VOCABULARY)))


def cases(name):
    with gzip.open(GOLDEN / f"{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize(("name", "count"), [("masking", 400), ("masking_edge", 120)])
def test_golden(name, count, engine):
    found = 0
    for case in cases(name):
        rng, global_rng = np.random.RandomState(case["seed"]), np.random.RandomState(case["global_seed"])
        arguments = dict(case["input"])
        result = create_masked_lm_predictions(
            arguments.pop("tokens"),
            IDS,
            PIECES,
            arguments.pop("masked_lm_prob"),
            101,
            102,
            103,
            arguments.pop("max_predictions_per_seq"),
            rng,
            **arguments,
            permutation_rng=global_rng,
            engine=engine,
        )
        expected = {"spans": [], **case["output"]}
        assert json.loads(json.dumps(result._asdict())) == expected, case["input"]
        assert rng.random_sample() == case["next_double"], case["input"]
        assert global_rng.random_sample() == case["next_global_double"], case["input"]
        found += 1
    assert found == count


def test_the_global_generator_reproduces_the_original():
    """Megatron-LM's permutation draws from numpy's global generator; it may be passed."""
    case = next(case for case in cases("masking") if case["input"]["do_permutation"])
    arguments = dict(case["input"])
    global_rng = np.random.mtrand._rand
    before = global_rng.get_state()
    try:
        global_rng.seed(case["global_seed"])
        result = create_masked_lm_predictions(
            arguments.pop("tokens"),
            IDS,
            PIECES,
            arguments.pop("masked_lm_prob"),
            101,
            102,
            103,
            arguments.pop("max_predictions_per_seq"),
            np.random.RandomState(case["seed"]),
            **arguments,
            permutation_rng=global_rng,
        )
        assert result.tokens == case["output"]["tokens"]
        assert global_rng.random_sample() == case["next_global_double"]
    finally:
        global_rng.set_state(before)

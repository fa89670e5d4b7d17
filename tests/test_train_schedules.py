"""Learning rates and masking rates at points computed by hand."""

import math

import pytest

from maskgen.train.errors import TrainError
from maskgen.train.schedules import KINDS, LearningRate, Ramp


@pytest.mark.parametrize(
    ("rate", "points"),
    [
        (LearningRate("linear", 8.0, steps=10, warmup=2), {0: 4, 1: 8, 2: 8, 4: 6, 6: 4, 9: 1, 10: 0, 99: 0}),
        (LearningRate("linear", 8.0, steps=10, warmup=2, final=0.5), {2: 8, 6: 6, 10: 4, 11: 4}),
        (LearningRate("linear", 8.0, steps=4), {0: 8, 1: 6, 3: 2}),
        (LearningRate("linear", 8.0, steps=4, warmup=4), {0: 2, 3: 8, 4: 0}),
        (LearningRate("cosine", 2.0, steps=12), {0: 2, 3: 1 + math.sqrt(0.5), 4: 1.5, 6: 1, 8: 0.5, 12: 0, 13: 0}),
        (LearningRate("cosine", 2.0, steps=16, warmup=4, final=0.1), {0: 0.5, 3: 2, 4: 2, 10: 1.1, 16: 0.2}),
        (LearningRate("wsd", 4.0, steps=20, warmup=4, decay=9), {0: 1, 3: 4, 4: 4, 11: 4, 12: 4 * 2 / 3, 15: 4 / 3}),
        (LearningRate("wsd", 4.0, steps=20, warmup=4, decay=9, final=0.25), {11: 4, 12: 3, 15: 2, 20: 1, 21: 1}),
        (LearningRate("wsd", 4.0, steps=40), {0: 4, 36: 4, 37: 2, 40: 0}),
        (LearningRate("wsd", 4.0, steps=20, decay=0), {19: 4, 20: 0}),
        (LearningRate("wsd", 4.0, steps=2, warmup=2), {0: 2, 1: 4}),
        (LearningRate("constant", 3.0, steps=10, warmup=3), {0: 1, 2: 3, 3: 3, 1000: 3}),
    ],
)
def test_learning_rate_by_hand(rate, points):
    assert {step: rate.at(step) for step in points} == pytest.approx(points, abs=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_rates_stay_between_zero_and_the_peak_and_never_rise_after_the_warmup(kind):
    rates = [LearningRate(kind, 1e-3, steps=100, warmup=10).at(step) for step in range(120)]
    assert all(0 <= rate <= 1e-3 for rate in rates)
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert max(rates) == 1e-3


def test_a_longer_wsd_run_is_the_same_before_the_decay():
    short, long = LearningRate("wsd", 1.0, steps=100, decay=20), LearningRate("wsd", 1.0, steps=500, decay=20)
    assert [short.at(step) for step in range(81)] == [long.at(step) for step in range(81)]
    assert short.at(82) < long.at(82)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kind": "exponential"}, "'exponential'; expected one of linear, cosine, wsd, constant"),
        ({"peak": 0.0}, "peak learning rate 0.0"),
        ({"peak": math.nan}, "peak learning rate nan"),
        ({"peak": math.inf}, "peak learning rate inf"),
        ({"steps": 0}, "over 0 steps"),
        ({"warmup": 11}, "11 steps of warmup; expected them to fit into the 10"),
        ({"warmup": -1}, "-1 steps of warmup"),
        ({"kind": "wsd", "warmup": 5, "decay": 6}, "5 steps of warmup and 6 of decay"),
        ({"kind": "wsd", "decay": -1}, "-1 of decay"),
        ({"decay": 3}, "belongs to 'wsd'"),
        ({"final": 1.5}, "final learning rate 1.5"),
        ({"final": -0.1}, "final learning rate -0.1"),
        ({"kind": "constant", "final": 0.1}, "ends at its peak"),
    ],
)
def test_a_bad_schedule_is_refused_when_it_is_made(arguments, said):
    with pytest.raises(TrainError) as error:
        LearningRate(**{"kind": "linear", "peak": 1.0, "steps": 10, **arguments})
    assert said in str(error.value)


def test_ramp():
    ramp = Ramp.parse("0.3:0.15")
    assert ramp == Ramp(0.3, 0.15)
    assert [ramp.at(share) for share in (-1, 0, 1 / 3, 1, 2)] == pytest.approx([0.3, 0.3, 0.25, 0.15, 0.15])
    over = ramp.over(300)
    assert [over(consumed) for consumed in (0, 100, 300, 400)] == pytest.approx([0.3, 0.25, 0.15, 0.15])
    assert over(0) == 0.3
    assert over(300) == 0.15
    assert Ramp.parse("0.15") == Ramp(0.15, 0.15)
    assert Ramp.parse("0.15").over(300) == 0.15


@pytest.mark.parametrize("text", ["", "x", "0.3:", ":0.3", "0.3:0.2:0.1", "0", "-0.1", "1.5", "0.3:1.5", "nan"])
def test_a_bad_ramp_is_refused(text):
    with pytest.raises(TrainError, match="masking rate"):
        Ramp.parse(text)


def test_a_ramp_over_nothing_is_refused():
    with pytest.raises(TrainError, match="over 0 samples"):
        Ramp(0.3, 0.2).over(0)

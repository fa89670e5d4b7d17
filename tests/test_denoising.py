"""Writing step by step with models that can be worked out by hand; each defect of XLM's predictor has a test here."""

import math

import numpy as np
import pytest
import torch
from denoising_models import EOS, MASK, PAD, VOCAB, Mixing, Table, certain
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from maskgen.collators import Example, Seq2SeqPredCollator
from maskgen.train import TrainError
from maskgen.train.denoising import Denoiser, History, Tally, seq2seq_token_accuracy
from maskgen.train.denoising.positions import STRATEGIES, chosen, errors
from maskgen.train.denoising.sampling import restricted, row_seed, sampled
from maskgen.train.denoising.schedule import SCHEDULES, budget, schedule_of
from maskgen.vocab import Vocab


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def denoiser(model, **others):
    return Denoiser(model, **{"mask_id": MASK, "pad_id": PAD, "eos_id": EOS, **others})


def orders(model, width, **others):
    """Which places are filled at each step of one row of masks."""
    history = History()
    denoiser(model, **others).fill(torch.full((1, width), MASK), history=history)
    return [sorted(step.written) for step in history.rows[0].steps]


# The surest by each strategy in another order: shares of the best and of the second token at four places.
PLACES = [(0.50, 0.48), (0.60, 0.05), (0.55, 0.45), (0.45, 0.08)]


def four_places():
    return Table(torch.stack([certain(5, best, second=(6, second)) for best, second in PLACES]))


def expected_errors(strategy):
    rest = VOCAB - 5
    spread = [[best, second, *[(1 - best - second) / rest] * rest] for best, second in PLACES]
    return {
        "top": [1 - best for best, _ in PLACES],
        "gap": [1 - (best - second) for best, second in PLACES],
        "entropy": [-sum(share * math.log(share) for share in shares if share > 1e-9) for shares in spread],
    }[strategy]


@pytest.mark.parametrize(
    ("strategy", "order"), [("top", [1, 2, 0, 3]), ("gap", [1, 3, 2, 0]), ("entropy", [2, 0, 1, 3])]
)
def test_the_surest_is_first(strategy, order):
    found = errors(four_places().logits.softmax(-1), strategy)
    assert found.tolist() == pytest.approx(expected_errors(strategy), abs=1e-5)
    assert sorted(range(4), key=expected_errors(strategy).__getitem__) == order
    assert orders(four_places(), 4, confidence=strategy, temperature=0.0) == [[place] for place in order]
    halves = [sorted(order[:2]), sorted(order[2:])]
    assert orders(four_places(), 4, confidence=strategy, temperature=0.0, max_steps=2) == halves


@pytest.mark.parametrize("strategy", ["top", "gap", "entropy"])
def test_a_threshold_bounds_the_sum_of_errors(strategy):
    """The defect: with the indices of cummax in place of its values, almost all was filled at the first step."""
    found = expected_errors(strategy)
    order = sorted(range(4), key=found.__getitem__)
    ordered = [found[place] for place in order]
    for count in range(1, 5):  # the errors before the last of `count` fit, one more does not
        threshold = sum(ordered[: count - 1]) + ordered[count - 1] / 2
        steps = orders(four_places(), 4, confidence=strategy, temperature=0.0, threshold=threshold)
        assert steps[0] == sorted(order[:count])
        assert sorted(place for step in steps for place in step) == [0, 1, 2, 3]
    assert orders(four_places(), 4, confidence=strategy, threshold=0.0) == [[place] for place in order]


def test_a_gap_threshold_of_many_unsure_places_fills_one_a_step():
    table = Table(certain(5, 0.3, second=(6, 0.29)).expand(64, VOCAB))
    assert [len(step) for step in orders(table, 64, confidence="gap", threshold=0.5)] == [1] * 64


def test_a_threshold_never_slows_down_what_the_schedule_says():
    table = Table(certain(5, 0.2).expand(10, VOCAB))
    assert [len(step) for step in orders(table, 10, confidence="top", threshold=0.0, max_steps=4)] == [3, 3, 2, 2]
    sure = Table(certain(5, 1 - 1e-6).expand(10, VOCAB))
    assert [len(step) for step in orders(sure, 10, confidence="top", threshold=0.1, max_steps=4)] == [10]


def test_of_equals_the_first():
    table = Table(certain(5, 0.5).expand(5, VOCAB))
    assert orders(table, 5, confidence="top", max_steps=2) == [[0, 1, 2], [3, 4]]


def test_uniform_places_are_uniform():
    table, counts = Table(torch.zeros(6, VOCAB)), torch.zeros(6)
    rows = 900
    history = History(1)
    denoiser(table, max_steps=3).fill(torch.full((rows, 6), MASK), history=history)
    for row in history.rows:
        assert [len(step.written) for step in row.steps] == [2, 2, 2]
        counts[list(row.steps[0].written)] += 1
    expected = rows / 3
    assert ((counts - expected) ** 2 / expected).sum() < 20.5  # chi-square, 5 degrees of freedom, p = 0.001


def test_a_budget_rounds_up_so_that_no_step_is_empty():
    """The defect: floor(masked / steps left) fills nothing where there are more steps than masks."""
    assert [len(step) for step in orders(Mixing(), 3, max_steps=8)] == [1, 1, 1]
    assert [len(step) for step in orders(Mixing(), 7, max_steps=4)] == [2, 2, 2, 1]


def test_one_step_fills_a_row_of_masks():
    """The defect: max_steps 1 on a row of nothing but masks failed."""
    done = denoiser(Mixing(), max_steps=1).fill(torch.full((2, 9), MASK))
    assert done.steps == [1, 1]
    assert (done.ids != MASK).all()


def test_the_schedule_is_heeded():
    """The defect: noise_schedule was ignored. Shares left of 12 masks after each of 4 steps, worked out by hand."""
    lengths = {
        name: [len(step) for step in orders(Mixing(), 12, max_steps=4, noise_schedule=name)] for name in SCHEDULES
    }
    assert lengths["linear"] == [3, 3, 3, 3]
    # 0.924, 0.707, 0.383: 1 - 0.924 -> 1 of 12; 1 - 0.765 -> 3 of 11; 1 - 0.541 -> 4 of 8
    assert lengths["cosine"] == [1, 3, 4, 4]
    assert lengths["square"] == [1, 3, 4, 4]  # 15/16, 12/16, 7/16: 1/16 -> 1 of 12; 3/15 -> 3 of 11; 5/12 -> 4 of 8
    assert lengths["root"] == [6, 3, 2, 1]  # 1/2, 0.293, 0.134: 1/2 -> 6; 0.414 -> 3 of 6; 0.543 -> 2 of 3
    own = orders(Mixing(), 12, max_steps=4, noise_schedule=lambda time: 1.0 if time < 0.6 else 1 - time)
    assert [len(step) for step in own] == [1, 1, 8, 2]
    with pytest.raises(TrainError, match=r"gives 1.0 and then 1.25 at steps 0 and 1 of 4"):
        orders(Mixing(), 12, max_steps=4, noise_schedule=lambda time: 1 + time)


@given(st.integers(0, 300), st.integers(1, 60), st.sampled_from(sorted(SCHEDULES)))
def test_budgets_sum_to_the_masks(masks, steps, name):
    left, found = masks, []
    while left:
        found.append(budget(left, len(found) + 1, steps, SCHEDULES[name]))
        assert 1 <= found[-1] <= left
        left -= found[-1]
    assert sum(found) == masks
    assert len(found) <= min(steps, masks)
    if name == "linear":
        assert len(found) == 0 or max(found) - min(found) <= 1


def test_temperature_0_takes_the_likeliest():
    """The defect: the greedy branch was dead."""
    best = torch.tensor([5, 9, 3, 7])
    table = Table(torch.stack([certain(int(id_), 0.2) for id_ in best]))
    for seed in range(5):
        done = denoiser(table, temperature=0.0, max_steps=2, seed=seed).fill(torch.full((3, 4), MASK))
        assert (done.ids == best).all()
    drawn = denoiser(table, max_steps=2).fill(torch.full((50, 4), MASK)).ids
    assert (drawn != best).any()


def test_masks_and_other_special_tokens_are_never_written():
    """The defect: [MASK] could be drawn, as it has logits like any other."""
    logits = torch.zeros(8, VOCAB)
    logits[:, [MASK, PAD, 7]] = 30.0
    for options in ({}, {"temperature": 0.0}, {"top_k": 2}, {"top_p": 0.5}, {"confidence": "gap", "threshold": 1.0}):
        done = denoiser(Table(logits), never=[7], max_steps=3, **options).fill(torch.full((40, 8), MASK))
        assert not torch.isin(done.ids, torch.tensor([MASK, PAD, 7])).any()
        assert done.steps == [3 if "threshold" not in options else done.steps[0]] * 40


def test_what_is_drawn_has_the_probabilities_of_the_model():
    shares = torch.tensor([0, 0, 0.05, 0.5, 0.25, 0.2])
    logits = shares.log().clamp(min=-1e4).expand(40_000, 6)
    for temperature in (1.0, 0.5):
        ids = sampled(logits, torch.Generator().manual_seed(1), temperature)
        wanted = shares ** (1 / temperature) / (shares ** (1 / temperature)).sum()
        torch.testing.assert_close(ids.bincount(minlength=6) / len(ids), wanted, atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 2}, {3, 4}),
        ({"top_k": 99}, {2, 3, 4, 5}),
        ({"top_p": 0.5}, {3}),
        ({"top_p": 0.51}, {3, 4}),
        ({"top_p": 1e-9}, {3}),
        ({"top_p": 1.0}, {2, 3, 4, 5}),
        ({"top_k": 2, "top_p": 0.6}, {3}),  # 0.5 of 0.75 is two thirds
    ],
)
def test_top_k_and_top_p(options, kept):
    logits = torch.tensor([[0, 0, 0.05, 0.5, 0.25, 0.2]]).log()
    found = restricted(logits, 1.0, **options)
    assert set(found[0].isfinite().nonzero().squeeze(1).tolist()) == kept
    ids = sampled(logits.expand(2000, 6), torch.Generator().manual_seed(1), 1.0, **options)
    assert set(ids.tolist()) == kept
    torch.testing.assert_close(found[found.isfinite()], (logits - logits.max())[found.isfinite()])


def test_top_p_looks_at_shares_after_the_temperature():
    """Squared, 0.5 has 0.70 of the whole; as they are, 0.5 and 0.25 are the fewest with that share."""
    logits = torch.tensor([[0.05, 0.5, 0.25, 0.2]]).log()
    assert restricted(logits, 0.5, top_p=0.7).isfinite().tolist() == [[False, True, False, False]]
    assert restricted(logits, 1.0, top_p=0.7).isfinite().tolist() == [[False, True, True, False]]


def test_equals_at_the_edge_of_top_k_are_not_both_kept():
    assert restricted(torch.zeros(1, 5), 1.0, top_k=3).isfinite().tolist() == [[True] * 3 + [False] * 2]


def test_a_temperature_near_0_is_the_argmax():
    logits = torch.tensor([[1.0, 80.0, 79.9]])
    assert sampled(logits, torch.Generator().manual_seed(1), 1e-40).tolist() == [1]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.sampled_from([MASK, MASK, 5, 8]), min_size=0, max_size=9), min_size=1, max_size=5),
    steps=st.integers(1, 6) | st.none(),
    strategy=st.sampled_from(STRATEGIES),
    schedule=st.sampled_from(sorted(SCHEDULES)),
    threshold=st.sampled_from([None, 0.0, 0.7]),
    sampling=st.sampled_from([{}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.8, "temperature": 2.0}]),
    seed=st.integers(0, 2**64),
)
def test_whatever_is_asked(rows, steps, strategy, schedule, threshold, sampling, seed):
    """Progress, end, special tokens, given tokens, the same again, and the same alone as beside others."""
    if strategy == "uniform":
        threshold = None
    width = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (width - len(row)) for row in rows]).long().view(len(rows), width)
    made = denoiser(
        Mixing(),
        max_steps=steps,
        confidence=strategy,
        noise_schedule=schedule,
        threshold=threshold,
        seed=seed,
        **sampling,
    )
    before, history = ids.clone(), History(2)
    done = made.fill(ids, history=history)
    assert (ids == before).all()
    masked = before == MASK
    assert (done.ids[~masked] == before[~masked]).all()
    assert not torch.isin(done.ids[masked], torch.tensor([MASK, PAD])).any()
    for row, count in enumerate(masked.sum(1).tolist()):
        taken = [len(step.written) for step in history.rows[row].steps]
        assert all(taken)
        assert sum(taken) == count
        assert len(taken) == done.steps[row] <= (steps or count)
        assert history.rows[row].final == done.ids[row].tolist()
    assert (made.fill(before).ids == done.ids).all()
    for row, own in enumerate(rows):
        alone = made.fill(torch.tensor([own]).long().view(1, len(own)), numbers=[row])
        assert alone.ids[0].tolist() == done.ids[row, : len(own)].tolist()
        assert alone.steps[0] == done.steps[row]


def test_seeds_and_generators():
    masks = torch.full((2, 20), MASK)
    one, same, other = (denoiser(Mixing(), seed=seed).fill(masks).ids for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
    assert (one[0] != one[1]).any()
    made = denoiser(Mixing(), generator=torch.Generator().manual_seed(5))
    first, second = made.fill(masks).ids, made.fill(masks).ids
    assert (first != second).any()
    made.generator.manual_seed(5)
    assert (made.fill(masks).ids == first).all()
    assert len({row_seed(seed, number) for seed in range(20) for number in range(-5, 20)}) == 500


def test_generating_after_prefixes():
    """Padded on the left, with positions that begin at the first token; rows write from the same place on."""
    table = Table(torch.stack([certain(3 + place, 0.999999) for place in range(8)]))
    done = denoiser(table, max_new_tokens=3, max_steps=2, temperature=0.0).generate([[9, 8, 7], [9], []])
    assert done.ids.tolist() == [[9, 8, 7, 6, 7, 8], [PAD, PAD, 9, 4, 5, 6], [PAD, PAD, PAD, 3, 4, 5]]
    assert done.output_start_idx.tolist() == [3, 3, 3]
    assert done.steps == [2, 2, 2]
    assert table.calls[0]["positions"].tolist() == [[0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 2, 3], [0, 0, 0, 0, 1, 2]]
    assert table.calls[0]["attention_mask"].int().tolist() == [[1] * 6, [0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
    tensor = denoiser(table, max_new_tokens=3, max_steps=2, temperature=0.0).generate(torch.tensor([[PAD, 9]]))
    assert tensor.ids.tolist() == [[PAD, 9, 4, 5, 6]]
    with pytest.raises(TrainError, match="max_new_tokens is None"):
        denoiser(table).generate([[5]])


def test_generating_in_a_batch_is_generating_alone():
    prefixes = [[4, 5, 6, 7], [8], [], [9, 9]]
    made = denoiser(Mixing(), max_new_tokens=6, max_steps=3, confidence="entropy")
    whole = made.generate(prefixes)
    for number, prefix in enumerate(prefixes):
        alone = made.generate([prefix], numbers=[number])
        assert alone.ids[0, len(prefix) :].tolist() == whole.ids[number, 4:].tolist()


def test_prefixes_of_the_collator_are_continued():
    """What Seq2SeqPredCollator makes goes in as it is, and its targets are those of the metrics."""
    pairs = [([9, 8], [6, 7, EOS]), ([9], [4, 8, EOS])]
    vocab = Vocab(["[MASK]", "[PAD]", "[SEP]", *"abcdefgh", "##i"], mask_id=MASK, pad_id=PAD, sep_id=EOS)
    collator = Seq2SeqPredCollator(vocab, 4, 3)
    batch = collator([Example(np.array(a + b), row, prefix=len(a)) for row, (a, b) in enumerate(pairs)])
    prefixes, mask, targets = (torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask", "target_ids"))
    table = Table(torch.stack([certain(3 + place, 0.999999) for place in range(8)]))  # place 2 has 5, and so on
    table.logits[4, EOS] = 50.0
    made = denoiser(table, max_new_tokens=3, max_steps=2, temperature=0.0)
    written = made.generate(prefixes, mask).ids[:, 4:]
    assert written.tolist() == [[5, 6, EOS], [4, 5, 6]]
    assert made.generate([a for a, _ in pairs]).ids[:, 2:].tolist() == written.tolist()
    assert seq2seq_token_accuracy(written, targets, eos_id=EOS, pad_id=PAD) == Tally(2, 6)


@pytest.mark.gpu
def test_lists_are_put_where_the_model_is():
    made = denoiser(lambda ids, **_: torch.zeros(*ids.shape, VOCAB, device=ids.device), max_new_tokens=4, device="cuda")
    assert made.generate([[5, 6], []]).ids.device.type == "cuda"


def test_rows_that_are_done_are_not_computed_again():
    table = Table(torch.zeros(6, VOCAB))
    ids = torch.tensor([[MASK] * 6, [5] * 5 + [MASK], [5] * 6])
    done = denoiser(table).fill(ids)
    assert [len(call["ids"]) for call in table.calls] == [2, 1, 1, 1, 1, 1]
    assert done.steps == [6, 1, 0]
    assert done.output_start_idx.tolist() == [0, 5, 6]
    assert done.time_taken[0] >= done.time_taken[1] > done.time_taken[2] == 0


def test_masks_in_padding_are_none():
    ids = torch.tensor([[MASK, 5, MASK]])
    done = denoiser(Mixing()).fill(ids, torch.tensor([[1, 1, 0]]))
    assert done.ids[0, 2] == MASK
    assert done.steps == [1]


def test_the_loss_is_that_of_the_targets_at_the_masks():
    table = Table(torch.stack([certain(5, 0.5), certain(6, 0.25), certain(7, 0.9)]))
    ids = torch.tensor([[MASK, MASK, 9], [9, 9, MASK], [9, 9, 9]])
    done = denoiser(table, max_steps=1).fill(ids, targets=torch.tensor([[5, 6, 4], [4, 4, 7], [4, 4, 4]]))
    assert done.loss.tolist() == pytest.approx([-(math.log(0.5) + math.log(0.25)) / 2, -math.log(0.9), 0], rel=1e-4)
    several = denoiser(table, max_steps=2).fill(ids, targets=torch.tensor([[5, 6, 4], [4, 4, 7], [4, 4, 4]]))
    assert several.loss.tolist() == done.loss.tolist()
    assert denoiser(table).fill(ids).loss is None
    masks = Table(torch.stack([certain(MASK, 0.75)]))  # what the model says, before [MASK] is taken out of it
    done = denoiser(masks).fill(ids[:1, :1], targets=torch.tensor([[5]]))
    assert float(done.loss) == pytest.approx(-math.log(0.25 / 9), rel=1e-4)


def test_texts_end_at_their_end():
    words = ["[MASK]", "[PAD]", "[EOS]", *"abcdefghi"]
    tokenizer = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(words)}, unk_token="[PAD]"))
    tokenizer.add_special_tokens(words[:3])
    table = Table(torch.stack([certain(id_, 0.999999) for id_ in (5, 6, EOS, 7, 8)]))
    table.logits[2, EOS] = 50.0
    options = {"tokenizer": tokenizer, "temperature": 0.0, "max_new_tokens": 3}
    assert denoiser(table, **options).generate([[EOS], [5]]).text == ["d", "c d"]
    shown = denoiser(table, **options, skip_special_tokens=False).generate([[EOS], [5]]).text
    assert shown == ["[EOS] d [EOS]", "c d [EOS]"]
    shown = denoiser(table, **options, skip_special_tokens=False).generate([[EOS, 5], [5]]).text
    assert shown == ["[EOS] c [EOS]", "c d [EOS]"]  # and no padding
    assert denoiser(table).fill(torch.tensor([[MASK]])).text == []


def test_chosen_is_never_more_than_there_is():
    found = chosen(
        torch.rand(3, 4), torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool(), torch.tensor([9, 9, 1])
    )
    assert found.sum(1).tolist() == [2, 0, 1]
    found = chosen(torch.rand(1, 3), torch.zeros(1, 3).bool(), torch.tensor([0]), 5.0)
    assert not found.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 0}, "max_steps is 0"),
        ({"max_new_tokens": -1}, "max_new_tokens is -1"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"confidence": "best"}, "confidence is 'best'; expected one of uniform, top, gap, entropy"),
        ({"threshold": 0.5}, "threshold is 0.5 with the confidence uniform"),
        ({"threshold": math.nan, "confidence": "gap"}, "threshold is nan"),
        ({"noise_schedule": "sine"}, "noise_schedule is 'sine'; expected one of linear"),
        ({"never": [99]}, r"12 tokens, of which 3 are never to be written, \[99\]"),
        ({"never": range(VOCAB)}, "12 are never to be written"),
    ],
)
def test_what_means_nothing(options, message):
    with pytest.raises(TrainError, match=message):
        denoiser(Mixing(), **options).fill(torch.full((1, 2), MASK))


def test_models_and_batches_that_do_not_fit():
    masks = torch.full((1, 2), MASK)
    with pytest.raises(TrainError, match=r"gave \(1, 3, 12\) for ids of \(1, 2\)"):
        denoiser(lambda ids, **_: torch.zeros(1, 3, VOCAB)).fill(masks)
    with pytest.raises(TrainError, match="logits that are no numbers"):
        denoiser(lambda ids, **_: torch.full((1, 2, VOCAB), torch.nan)).fill(masks)
    with pytest.raises(TrainError, match="no token that may be written"):
        denoiser(lambda ids, **_: torch.full((1, 2, VOCAB), -torch.inf)).fill(masks)
    with pytest.raises(TrainError, match="attention_mask has shape"):
        denoiser(Mixing()).fill(masks, torch.ones(2, 2))
    with pytest.raises(TrainError, match="attention_mask has shape"):
        denoiser(Mixing(), max_new_tokens=1).generate(masks, torch.ones(2, 2))
    with pytest.raises(TrainError, match=r"targets have shape \(1, 1\), ids have \(1, 2\)"):
        denoiser(Mixing()).fill(masks, targets=masks[:, 1:])
    with pytest.raises(TrainError, match="1 numbers for 2 rows"):
        denoiser(Mixing()).fill(masks.expand(2, 2), numbers=[3])
    with pytest.raises(TrainError, match=r"expected integers \[B, L\]"):
        denoiser(Mixing()).fill(masks[0])
    assert schedule_of("linear")(0.25) == 0.75

"""``maskgen report``: every number on the page is the one that a loop over the data finds."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from helpers import write_dataset
from pipeline_runs import run, vocabulary, write_jsonl
from report_pages import Page, report, toy_files
from sample_files import TOY, TOY_PIECES, toy_dataset, toy_samples, toy_tokenizer

from maskgen.inspection import document_lengths
from maskgen.mapping import cached_mapping
from maskgen.report import Look
from maskgen.report.documents import histogram, lengths_of
from maskgen.report.looking import Seen, strata
from maskgen.report.masks import mask_facts, ordinary_by_rank
from maskgen.report.mixture import Mixture
from maskgen.report.ngrams import _cut_at_random, ngram_facts
from maskgen.report.restored import KEPT, MASKED, PADDING, PLAIN, REPLACED, SPECIAL, TAKEN, restore
from maskgen.report.tokens import RUN, ranks_to_show, runs_to_look_at, token_facts
from maskgen.rows import Chunks
from maskgen.samples import BertSamples
from maskgen.schemes import SchemeSamples
from maskgen.vocab import Vocab
from preprocess import IndexedDataset

FLAGS = ("--max-seq-length", 24, "--seed", 7)


@pytest.mark.parametrize(("total", "wanted"), [(10, 3), (1000, 7), (5, 5), (3, 9), (0, 4), (10**12, 4)])
def test_strata_are_even_and_drawn(total, wanted):
    places = strata(total, wanted, 1, 0).tolist()
    assert places == strata(total, wanted, 1, 0).tolist()
    count = min(total, wanted)
    assert len(places) == count
    for number, place in enumerate(places):
        assert number * total // count <= place < (number + 1) * total // count
    if total > 100:
        assert places != strata(total, wanted, 2, 0).tolist()


def test_strata_reach_every_place():
    found = {place for seed in range(200) for place in strata(10, 2, seed, 0).tolist()}
    assert found == set(range(10))


def test_what_was_looked_at_in_words():
    assert Seen(3, 3).words("things") == "all 3 things"
    assert Seen(1, 8).words("things") == "1 of 8 things (12.50%)"


def test_histogram_counts_each_number_once():
    values = np.concatenate((np.arange(0, 300), [999_999, 1_000_000]))
    found = histogram(values)
    for low, high, count in zip(found.edges, found.edges[1:], found.counts, strict=False):
        assert count == ((values >= low) & (values < high)).sum()
    assert sum(found.counts) + found.zeros == len(values)
    assert found.edges[-2] <= 1_000_000 < found.edges[-1]


def test_documents(tmp_path):
    texts = [[[5] * 3, [6]], [], [[7] * 30], *[[[8] * n for n in range(1, m)] for m in range(2, 30)]]
    prefix = write_dataset(tmp_path / "d", texts)
    page = Page(report(tmp_path, prefix))
    lengths, sentences = [sum(map(len, text)) for text in texts], list(map(len, texts))
    for name, values in (("lengths-0", lengths), ("sentences-0", sentences)):
        for row in page.rows(name):
            expected = sum(row["from"] <= value <= row["to"] for value in values)
            assert row["documents"] == expected
            assert row["share"] == pytest.approx(expected / len(texts), abs=1e-4)
        assert sum(row["documents"] for row in page.rows(name)) == len(texts)
        ranks = [row[next(iter(row.keys() - {"of the documents"}))] for row in page.rows(f"{name}-percentiles")]
        assert ranks[0] == min(values)
        assert ranks[3] == sorted(values)[(len(values) - 1) // 2]
        assert ranks[-1] == max(values)
    assert f"mean {np.mean(lengths):,.1f}" in page.words
    assert f"Looked at all {len(texts)} documents." in page.words
    dataset = IndexedDataset(prefix)
    assert lengths_of(dataset, np.arange(len(texts))).tolist() == next(document_lengths(dataset)).tolist() == lengths


def test_some_documents(tmp_path):
    prefix = write_dataset(tmp_path / "d", [[[1] * (n % 17 + 1)] for n in range(500)])
    page = Page(report(tmp_path, prefix, "--documents", 50))
    assert "Looked at 50 of 500 documents (10.00%)." in page.words
    assert sum(row["documents"] for row in page.rows("lengths-0")) == 50
    assert "it was not split into sentences" in page.words
    assert "Looked at all 500 documents." in Page(report(tmp_path, prefix, "--documents", 50, "--full")).words


def test_tokens(tmp_path):
    dataset, prefix, tokenizer = toy_files(tmp_path)
    counts = Counter(dataset.tokens.tolist())
    page = Page(report(tmp_path, prefix, "--tokenizer", tokenizer))
    assert page.fact("tokens looked at") == len(dataset.tokens)
    assert page.fact("distinct ids") == len(counts)
    assert page.fact("unused ids") == len(TOY_PIECES) - len(counts)
    assert page.fact("unused share") == pytest.approx(1 - len(counts) / len(TOY_PIECES), abs=1e-4)
    assert page.fact("unknown ([UNK])") == 0
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for row in page.rows("ranks"):
        assert row["count"] == ordered[row["rank"] - 1][1]
        assert row["share"] == pytest.approx(row["count"] / len(dataset.tokens), abs=1e-4)
    assert page.rows("ranks")[-1]["share up to here"] == 1
    for row, (id_, count) in zip(page.rows("frequent"), ordered, strict=False):
        assert (row["id"], row["piece"], row["count"]) == (id_, TOY_PIECES[id_], count)


def test_another_tokenizer_is_said_to_be_one(tmp_path):
    prefix = run(write_jsonl(tmp_path / "corpus.jsonl", ["a text"]), tmp_path / "out").prefixes[0]
    assert "Attention" not in Page(report(tmp_path, prefix, "--tokenizer", vocabulary(tmp_path))).words
    other = Page(report(tmp_path, prefix, "--tokenizer", toy_tokenizer(tmp_path / "tokenizer.json")))
    assert "Attention: tokenized with vocab.txt" in other.words


def test_tokens_in_runs_and_beyond_the_vocabulary(tmp_path):
    rng = np.random.RandomState(3)
    tokens = rng.randint(0, 100, 10 * RUN + 5)
    prefix = write_dataset(tmp_path / "d", [[tokens.tolist()]], "int32")
    look = Look(tokens=3 * RUN, seed=5)
    found = token_facts(IndexedDataset(prefix), *runs_to_look_at([len(tokens)], look), 60)
    runs = strata(11, 3, 5, 97).tolist()
    seen = np.concatenate([tokens[run * RUN : (run + 1) * RUN] for run in runs])
    assert found.runs == 3
    assert found.counts.tolist() == np.bincount(seen, minlength=100)[:60].tolist()
    assert found.outside == (seen >= 60).sum()
    assert (found.seen.looked, found.seen.total) == (len(seen), len(tokens))
    page = Page(report(tmp_path, prefix, "--tokens", 3 * RUN))
    assert "3 runs of neighbouring tokens" in page.words
    assert page.fact("tokens looked at") < len(tokens)


def test_tokens_of_a_large_and_a_small_dataset(tmp_path):
    """Shares are those of all tokens together: a small dataset does not count as much as a large one."""
    prefixes = [
        write_dataset(tmp_path / name, [[[id_] * (runs * RUN)]]) for name, id_, runs in (("a", 1, 8), ("b", 2, 2))
    ]
    page = Page(report(tmp_path, *prefixes, "--tokens", 5 * RUN))
    assert "Looked at 327,680 of 655,360 tokens (50.00%): 5 runs" in page.words
    assert [(row["id"], row["share"]) for row in page.rows("frequent")] == [(1, 0.8), (2, 0.2)]
    for totals in ([3, 0, RUN + 1, 0], [0], [RUN, 5 * RUN]):
        look = Look(tokens=2 * RUN, seed=1)
        assert sum(map(len, runs_to_look_at(totals, look))) == min(2, sum(-(-total // RUN) for total in totals))
        full = runs_to_look_at(totals, Look(full=True))
        assert [part.tolist() for part in full] == [list(range(-(-total // RUN))) for total in totals]


def test_ids_that_are_none(tmp_path):
    prefix = write_dataset(tmp_path / "d", [[[-5, 3, 2**31 - 1, 3]]], "int32")
    page = Page(report(tmp_path, prefix))
    assert page.fact("ids outside of the vocabulary") == 2
    assert page.rows("frequent") == [{"rank": 1, "id": 3, "piece": "", "count": 2, "share": 1.0}]


@pytest.mark.parametrize("count", [0, 1, 2, 17, 4000])
def test_ranks_to_show(count):
    ranks = ranks_to_show(count)
    assert ranks == sorted(set(ranks))
    assert not count or (ranks[0], ranks[-1]) == (1, count)


def own_samples(dataset, tokenizer, **options):
    rows = cached_mapping(dataset, num_epochs=1, max_seq_length=21, short_seq_prob=0.1, seed=7, min_num_sent=2)
    return BertSamples(dataset, rows, Vocab.from_tokenizer(tokenizer), max_seq_length=24, seed=7, **options)


def test_masks_and_fill(tmp_path):
    dataset, prefix, tokenizer = toy_files(tmp_path)
    flags = ("--tokenizer", tokenizer, *FLAGS, "--masked-lm-prob", 0.4)
    page = Page(report(tmp_path, prefix, *flags))
    samples = own_samples(dataset, tokenizer, masked_lm_prob=0.4)
    places, ids, lengths, truncated = Counter(), Counter(), [], 0
    for sample in samples:
        length = int(sample["padding_mask"].sum())
        lengths.append(length)
        truncated += int(sample["truncated"])
        for place in range(length):
            shown, label = int(sample["text"][place]), int(sample["labels"][place])
            kind = "plain"
            if sample["loss_mask"][place]:
                kind = "masked" if shown == 4 else "kept" if shown == label else "replaced"
            else:
                label = shown
            places[place, kind] += 1
            ids[label, kind] += 1
    kinds = ("masked", "replaced", "kept")
    assert min(sum(ids[id_, kind] for id_ in range(60)) for kind in kinds) > 10
    for row in page.rows("places"):
        inside = range(row["from"], row["to"] + 1)
        total = sum(places[place, kind] for place in inside for kind in (*kinds, "plain"))
        assert row["tokens"] == total
        for kind in kinds:
            assert row[kind] == sum(places[place, kind] for place in inside)
            assert row[f"{kind}, share"] == pytest.approx(row[kind] / total, abs=1e-4)
    for row in page.rows("token-rates"):
        id_ = row["id"]
        assert row["piece"] == TOY_PIECES[id_]
        assert row["tokens"] == sum(ids[id_, kind] for kind in (*kinds, "plain"))
        assert [row[kind] for kind in kinds] == [ids[id_, kind] for kind in kinds]
        assert row["predicted"] == pytest.approx(sum(row[kind] for kind in kinds) / row["tokens"], abs=1e-4)
    ranked = page.rows("token-ranks")
    assert sum(row["masked"] for row in ranked) == sum(ids[id_, "masked"] for id_ in range(60))
    assert page.fact("mean fill") == pytest.approx(sum(lengths) / (24 * len(samples)), abs=1e-4)
    assert page.fact("full samples") == pytest.approx(lengths.count(24) / len(samples), abs=1e-4)
    assert page.fact("truncated samples") == truncated
    for row in page.rows("fill"):
        assert row["samples"] == sum(row["from"] <= length <= row["to"] for length in lengths)
    assert f"Looked at all {len(samples)} samples." in page.words
    some = Page(report(tmp_path, prefix, *flags, "--samples", 10))
    assert some.fact("samples looked at") == 10
    assert f"Looked at 10 of {len(samples)} samples" in some.words


def test_a_special_token_that_may_be_predicted_counts_wherever_it_stands():
    """[UNK] is masked like any word: its rate is that of all its places, not of those that were chosen."""
    vocab, unknown = TOY, TOY_PIECES.index("[UNK]")
    text = np.array([[vocab.cls_id, vocab.mask_id, unknown, 20, unknown, vocab.sep_id, vocab.pad_id]])
    chosen = np.array([[0, 1, 0, 0, 0, 0, 0]])
    batch = {"text": text, "labels": np.where(chosen == 1, unknown, -1), "loss_mask": chosen,
             "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 0]]), "lengths": np.array([6])}  # fmt: skip
    facts = mask_facts("bert", Seen(1, 1), 7, vocab, [(0, np.arange(1), batch)])
    ids, counts = ordinary_by_rank(facts)
    assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == {unknown: 3, 20: 1}


def test_runs_of_predicted_tokens(tmp_path):
    dataset, prefix, tokenizer = toy_files(tmp_path)
    page = Page(report(tmp_path, prefix, "--tokenizer", tokenizer, *FLAGS, "--masked-lm-prob", 0.4))
    runs = Counter()
    for sample in own_samples(dataset, tokenizer, masked_lm_prob=0.4):
        for masked, group in itertools.groupby(sample["loss_mask"].tolist()):
            if masked:
                runs[len(list(group))] += 1
    assert {row["tokens"]: row["runs"] for row in page.rows("runs")} == runs


@pytest.mark.parametrize("options", [{}, {"geometric_dist": True}, {"favor_longer_ngram": True, "max_ngrams": 4}])
def test_drawn_and_kept_ngrams_of_bert(tmp_path, options):
    samples = toy_samples(tmp_path / "toy", masked_lm_prob=0.5, **options)
    found = ngram_facts(Mixture([samples], None, 20 * len(samples)), Look(ngrams=10**6))
    drawn, kept = sum(found.drawn.values()), sum(found.kept.values())
    assert drawn > 1000
    assert sum(found.expected.values()) == pytest.approx(1)
    most = options.get("max_ngrams", 3)
    weights = [1 / n for n in range(1, most + 1)]
    if options.get("geometric_dist"):
        weights = [0.2, 0.16, 0.64]
    if options.get("favor_longer_ngram"):
        weights.reverse()
    for length, weight in enumerate(weights, 1):
        share = weight / sum(weights)
        assert found.expected[length] == pytest.approx(share)
        assert abs(found.drawn[length] / drawn - share) < 5 * math.sqrt(share / drawn)
    assert 0 < kept <= drawn
    assert set(found.kept) <= set(range(1, most + 1))


def test_notes_are_those_of_the_sample(tmp_path):
    for kind in ("bert", "t5"):
        samples = toy_samples(tmp_path / kind, kind, masked_lm_prob=0.4)
        for index in range(len(samples)):
            notes = samples.notes(index, epoch=1)
            expected = samples.sample(index, epoch=1)
            if kind == "bert":
                assert notes.predictions.positions == np.flatnonzero(expected["loss_mask"]).tolist()
            masked = [id_ for span in notes.predictions.spans for id_ in span.label]
            labels = expected["labels"][expected["loss_mask"] == 1].tolist()
            ordinary = [id_ for id_ in labels if id_ not in TOY.sentinel_ids and id_ != TOY.eos_id]
            assert sorted(masked) == sorted(ordinary)
            assert len(notes.drawn) >= len(notes.predictions.spans)


def scheme_samples(prefix, scheme, **options):
    dataset, _ = toy_dataset(prefix, documents=60)
    return SchemeSamples(Chunks(dataset, 24, seed=1, pad_id=0), TOY, scheme, seed=3, **options)


def test_ngrams_of_spanbert(tmp_path):
    samples = scheme_samples(tmp_path / "toy", "spanbert", rate=0.3, max_words=4)
    found = ngram_facts(Mixture([samples], None, 10 * len(samples)), Look(ngrams=10**6))
    weights = [0.2 * 0.8**n for n in range(4)]
    drawn = sum(found.drawn.values())
    assert drawn > 1000
    for length, weight in enumerate(weights, 1):
        share = weight / sum(weights)
        assert found.expected[length] == pytest.approx(share)
        assert abs(found.drawn[length] / drawn - share) < 5 * math.sqrt(share / drawn)
    kept = Counter()
    for epoch in range(10):
        for index in range(len(samples)):
            sample = samples.sample(index, epoch=epoch)
            words = 0
            for place, masked in enumerate([*sample["loss_mask"].tolist(), 0]):
                if masked:
                    words += 1 if words == 0 else int(TOY.word_starts[sample["labels"][place]])
                elif words:
                    kept[words] += 1
                    words = 0
    assert found.kept == kept


def test_spans_of_span_corruption(tmp_path):
    samples = scheme_samples(tmp_path / "toy", "span-corruption", rate=0.4, mean_length=2.0)
    found = ngram_facts(Mixture([samples], None, 10 * len(samples)), Look(ngrams=10**6))
    kept = sum(found.kept.values())
    assert sum(found.expected.values()) == pytest.approx(1)
    for length, share in found.expected.items():
        assert abs(found.kept[length] / kept - share) < 5 * math.sqrt(share / kept) + 1e-9
    assert not found.drawn


@pytest.mark.parametrize(("total", "parts"), [(1, 1), (5, 1), (7, 3), (9, 9), (0, 0)])
def test_cutting_at_random(total, parts):
    ways = Counter()
    for cuts in itertools.combinations(range(1, total), max(parts - 1, 0)):
        ways.update(high - low for low, high in itertools.pairwise([0, *cuts, total]))
    expected = {length: count / sum(ways.values()) for length, count in ways.items() if total}
    assert _cut_at_random(total, parts) == pytest.approx(expected)


def test_restored_tokens_are_those_of_the_dataset(tmp_path):
    bert = toy_samples(tmp_path / "bert", masked_lm_prob=0.5)
    restored = restore("bert", bert.batch(range(len(bert))), TOY)
    for index in range(len(bert)):
        first, last, target = bert.sample_map[index].tolist()
        tokens = restored.tokens[index][np.isin(restored.treatment[index], (PLAIN, MASKED, REPLACED, KEPT))]
        whole = np.concatenate(bert.dataset[first:last])
        assert len(whole) > target or sorted(tokens) == sorted(whole)
        assert (restored.treatment[index] == SPECIAL).sum() in (2, 3)
    t5 = toy_samples(tmp_path / "t5", "t5", masked_lm_prob=0.3)
    restored = restore("t5", t5.batch(range(len(t5))), TOY)
    for index in range(len(t5)):
        first, last, target = t5.sample_map[index].tolist()
        tokens = restored.tokens[index][restored.treatment[index] != PADDING].tolist()
        assert tokens == np.concatenate(t5.dataset[first:last])[:target].tolist()
    taken = (restored.treatment == TAKEN).sum()
    assert taken == sum(len(span.label) for i in range(len(t5)) for span in t5.notes(i).predictions.spans) > 50
    for name in ("span-corruption", "ul2"):
        samples = scheme_samples(tmp_path / name, name)
        restored = restore(name, samples.batch(range(len(samples))), TOY)
        rows = samples.rows.tokens(range(len(samples)))
        for index, length in enumerate(rows.lengths.tolist()):
            tokens = restored.tokens[index][restored.treatment[index] != PADDING].tolist()
            assert tokens == rows.tokens[index, :length].tolist()
    assert restore("bart", {}, TOY) is None


def test_blend(tmp_path):
    _, prefix, tokenizer = toy_files(tmp_path)
    other = str(tmp_path / "other")
    toy_dataset(other, documents=20, seed=8)
    names = [f"{prefix}=3", f"{other}=1"]
    page = Page(report(tmp_path, *names, "--tokenizer", tokenizer, *FLAGS, "--draws", 400))
    first, second = page.rows("blend")
    assert [first["dataset"], second["dataset"]] == [prefix, other]
    assert [first["target"], second["target"]] == [0.75, 0.25]
    assert (first["draws"], second["draws"]) == (300, 100)
    for row in (first, second):
        assert row["achieved"] == row["draws"] / 400
        assert row["epochs"] == pytest.approx(row["draws"] / row["samples it has"], rel=1e-3)
    assert page.fact("samples looked at") == 400
    plain = Page(report(tmp_path, prefix, other, "--tokenizer", tokenizer, *FLAGS))
    sizes = [row["samples it has"] for row in plain.rows("blend")]
    assert [row["draws"] for row in plain.rows("blend")] == sizes
    assert plain.facts["documents"] == ["40", "20"]

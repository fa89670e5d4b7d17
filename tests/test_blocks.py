"""Queries and blocks: equal to a plain twin, in any order, titles by document, the shares, and what is refused."""

import json
import pickle
from itertools import chain

import numpy as np
import pytest
from helpers import write_dataset
from scheme_twins import CLS, FIRST, LAST, PAD, PIECES, SEP, TOY, Twin

from maskgen import cli
from maskgen.batches import BatchSource
from maskgen.blocks import BlockSamples, EvidenceBlocks, title_sizes
from maskgen.mapping import build_blocks_mapping
from maskgen.samples import SampleError
from preprocess import IndexedDataset

WIDTH = 32


def corpus(folder, documents=30, seed=3, one_sentence=False):
    """Texts, titles, and their datasets; some titles are empty, which makes a document without a sequence."""
    random = np.random.RandomState(seed)
    least = 1 if one_sentence else 0
    texts = [
        [random.randint(FIRST, LAST + 1, random.randint(1, 12)).tolist() for _ in range(random.randint(least, 9))]
        for _ in range(documents)
    ]
    titles = [random.randint(FIRST, LAST + 1, random.randint(0, 5)).tolist() for _ in range(documents)]
    write_dataset(folder / "d", texts)
    write_dataset(folder / "t", [[title] if title else [] for title in titles])
    return texts, titles, IndexedDataset(folder / "d"), IndexedDataset(folder / "t")


def mapping(dataset, titles, width=WIDTH, first=0, end=None, **options):
    bounds, sizes = dataset.document_indices, title_sizes(dataset, titles)
    end = len(bounds) - 1 if end is None else end
    fixed = {"num_epochs": 1, "max_seq_length": width - 3, "seed": 5, **options}
    return build_blocks_mapping(bounds[first : end + 1], dataset.sequence_lengths, sizes[first:end], **fixed)


def padded(tokens, width=WIDTH):
    return tokens + [PAD] * (width - len(tokens)), [1] * len(tokens) + [0] * (width - len(tokens))


def twin_of(twin, sentences, title, width, share):
    """Query and context by lists."""
    drawn = twin.below(80, 0, len(sentences))
    kept = twin.uniform(81, 0) < share or len(sentences) == 1
    query, rest = sentences[drawn], sentences if kept else sentences[:drawn] + sentences[drawn + 1 :]
    block = list(chain(*rest))
    front = [CLS] if title is None else [CLS, *title, SEP]
    room = width - len(front) - 1
    return [CLS, *query[: width - 2], SEP], [*front, *block[:room], SEP], int(kept)


@pytest.mark.parametrize("with_titles", [True, False])
@pytest.mark.parametrize("one_sentence", [True, False])
def test_samples_are_their_twin(tmp_path, with_titles, one_sentence):
    texts, titles, dataset, title_set = corpus(tmp_path, one_sentence=one_sentence)
    title_set = title_set if with_titles else None
    rows = mapping(dataset, title_set, use_one_sent_blocks=one_sentence)
    sentences = list(chain(*texts))
    options = {"max_seq_length": WIDTH, "seed": 9, "use_titles": with_titles, "query_in_block_prob": 0.4}
    samples = BlockSamples(dataset, title_set, rows, TOY, **options)
    batch = samples.batch(range(len(samples)), epoch=2)
    assert len(samples) > 20
    for index, (first, last, document, block) in enumerate(rows.tolist()):
        title = titles[document] if with_titles else None
        query, context, kept = twin_of(Twin(9, 2, index), sentences[first:last], title, WIDTH, 0.4)
        for name, tokens in (("query", query), ("context", context)):
            found = [batch[f"{name}_tokens"][index].tolist(), batch[f"{name}_pad_mask"][index].tolist()]
            assert found == list(padded(tokens))
            assert batch[f"{name}_lengths"][index] == len(tokens)
        assert batch["block_data"][index].tolist() == [first, last, document, block]
        assert batch["query_in_block"][index] == kept
    assert 0 < batch["query_in_block"].mean() < 1


def test_no_order_of_access_changes_a_sample(tmp_path):
    """Megatron-LM's dataset draws from one generator as samples come; here any order, process or batch is the same."""
    _, _, dataset, titles = corpus(tmp_path)
    samples = BlockSamples(dataset, titles, mapping(dataset, titles), TOY, max_seq_length=WIDTH)
    forward = samples.batch(range(len(samples)))
    backward = samples.batch(range(len(samples))[::-1], threads=3)
    copied = pickle.loads(pickle.dumps(samples))
    order = np.random.RandomState(0).permutation(len(samples)).tolist()
    for index in order:
        one = copied[index]
        for name, array in forward.items():
            assert np.array_equal(one[name], array[index])
            assert np.array_equal(backward[name][len(samples) - 1 - index], array[index])
    other = samples.batch(range(len(samples)), epoch=1)
    assert (other["query_tokens"] != forward["query_tokens"]).any()
    assert np.array_equal(other["block_data"], forward["block_data"])


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_the_share_of_queries_that_stay(tmp_path, share):
    """Every sentence has an id of its own, so one can see whether it was taken out, and which one was drawn."""
    write_dataset(tmp_path / "d", [[[FIRST + i] * 2 for i in range(5)]])
    dataset = IndexedDataset(tmp_path / "d")
    rows = np.tile([[0, 5, 0, 0]], (20_000, 1))
    options = {"max_seq_length": WIDTH, "use_titles": False, "query_in_block_prob": share}
    batch = BlockSamples(dataset, None, rows, TOY, **options).batch(range(20_000))
    query = batch["query_tokens"][:, 1]
    inside = (batch["context_tokens"] == query[:, None]).any(axis=1)
    assert np.array_equal(inside, batch["query_in_block"] == 1)
    assert abs(inside.mean() - share) < 0.01
    assert np.abs(np.bincount(query - FIRST) / 20_000 - 0.2).max() < 0.02
    assert set(batch["context_lengths"].tolist()) == ({12} if share == 1 else {10} if share == 0 else {10, 12})


def test_a_block_of_one_sentence_keeps_it(tmp_path):
    """Taken out, it would leave a context of special tokens alone."""
    write_dataset(tmp_path / "d", [[[50, 51]]])
    dataset = IndexedDataset(tmp_path / "d")
    rows = mapping(dataset, None, use_one_sent_blocks=True)
    options = {"max_seq_length": 8, "use_titles": False, "query_in_block_prob": 0}
    sample = BlockSamples(dataset, None, rows, TOY, **options)[0]
    assert sample["context_tokens"].tolist() == [CLS, 50, 51, SEP, PAD, PAD, PAD, PAD]
    assert sample["query_in_block"] == 1


def test_titles_of_a_part_are_those_of_its_documents(tmp_path):
    """The documents of a mapping over a part are counted from its first; its titles must not be those of the start."""
    _, titles, dataset, title_set = corpus(tmp_path)
    rows = mapping(dataset, title_set, first=12, end=25)
    samples = BlockSamples(dataset, title_set, rows, TOY, max_seq_length=WIDTH, first_document=12)
    for sample in samples[:]:
        first, _, document, _ = sample["block_data"].tolist()
        assert dataset.document_indices[document] <= first < dataset.document_indices[document + 1]
        title = titles[document]
        assert sample["context_tokens"][: len(title) + 2].tolist() == [CLS, *title, SEP]
    with pytest.raises(SampleError, match="row 0 of the block mapping"):
        BlockSamples(dataset, title_set, rows, TOY, max_seq_length=WIDTH)


def test_a_title_too_long_is_cut(tmp_path):
    write_dataset(tmp_path / "d", [[[50, 51], [52]]])
    write_dataset(tmp_path / "t", [[[60] * 40]])
    dataset, titles = IndexedDataset(tmp_path / "d"), IndexedDataset(tmp_path / "t")
    samples = EvidenceBlocks(dataset, titles, mapping(dataset, titles, width=12), TOY, max_seq_length=12)
    assert samples[0]["context_tokens"].tolist() == [CLS, 60, 60, 60, 60, SEP, 50, 51, 52, SEP, PAD, PAD]


def test_every_block_once_by_its_number(tmp_path):
    texts, titles, dataset, title_set = corpus(tmp_path)
    rows = mapping(dataset, title_set, num_epochs=3)
    blocks = EvidenceBlocks(dataset, title_set, rows, TOY, max_seq_length=WIDTH)
    assert len(blocks) == len(rows) // 3
    sentences = list(chain(*texts))
    batch = blocks.batch(range(len(blocks)))
    for number in range(len(blocks)):
        first, last, document, own = batch["block_data"][number].tolist()
        assert own == number
        tokens = [CLS, *titles[document], SEP, *chain(*sentences[first:last])][: WIDTH - 1]
        assert batch["context_tokens"][number, : len(tokens) + 1].tolist() == [*tokens, SEP]
    ends = batch["block_data"][:, :2]
    assert (ends[1:, 0] >= ends[:-1, 1]).all()  # in the order of the corpus
    empty = blocks.null_block()
    assert empty["context_tokens"][:4].tolist() == [CLS, SEP, SEP, PAD]
    with pytest.raises(SampleError, match="no row of the block mapping has the number"):
        EvidenceBlocks(dataset, title_set, rows[rows[:, 3] != 4], TOY, max_seq_length=WIDTH)


def test_batches_and_their_state(tmp_path):
    _, _, dataset, titles = corpus(tmp_path)
    samples = BlockSamples(dataset, titles, mapping(dataset, titles), TOY, max_seq_length=WIDTH)
    source = BatchSource(samples, batch_size=7, seed=3)
    batches = [source.next_batch() for _ in range(12)]  # more than an epoch
    later = BatchSource(samples, batch_size=7, seed=3)
    later.load_state_dict({**source.state_dict(), "consumed": 35})
    assert all(np.array_equal(array, batches[5][name]) for name, array in later.next_batch().items())
    other = BlockSamples(dataset, titles, mapping(dataset, titles), TOY, max_seq_length=WIDTH, query_in_block_prob=0.2)
    with pytest.raises(Exception, match="query_in_block_prob"):
        BatchSource(other, batch_size=7, seed=3).load_state_dict(source.state_dict())
    small = samples.batch([1, 2], out=samples.allocate(2, {"query_pad_mask": bool, "query_tokens": np.int32}))
    assert small["query_pad_mask"].dtype == bool
    assert np.array_equal(small["query_tokens"], samples.batch([1, 2])["query_tokens"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[0, 2, 0]], "expected (blocks, 4)"),
        ([[0.0, 2, 0, 0]], "holds float64"),
        ([[0, 0, 0, 0]], "row 0"),
        ([[0, 9, 0, 0]], "row 0"),
        ([[0, 1, 99, 0]], "row 0"),
        ([[-1, 1, 0, 0]], "row 0"),
        ([[0, 2, -1, 0]], "row 0"),
        ([[0, 2, 0, -3]], "row 0"),
    ],
)
def test_mappings_that_are_none(tmp_path, rows, words):
    write_dataset(tmp_path / "d", [[[50, 51], [52]]])
    with pytest.raises(SampleError) as caught:
        BlockSamples(IndexedDataset(tmp_path / "d"), None, np.array(rows), TOY, max_seq_length=9, use_titles=False)
    assert words in str(caught.value)


def test_what_is_refused(tmp_path):
    write_dataset(tmp_path / "d", [[[50, 51], [500]]])
    write_dataset(tmp_path / "t", [[[60]], [[61]]])
    dataset, titles = IndexedDataset(tmp_path / "d"), IndexedDataset(tmp_path / "t")
    rows = np.array([[0, 2, 0, 0]])
    with pytest.raises(SampleError, match="2 titles; expected 1"):
        BlockSamples(dataset, titles, rows, TOY, max_seq_length=9)
    with pytest.raises(SampleError, match="use_titles without"):
        BlockSamples(dataset, None, rows, TOY, max_seq_length=9)
    samples = BlockSamples(dataset, None, rows, TOY, max_seq_length=9, use_titles=False)
    with pytest.raises(SampleError, match="sequence 1 holds the id 500"):
        samples[0]
    with pytest.raises(SampleError, match="nothing is masked"):
        samples.batch([0], rate=0.1)
    for wrong in (-0.1, 1.5, "x"):
        with pytest.raises(SampleError, match="query_in_block_prob"):
            BlockSamples(dataset, None, rows, TOY, max_seq_length=9, use_titles=False, query_in_block_prob=wrong)


@pytest.fixture
def files(tmp_path):
    _, _, dataset, titles = corpus(tmp_path)
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("".join(piece + "\n" for piece in PIECES))
    return [dataset.prefix, "--tokenizer", str(vocabulary), "--scheme", "ict", "--max-seq-length", str(WIDTH),
            "--seed", "5", "--option", f"titles={titles.prefix}"]  # fmt: skip


def test_the_command_shows_them(tmp_path, files, capsys):
    assert cli.main(["sample", *files, "--json", "--num", "9999"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    dataset, titles = IndexedDataset(tmp_path / "d"), IndexedDataset(tmp_path / "t")
    samples = BlockSamples(dataset, titles, mapping(dataset, titles), TOY, max_seq_length=WIDTH, seed=5)
    assert len(lines) == len(samples)
    for line in lines:
        expected = {name: array.tolist() for name, array in samples[line["index"]].items()}
        assert line == {"index": line["index"], "scheme": "ict", **expected}
    assert cli.main(["sample", *files, "--index", "3"]) == 0
    shown = capsys.readouterr().out
    assert "sample 3: block" in shown
    assert "  query: [CLS] " in shown
    assert cli.main(["sample", *files, "--split", "1,1,1", "--part", "valid", "--json"]) == 0
    assert all(10 <= json.loads(line)["block_data"][2] < 20 for line in capsys.readouterr().out.splitlines())
    assert cli.main(["sample", *files, "--rows", "pairs"]) == 2
    assert "--rows with the scheme ict" in capsys.readouterr().err


def test_fingerprints_and_other_commands(tmp_path, files, capsys):
    kept = str(tmp_path / "kept.json")
    assert cli.main(["fingerprint", *files, "--output", kept]) == 0
    assert cli.main(["fingerprint", *files, "--check", kept]) == 0
    capsys.readouterr()
    assert cli.main(["fingerprint", *files, "--option", "query_in_block_prob=0.3", "--check", kept]) == 1
    assert "query_in_block_prob" in "".join(capsys.readouterr())
    report = ["--output", str(tmp_path / "r.html")]
    assert cli.main(["report", *files, *report]) == 2
    assert "expected one that masks tokens" in capsys.readouterr().err

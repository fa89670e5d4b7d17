"""Data of training: blends, parts of the split, defaults of schemes, micro-batches, fixed validation batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from train_runs import tiny, write_corpus

from maskgen.schemes import SCHEMES
from maskgen.train.data import check_tokenizer, micro_batches, open_data
from maskgen.train.errors import TrainError
from preprocess.errors import MaskgenError
from preprocess.indexed.sidecar import TokenizerInfo, read_sidecar
from preprocess.tokenization.loading import load_reference

CPU = torch.device("cpu")
SEQUENCE = {"t5", "span-corruption", "ul2", "bart"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def as_tensors(batch):
    return {name: torch.from_numpy(np.array(array)) for name, array in batch.items()}


def encoder_schemes():
    return ["bert", *(name for name in SCHEMES if name not in SEQUENCE | {"pmi"})]


@pytest.mark.parametrize("architecture", ["bert", "modern"])
@pytest.mark.parametrize("scheme", encoder_schemes())
def test_any_scheme_of_encoders_gives_batches_and_micro_batches_are_their_rows(tmp_path, corpus, scheme, architecture):
    data = open_data(tiny(tmp_path, *corpus, scheme=scheme, architecture=architecture))
    batch = as_tensors(data.source().batch_at(0))
    assert ("document_ids" in batch) == (architecture == "modern" and scheme != "bert")
    masked = {}
    parts = list(micro_batches(batch, 3, CPU))
    assert [len(part["text"]) for part in parts] == [3, 3, 2]
    width = batch["text"].shape[1]
    for number, part in enumerate(parts):
        rows = slice(3 * number, 3 * number + 3)
        for name in ("text", "labels", "padding_mask", "masked_counts"):
            assert torch.equal(part[name], batch[name][rows])
        assert part["masked_counts"].sum() == len(part["masked_labels"])
        assert torch.equal(part["labels"].flatten()[part["masked_positions"]], part["masked_labels"])
        masked[number] = part["masked_positions"] + 3 * number * width
        if "document_ids" in batch:
            inside = part["document_ids"] >= 0
            starts = torch.nonzero(part["positions"][inside] == 0).flatten().tolist()
            assert part["cumulative_lengths"].tolist() == [*starts, int(inside.sum())]
    assert torch.equal(torch.cat([*masked.values()]), batch["masked_positions"])


@pytest.mark.parametrize("scheme", sorted(SEQUENCE))
def test_schemes_with_a_decoder_are_refused_with_the_remedy(tmp_path, corpus, scheme):
    settings = tiny(tmp_path, *corpus, scheme=scheme)
    with pytest.raises(TrainError, match=rf"--scheme {scheme} makes texts for an encoder and a decoder.*docs/encoder"):
        open_data(settings)


def test_two_parts_in_some_order_are_for_the_pair_head(tmp_path, corpus):
    assert not open_data(tiny(tmp_path, *corpus)).samples.binary_head
    assert open_data(tiny(tmp_path, *corpus, next_sentence=True)).samples.binary_head
    assert open_data(tiny(tmp_path, *corpus, options={"binary_head": True})).samples.binary_head
    pairs = open_data(tiny(tmp_path, *corpus, scheme="roberta", rows="pairs", next_sentence=True))
    assert "is_random" in as_tensors(pairs.source().batch_at(0))


def test_blends_have_their_weights_and_parts_of_the_split_have_nothing_in_common(tmp_path, corpus):
    prefix, tokenizer = corpus
    other, _ = write_corpus(tmp_path, "other", seed=9)
    data = open_data(tiny(tmp_path, prefix, tokenizer, data=(f"{prefix}=0.25", f"{other}=0.75"), scheme="roberta"))
    draws = data.source().draws(0)
    assert np.bincount(draws.datasets).tolist() == [2, 6]
    assert prefix in data.names(data.source(), 0)
    assert "other [" in data.names(data.source(), 0)
    alone = open_data(tiny(tmp_path, prefix, tokenizer, scheme="roberta"))
    train = {tuple(row) for row in alone.samples.rows.tokens(range(len(alone.samples))).tokens.tolist()}
    valid = {tuple(row) for row in alone.validation.rows.tokens(range(len(alone.validation))).tokens.tolist()}
    assert train
    assert valid
    assert not train & valid


def test_special_tokens_surround_rows_where_the_texts_have_none(tmp_path, corpus):
    prefix, tokenizer = write_corpus(tmp_path)
    settings = tiny(tmp_path, prefix, tokenizer, scheme="roberta", rows="documents")

    def first_tokens(**changes):
        return set(open_data(replace(settings, **changes)).samples.batch(range(9))["text"][:, 0].tolist())

    assert 2 not in first_tokens()  # no sidecar says whether they have them
    assert first_tokens(add_special=True) == {2}
    sidecar = read_sidecar(prefix)
    for has in (True, False):
        sidecar.settings = {"options": {"add_special_tokens": has}}
        (tmp_path / "corpus.json").write_bytes(sidecar.to_json())
        assert (first_tokens() == {2}) == (not has)
        assert first_tokens(add_special=True) == {2}
        assert 2 not in first_tokens(add_special=False)


@pytest.mark.parametrize("ranks", [1, 2, 3, 20])
def test_validation_is_the_same_whatever_the_ranks(tmp_path, corpus, ranks):
    data = open_data(tiny(tmp_path, *corpus, mask_rate="0.5"))
    shares = [data.fixed_batches(rank, ranks)[0] for rank in range(ranks)]
    assert all(len(share["text"]) for share in shares)
    text = torch.cat([share["text"] for share in shares])
    if ranks <= 9:
        assert torch.equal(text, data.fixed_batches()[0]["text"])
        assert len(text) == 9
    rate = sum(int(share["masked_counts"].sum()) for share in shares) / int(
        sum(share["lengths"].sum() for share in shares)
    )
    assert 0.1 < rate < 0.2  # of --eval-rate, whatever the rate of training


def test_no_validation_without_documents_for_it(tmp_path, corpus):
    assert open_data(tiny(tmp_path, *corpus, split="1")).fixed_batches() == []
    prefix, tokenizer = write_corpus(tmp_path, documents=5)
    assert open_data(tiny(tmp_path, prefix, tokenizer, split="969,30,1")).fixed_batches() == []
    one, tokenizer = write_corpus(tmp_path, "one", documents=30, sentences=(1, 2))
    with pytest.raises(MaskgenError, match="one"):
        open_data(tiny(tmp_path, one, tokenizer, next_sentence=True))


def test_mask_rates_over_a_run(tmp_path, corpus):
    settings = tiny(tmp_path, *corpus, scheme="roberta", mask_rate="0.6:0.1", steps=100, rows="chunks")
    source = open_data(settings).source()
    shares = []
    for consumed in (0, 400, 799):
        batch = source.batch_at(consumed)
        shares.append(batch["masked_counts"].sum() / batch["lengths"].sum())
    assert 0.5 < shares[0] < 0.7
    assert 0.25 < shares[1] < 0.45
    assert 0.05 < shares[2] < 0.2


def test_data_of_another_tokenizer_is_refused(tmp_path):
    from preprocess import load_tokenizer

    prefix, tokenizer = write_corpus(tmp_path)
    check_tokenizer(prefix, tokenizer)  # its sidecar does not say
    sidecar = read_sidecar(prefix)

    def made_with(**options):
        loaded = load_tokenizer(tokenizer, engine="reference", **options)
        sidecar.tokenizer = TokenizerInfo("mine", loaded.digest, loaded.vocabulary_size)
        (tmp_path / "corpus.json").write_bytes(sidecar.to_json())

    made_with()
    check_tokenizer(prefix, tokenizer)
    made_with(lowercase=False)  # the same vocabulary, and text looked at in another way
    check_tokenizer(prefix, tokenizer)
    load_reference(tokenizer).tokenizer.save(str(tmp_path / "tokenizer.json"))
    check_tokenizer(prefix, str(tmp_path / "tokenizer.json"))  # another file of the same
    other = tmp_path / "other.txt"
    other.write_text((tmp_path / "vocab.txt").read_text() + "more\n")
    with pytest.raises(
        TrainError, match=r"corpus: tokenized with mine \(100 ids, .*other.txt is another one \(101 ids\)"
    ):
        open_data(tiny(tmp_path, prefix, str(other)))
    open_data(tiny(tmp_path, prefix, str(other), any_tokenizer=True))


def test_a_vocabulary_without_a_mask_is_refused(tmp_path, corpus):
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"##w{i}" for i in range(96))]) + "\n")
    with pytest.raises(MaskgenError, match="no id for mask"):
        open_data(tiny(tmp_path, corpus[0], str(vocab)))


def test_unknown_options_are_refused(tmp_path, corpus):
    with pytest.raises(MaskgenError, match="nonsense"):
        open_data(tiny(tmp_path, *corpus, options={"nonsense": 1}))

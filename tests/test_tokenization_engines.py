"""The registry, the running check, and streams of documents."""

import numpy as np
import pytest
from tokenizer_files import write_bpe, write_tokenizer, write_vocabulary

from preprocess.tokenization import (
    EngineMismatchError,
    EngineUnsupportedError,
    TokenizerError,
    encode_documents,
    load_tokenizer,
    register_engine,
)
from preprocess.tokenization import engines as registry
from preprocess.tokenization.engines import EngineBatch
from preprocess.tokenization.hard_texts import hard_texts
from preprocess.tokenization.reference import ReferenceEngine


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "ENGINES", dict(registry.ENGINES))


class WrongAboutZ(ReferenceEngine):
    """Drops an id of every text that holds an x before a z."""

    name = "wrong"

    def encode_batch(self, texts, threads):
        batch = super().encode_batch(texts, threads)
        position, parts, lengths = 0, [], []
        for text, length in zip(texts, batch.lengths.tolist(), strict=True):
            ids = batch.ids[position : position + length]
            position += length
            if "z" in text[text.find("x") :] and "x" in text:
                ids = ids[1:]
            parts.append(ids)
            lengths.append(len(ids))
        return EngineBatch(np.concatenate(parts), np.array(lengths, np.int32), range(len(texts)))


def test_auto_takes_the_fastest_that_serves(tmp_path):
    assert load_tokenizer(write_vocabulary(tmp_path)).engine == "native"
    write_bpe(tmp_path)
    tokenizer = load_tokenizer(tmp_path / "vocab.json")
    assert tokenizer.engine in ("gigatoken", "reference")
    assert tokenizer.refusals["native"] == "a BPE model, not WordPiece"


def test_an_engine_says_why_it_refuses(tmp_path):
    write_bpe(tmp_path)
    with pytest.raises(EngineUnsupportedError, match="engine 'native': found a BPE model, not WordPiece"):
        load_tokenizer(tmp_path / "vocab.json", engine="native")
    with pytest.raises(TokenizerError, match="one of auto, gigatoken, native, reference"):
        load_tokenizer(tmp_path / "vocab.json", engine="fast")


def test_gigatoken_gives_the_references_ids(tmp_path):
    pytest.importorskip("gigatoken")
    write_bpe(tmp_path)
    texts = ["he said hehe", "", "x <|endoftext|> y", "héhe 中"]
    fast = load_tokenizer(tmp_path / "vocab.json", engine="gigatoken", sample_one_in=1)
    ids, lengths = fast.encode_batch(texts)
    expected = load_tokenizer(tmp_path / "vocab.json", engine="reference").encode_batch(texts)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(lengths, expected[1])


def test_a_registered_engine_goes_first(tmp_path, own_registry):
    register_engine("mine", ReferenceEngine)
    assert load_tokenizer(write_vocabulary(tmp_path)).refusals == {}
    assert next(iter(registry.ENGINES)) == "mine"


def test_a_difference_stops_the_run_with_the_shortest_text(tmp_path, own_registry):
    register_engine("wrong", WrongAboutZ)
    tokenizer = load_tokenizer(write_vocabulary(tmp_path), engine="wrong")
    tokenizer.encode_batch(["the world of z"])
    with pytest.raises(EngineMismatchError, match=r"engine 'wrong' differs .* shortest differing text 'xz'") as caught:
        tokenizer.encode_batch(["hello world", "the axe of the wizard and other long words" * 3])
    assert caught.value.text == "xz"
    assert caught.value.found != caught.value.expected


def test_the_beginning_of_a_long_text_is_checked(tmp_path, own_registry):
    register_engine("wrong", WrongAboutZ)
    tokenizer = load_tokenizer(write_vocabulary(tmp_path), engine="wrong")
    with pytest.raises(EngineMismatchError):
        tokenizer.encode_batch(["x z " + "the " * 10_000])
    tokenizer.encode_batch(["the " * 10_000 + "x z"])


def test_native_is_checked_while_it_runs(tmp_path):
    path = write_vocabulary(tmp_path)
    texts = [*hard_texts(seed=8, count=300), "the world " * 4000]
    checked = load_tokenizer(path, engine="native", sample_one_in=1).encode_batch(texts, threads=2)
    expected = load_tokenizer(path, engine="reference").encode_batch(texts)
    np.testing.assert_array_equal(checked[0], expected[0])
    np.testing.assert_array_equal(checked[1], expected[1])


def test_special_tokens_around_texts(tmp_path):
    path = write_vocabulary(tmp_path)
    for engine in ("native", "reference"):
        tokenizer = load_tokenizer(path, engine=engine)
        ids, lengths = tokenizer.encode_batch(["the of", "", "[MASK]"], add_special_tokens=True)
        assert tokenizer.decode(ids) == "[CLS] the of [SEP] [CLS] [SEP] [CLS] [MASK] [SEP]"
        assert lengths.tolist() == [4, 2, 3]
        assert ids.dtype == lengths.dtype == np.int32
    (tmp_path / "other").mkdir()
    plain = load_tokenizer(write_tokenizer(tmp_path / "other"))
    assert plain.encode_batch(["the"], add_special_tokens=True)[1].tolist() == [1]


def test_arguments_are_checked(tmp_path):
    path = write_vocabulary(tmp_path)
    with pytest.raises(TokenizerError, match="threads=0"):
        load_tokenizer(path).encode_batch(["a"], threads=0)
    with pytest.raises(TokenizerError, match="sample_one_in=-1"):
        load_tokenizer(path, sample_one_in=-1)


def test_documents_do_not_depend_on_the_batches(tmp_path):
    tokenizer = load_tokenizer(write_vocabulary(tmp_path))
    texts = [*hard_texts(seed=9, count=300), ""]
    whole = list(encode_documents(tokenizer, iter(texts), append_eod=True))
    assert len(whole) == 1
    assert whole[0].lengths[-1] == 1
    assert whole[0].ids[-1] == tokenizer.roles.eod
    parts = list(encode_documents(tokenizer, texts, append_eod=True, batch_bytes=100, threads=2))
    assert len(parts) > 20
    np.testing.assert_array_equal(np.concatenate([part.ids for part in parts]), whole[0].ids)
    np.testing.assert_array_equal(np.concatenate([part.lengths for part in parts]), whole[0].lengths)
    assert list(encode_documents(tokenizer, [])) == []


def test_documents_need_an_end_token_to_append(tmp_path):
    pieces = ["[UNK]", "a", "##a"]
    tokenizer = load_tokenizer(write_vocabulary(tmp_path, pieces))
    with pytest.raises(TokenizerError, match="no token for eod"):
        next(iter(encode_documents(tokenizer, ["a"], append_eod=True)))

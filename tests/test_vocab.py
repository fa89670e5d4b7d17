"""Vocabularies: what is taken from a tokenizer, what contradicts itself, what never changes."""

import copy
import pickle

import numpy as np
import pytest
from helpers import GOLDEN
from tokenizers import AddedToken, Tokenizer, models

from maskgen.vocab import Vocab, VocabError

PIECES = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>", "<x0>", "<x1>", "sea", "##side", "", "light"]
ROLES = {"cls_id": 1, "sep_id": 2, "mask_id": 3, "pad_id": 0, "bos_id": 4, "eos_id": 5}


def make(**changes):
    return Vocab(**{"pieces": PIECES, "sentinel_ids": [6, 7], **ROLES, **changes})


def test_what_a_vocabulary_knows():
    vocab = make(special_ids=[11])
    assert len(vocab) == 12
    assert vocab.ids("cls", "eos") == [1, 5]
    assert vocab.sentinel_ids == (6, 7)
    assert vocab.known_ids.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11]  # 10 has no piece
    assert vocab.ordinary_ids.tolist() == [8, 9]
    assert vocab.special_ids == {0, 1, 2, 3, 4, 5, 6, 7, 11}
    assert np.flatnonzero(~vocab.word_starts).tolist() == [9]
    assert repr(vocab) == "Vocab('vocabulary': 12 ids, cls 1, sep 2, mask 3, pad 0, bos 4, eos 5, 2 sentinels)"


def test_it_does_not_change():
    vocab = make()
    with pytest.raises(AttributeError, match="does not change"):
        vocab.cls_id = 5
    with pytest.raises(AttributeError, match="does not change"):
        del vocab.pieces
    for array in (vocab.word_starts, vocab.known_ids, vocab.ordinary_ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    table = np.ones(12, bool)
    vocab = make(word_starts=table)
    table[:] = False
    assert vocab.word_starts.all()


def test_copies_are_equal():
    vocab = make(word_starts=[i % 2 == 0 for i in range(12)], special_ids=[8], name="a name")
    for other in (pickle.loads(pickle.dumps(vocab)), copy.deepcopy(vocab)):
        assert repr(other) == repr(vocab)
        for name in Vocab.__slots__:
            assert np.array_equal(getattr(other, name), getattr(vocab, name)), name
        assert not other.word_starts.flags.writeable


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pieces": []}, "0 ids and no piece"),
        ({"pieces": ["", ""]}, "2 ids and no piece"),
        ({"pieces": "abc"}, "pieces in a str"),
        ({"pieces": {"a": 0}}, "pieces in a dict"),
        ({"pieces": ["a", None]}, "a NoneType as the piece of id 1"),
        ({"cls_id": 12}, "cls_id 12, expected an id from 0 to 11"),
        ({"pad_id": -1}, "pad_id -1"),
        ({"sep_id": 1.0}, "sep_id 1.0"),
        ({"sep_id": "1"}, "sep_id '1'"),
        ({"eos_id": True}, "eos_id True"),
        ({"sentinel_ids": [6, 12]}, "sentinel_ids 12"),
        ({"special_ids": [99]}, "special_ids 99"),
        ({"sep_id": 1}, r"id 1 \('\[CLS\]'\) as cls and as sep"),
        ({"pad_id": 3}, "as mask and as pad"),
        ({"eos_id": 3}, "as mask and as eos"),
        ({"sentinel_ids": [6, 6]}, "as a sentinel and as another sentinel"),
        ({"sentinel_ids": [6, 2]}, "as a sentinel and as sep"),
        ({"word_starts": "syllables"}, "word_starts='syllables'"),
        ({"word_starts": [True]}, r"word_starts of bool with the shape \(1,\)"),
        ({"word_starts": list(range(12))}, "word_starts of int64"),
        ({"pieces": ["plain"] * 12}, "no piece of this vocabulary"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(VocabError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    "shared", [{"bos_id": 1, "eos_id": 2}, {"bos_id": 0}, {"bos_id": 5}, {"bos_id": 2, "eos_id": 2}, {"eos_id": 0}]
)
def test_ids_that_well_known_vocabularies_share(shared):
    vocab = make(**shared)
    for name, id_ in shared.items():
        assert getattr(vocab, name) == id_


def test_missing_roles_are_named():
    vocab = Vocab(["a", "##b"], pad_id=0)
    vocab.require("pad")
    with pytest.raises(VocabError, match=r"no id for mask \(known: pad 0\).*mask_id"):
        vocab.require("pad", "mask")
    with pytest.raises(VocabError, match=r"no sentinels.*sentinel_ids"):
        vocab.ids("sentinels")
    with pytest.raises(VocabError, match=r"the role 'king'"):
        vocab.require("king")
    assert isinstance(VocabError("a", "b", "c", "d"), ValueError)


@pytest.mark.parametrize(
    ("pieces", "rule"),
    [(["a", "##b"], "wordpiece"), (["a", "Ġb", "Ġc"], "byte-bpe"), (["a", "▁b", "▁c"], "sentencepiece")],
)
def test_word_starts_are_told_from_the_pieces(pieces, rule):
    starts = Vocab(pieces).word_starts.tolist()
    assert starts == Vocab(pieces, word_starts=rule).word_starts.tolist()
    assert starts == ([True, False] if rule == "wordpiece" else [False, True, True])


def test_from_a_vocab_txt():
    vocab = Vocab.from_tokenizer(GOLDEN / "bert-base-uncased-vocab.txt")
    assert vocab.pieces == tuple((GOLDEN / "bert-base-uncased-vocab.txt").read_text().splitlines())
    assert vocab.ids("cls", "sep", "mask", "pad") == [101, 102, 103, 0]
    assert (vocab.bos_id, vocab.eos_id, vocab.sentinel_ids) == (None, None, ())
    assert vocab.special_ids == {0, 100, 101, 102, 103}
    assert np.array_equal(vocab.known_ids, np.arange(30522))
    assert len(vocab.ordinary_ids) == 30517
    assert len(repr(vocab)) < 200


def test_an_added_token_hides_the_piece_that_has_its_id(tmp_path):
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "##a": 1, "sea": 3}, unk_token="[UNK]"))
    tokenizer.add_tokens(["lighthouse"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert Vocab.from_tokenizer(tmp_path).pieces == ("[UNK]", "##a", "", "lighthouse")


def test_from_a_tokenizer_with_gaps_and_added_tokens(tmp_path):
    pieces = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[MASK]": 3, "[UNK]": 4, "sea": 20, "##side": 23}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.add_tokens(["lighthouse"])
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("[X]", "<extra_id_1>", "<extra_id_0>")])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vocab = Vocab.from_tokenizer(tmp_path)
    ids = tokenizer.get_vocab(with_added_tokens=True)
    assert len(vocab) == 24 > len(ids)
    assert {id_: piece for id_, piece in enumerate(vocab.pieces) if piece} == {id_: piece for piece, id_ in ids.items()}
    assert set(vocab.known_ids.tolist()) == set(ids.values())
    assert vocab.sentinel_ids == (ids["<extra_id_0>"], ids["<extra_id_1>"])
    assert sorted(vocab.pieces[id_] for id_ in vocab.ordinary_ids) == ["##side", "lighthouse", "sea"]
    chosen = Vocab.from_tokenizer(tmp_path, roles={"bos": "[PAD]", "eos": "[X]"}, sentinel_ids=[ids["lighthouse"]])
    assert (chosen.bos_id, chosen.eos_id) == (0, ids["[X]"])
    assert chosen.sentinel_ids == (ids["lighthouse"],)

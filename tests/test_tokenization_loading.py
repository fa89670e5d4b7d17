"""Tokenizer files of every form, good and bad, and the roles found in them."""

import json

import pytest
from tokenizer_files import small_vocabulary, write_bpe, write_tokenizer, write_vocabulary
from tokenizers import Tokenizer

from preprocess.tokenization import TokenizerError, load_tokenizer
from preprocess.tokenization.loading import load_reference


def test_vocab_txt_options(tmp_path):
    path = write_vocabulary(tmp_path)

    def tokens(text, **options):
        loaded = load_reference(path, **options)
        return loaded.tokenizer.encode(text, add_special_tokens=False).tokens

    assert tokens("Token É") == ["token", "e"]
    assert tokens("Token é", lowercase=False) == ["Token", "é"]
    assert tokens("Token é", lowercase=False, strip_accents=True) == ["Token", "e"]
    assert tokens("Token É", strip_accents=False) == ["token", "é"]


def test_vocab_txt_takes_options_from_the_configuration(tmp_path):
    path = write_vocabulary(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "strip_accents": true}')
    assert load_reference(tmp_path).tokenizer.encode("Token é").tokens == ["[CLS]", "Token", "e", "[SEP]"]
    assert load_reference(path, lowercase=True).tokenizer.encode("Token").tokens[1] == "token"


def test_vocab_txt_equals_tokenizers_own_reading(tmp_path):
    """Duplicates, trailing white space, carriage returns, an empty line in the middle."""
    path = tmp_path / "vocab.txt"
    path.write_bytes("[UNK]\nthe\n\nof \nthe\nx\u3000\r\n##s\n中".encode())
    from tokenizers.models import WordPiece

    assert load_reference(path).tokenizer.get_vocab() == WordPiece.read_file(str(path))


def test_directory_forms(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
    write_tokenizer(tmp_path / "a")
    write_vocabulary(tmp_path / "b")
    write_bpe(tmp_path / "c")
    assert load_tokenizer(tmp_path / "a").engine == "native"
    assert load_tokenizer(tmp_path / "b").engine == "native"
    bpe = load_tokenizer(tmp_path / "c", engine="reference")
    assert bpe.encode_batch(["hehe h"])[0].tolist() == bpe.encode_batch([b"hehe h"])[0].tolist()
    assert bpe.decode(bpe.encode_batch(["hehe hé"])[0]) == "hehe hé"
    assert load_tokenizer(tmp_path / "c" / "merges.txt", engine="reference").digest == bpe.digest
    (tmp_path / "d" / "readme.md").write_text("x")
    with pytest.raises(TokenizerError, match=r"found readme.md, expected tokenizer.json"):
        load_tokenizer(tmp_path / "d")


def test_sentencepiece(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    corpus = tmp_path / "corpus.txt"
    lines = [
        f"The {word} of the {other} is number {i}."
        for i, (word, other) in enumerate(zip("abcdefgh" * 30, "xyz" * 80, strict=True))
    ]
    corpus.write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "spiece"), vocab_size=45, model_type="unigram", minloglevel=9
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spiece.model"))
    tokenizer = load_tokenizer(tmp_path)
    for text in ["The number of the abc.", "  spaces   everywhere ", "x", "ﬁ \uff11\uff12 é", ""]:
        assert tokenizer.encode_batch([text])[0].tolist() == processor.encode(text)
    assert tokenizer.roles.unk == processor.unk_id()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"{", "found no tokenizer"),
        ("tokenizer.json", b'{"model": 3}', "found no tokenizer"),
        ("tokenizer.json", b"[]", "found no tokenizer"),
        ("tokenizer.json", b"\xff\xfe", "invalid UTF-8 at byte 0"),
        ("tokenizer.json", b"", "found no tokenizer"),
        ("vocab.txt", b"", "0 lines without"),
        ("vocab.txt", b"just\nsome\nwords\n", "3 lines without"),
        ("vocab.txt", b"\x80abc", "invalid UTF-8 at byte 0"),
        ("spiece.model", b"\x00\x01\x02 not a model", "no SentencePiece model"),
        ("spiece.model", b"", "no SentencePiece model"),
        ("spiece.model", b"\x0a\xff\xff\xff\xff\x7f", "no SentencePiece model"),
        ("vocab.json", b"{}", "no merges.txt"),
        ("archive.bin", b"PK\x03\x04", "found no tokenizer"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TokenizerError, match=message) as caught:
        load_tokenizer(path)
    assert name in str(caught.value)


def test_bad_merges(tmp_path):
    write_bpe(tmp_path)
    for content, message in ((b"h\n", "line 1.*two pieces"), (b"h zzz\n", "merges of pieces")):
        (tmp_path / "merges.txt").write_bytes(content)
        with pytest.raises(TokenizerError, match=message):
            load_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_bytes(b'{"a": "b"}')
    with pytest.raises(TokenizerError, match="token: id pairs"):
        load_tokenizer(tmp_path)


def test_missing_file_and_misplaced_options(tmp_path):
    with pytest.raises(TokenizerError, match="found nothing there"):
        load_tokenizer(tmp_path / "nowhere")
    path = write_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match=r"with a vocab\.txt only"):
        load_tokenizer(path, lowercase=False)
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(TokenizerError, match="found a list, expected a JSON object"):
        load_tokenizer(path)


def test_truncation_and_padding_are_turned_off(tmp_path):
    path = write_tokenizer(tmp_path)
    raw = Tokenizer.from_file(path)
    raw.enable_truncation(4)
    raw.enable_padding(length=8)
    raw.save(path)
    for engine in ("native", "reference"):
        tokenizer = load_tokenizer(path, engine=engine)
        assert tokenizer.encode_batch(["the of " * 5, "the"])[1].tolist() == [10, 1]
        assert tokenizer.ignored == ("truncation to 4 tokens", "padding")


def test_roles(tmp_path):
    pieces = [*small_vocabulary(), "<extra_id_1>", "<extra_id_0>", "[EOD]"]
    path = write_tokenizer(tmp_path, pieces=pieces)
    roles = load_tokenizer(path, require=["cls", "sep", "mask", "pad", "unk", "eod", "sentinels"]).roles
    names = [pieces[i] for i in (roles.cls, roles.sep, roles.mask, roles.pad, roles.unk, roles.eod)]
    assert names == ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[EOD]"]
    assert [pieces[i] for i in roles.sentinels] == ["<extra_id_0>", "<extra_id_1>"]
    assert roles.bos is None
    assert load_tokenizer(path, roles={"bos": "the"}).roles.bos == pieces.index("the")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"cls_token": {"content": "of"}, "sep_token": "nope"}))
    roles = load_tokenizer(path).roles
    assert (roles.cls, roles.sep) == (pieces.index("of"), pieces.index("[SEP]"))


def test_missing_roles(tmp_path):
    write_bpe(tmp_path)
    path = tmp_path
    with pytest.raises(TokenizerError) as caught:
        load_tokenizer(path, engine="reference", require=["eod", "cls", "mask"])
    assert "no token for cls, mask; special tokens here: <|endoftext|>" in str(caught.value)
    assert "cls ([CLS] or <cls> or <s>)" in str(caught.value)
    with pytest.raises(TokenizerError, match="no token 'xyz' for the role cls"):
        load_tokenizer(path, engine="reference", roles={"cls": "xyz"})
    for options in ({"roles": {"king": "he"}}, {"require": ["king"]}):
        with pytest.raises(TokenizerError, match="the role 'king'"):
            load_tokenizer(path, engine="reference", **options)


def test_ids_beyond_the_dtype(tmp_path):
    tokenizer = load_tokenizer(write_vocabulary(tmp_path))
    tokenizer.check_dtype("uint16")
    assert tokenizer.dtype == "uint16"
    with pytest.raises(TokenizerError, match=r"found ids up to \d+, expected ids that fit into uint8; use .* uint16"):
        tokenizer.check_dtype("uint8")
    pieces = small_vocabulary() + [f"x{i}" for i in range(70000)]
    large = load_tokenizer(write_vocabulary(tmp_path, pieces))
    assert large.dtype == "int32"
    assert large.encode_batch(["x69999"])[0].tolist() == [len(pieces) - 1] or large.encode_batch(["x69999"])[0].size
    with pytest.raises(TokenizerError, match="fit into uint16; use a wider dtype such as int32"):
        large.check_dtype("uint16")

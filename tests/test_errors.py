"""Expected errors say where, what was found, what was expected and what to do, also after a trip to another process."""

import pickle

import pytest

from maskgen.vocab import VocabError
from preprocess import IndexedDatasetError
from preprocess.corpora.errors import CorpusError
from preprocess.errors import ExplainedError, MaskgenError
from preprocess.tokenization.errors import EngineUnsupportedError, TokenizerError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (IndexedDatasetError("a.idx", "header", "1", "2", "do it"), "a.idx: header: found 1, expected 2; do it"),
        (CorpusError("a.jsonl", "", "1", "2", "do it", "null"), "a.jsonl: found 1, expected 2; do it"),
        (TokenizerError("a.json", "1", "2", "do it"), "a.json: found 1, expected 2; do it"),
        (EngineUnsupportedError("fast", "1", "do it"), "engine 'fast': found 1, expected a tokenizer that .*; do it"),
        (VocabError("a.json", "1", "2", "do it"), "a.json: found 1, expected 2; do it"),
    ],
)
def test_errors_explain_themselves_and_travel(error, message):
    assert isinstance(error, (ExplainedError, MaskgenError, ValueError))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    with pytest.raises(type(error), match=f"^{message}$"):
        raise copy

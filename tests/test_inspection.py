"""The figures that inspect shows, against numpy on everything at once."""

import numpy as np
import pytest
from helpers import write_dataset
from pipeline_runs import run, write_jsonl

from maskgen import inspection
from preprocess import IndexedDataset
from preprocess.pipeline.options import Options


@pytest.mark.parametrize("size", [1, 2, 3, 99, 100, 101, 5000])
def test_percentiles_are_those_of_numpy(size):
    values = np.random.RandomState(size).randint(0, 300, size)
    chunks = iter(np.array_split(values, 7))
    expected = np.percentile(values, inspection.PERCENTILES, method="inverted_cdf")
    assert inspection.percentiles(chunks) == expected.tolist()


def test_document_lengths_across_chunks(tmp_path, monkeypatch):
    rng = np.random.RandomState(1)
    documents = [[[1] * rng.randint(0, 9) for _ in range(rng.randint(0, 4))] for _ in range(50)]
    dataset = IndexedDataset(write_dataset(tmp_path / "a", documents))
    expected = [sum(map(len, document)) for document in documents]
    for chunk in (1, 7, 50, 1000):
        monkeypatch.setattr(inspection, "CHUNK", chunk)
        assert np.concatenate(list(inspection.document_lengths(dataset))).tolist() == expected


def test_origin_is_shown_where_it_was_kept(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", ["hello", "world"])
    kept = IndexedDataset(run(corpus, tmp_path / "kept", Options(provenance=True)).prefixes[0])
    assert inspection.show_origin(kept, -1) == f"  from {corpus}, line 2\n"
    plain = IndexedDataset(run(corpus, tmp_path / "plain").prefixes[0])
    assert inspection.show_origin(plain, 0) == ""

r"""Texts inside JSON strings, for engines that take only texts: the definition of what `encode_json` gives.

spans --unescaped one by one--> texts --engine.encode_batch--> ids, narrowed
     \--no text--> length -1
"""

import numpy as np

from preprocess.corpora.errors import BadRecordError
from preprocess.corpora.json_line import read_json_string
from preprocess.tokenization.engines import Engine, JsonBatch, Spans, Text


def decode_span(data: memoryview | bytes, spans: Spans, row: int) -> str:
    """The text of one span; BadRecordError where it is none."""
    begin, end = spans[row].tolist()
    return read_json_string(bytes(data[begin:end]))


def encode_spans(engine: Engine, data: memoryview | bytes, spans: Spans, itemsize: int) -> JsonBatch:
    """See Tokenizer.encode_json; `sampled` is what the engine chose."""
    check_spans(spans, len(data))
    lengths = np.zeros(len(spans), dtype=np.int32)
    rows: list[int] = []
    texts: list[Text] = []
    for row in np.flatnonzero(spans[:, 0] >= 0).tolist():
        try:
            texts.append(decode_span(data, spans, row))
            rows.append(row)
        except BadRecordError:
            lengths[row] = -1
    batch = engine.encode_batch(texts, 1)
    lengths[rows] = batch.lengths
    ids = batch.ids if itemsize == 4 else batch.ids.astype(np.uint16)
    if itemsize == 2 and len(ids) and int(batch.ids.max()) > np.iinfo(np.uint16).max:
        raise OverflowError("an id does not fit into uint16")
    return JsonBatch(ids, lengths, [rows[index] for index in batch.sampled])


def check_spans(spans: Spans, size: int) -> None:
    """Raise ValueError unless every span lies inside `size` bytes, or is (-1, -1)."""
    if spans.dtype != np.int64 or spans.ndim != 2 or spans.shape[1] != 2:
        raise ValueError("spans must be a C-contiguous array int64[n, 2]")
    begins, ends = spans[:, 0], spans[:, 1]
    fine = ((begins >= 0) & (begins <= ends) & (ends <= size)) | ((begins == -1) & (ends == -1))
    if not fine.all():
        row = int(np.argmin(fine))
        raise ValueError(f"span {row} ({begins[row]}, {ends[row]}) is not inside the {size} bytes")

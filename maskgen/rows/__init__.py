"""Rows of a fixed number of tokens, made of whole documents or of a stream of them: what masking schemes work on.

dataset --Chunks | PackedDocuments | Documents--> pieces of documents, row by row --gather--> RowBatch

``rows.tokens(indices)`` is a pure function of the dataset, the arguments and the indices.
"""

from maskgen.rows.base import RowSource
from maskgen.rows.batch import RowBatch
from maskgen.rows.chunks import Chunks
from maskgen.rows.packed import Documents, PackedDocuments
from maskgen.rows.pieces import Pieces

__all__ = ["Chunks", "Documents", "PackedDocuments", "Pieces", "RowBatch", "RowSource"]

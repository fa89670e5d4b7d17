"""How full the rows of a dataset are, by kind and strategy, as ``maskgen pack`` prints it."""

from collections.abc import Sequence
from typing import Any

from maskgen.rows.base import RowSource
from maskgen.rows.chunks import Chunks
from maskgen.rows.packed import Documents, PackedDocuments, PlannedRows
from preprocess import IndexedDataset

KINDS = ("best-fit", "sequential", "chunks", "documents")


def rows_of_kind(
    kind: str, dataset: IndexedDataset, seq_length: int, documents: range, special: tuple[int, int] | None
) -> RowSource:
    """The rows of one of KINDS."""
    if kind == "chunks":
        return Chunks(dataset, seq_length, documents=documents, add_special=special)
    if kind == "documents":
        return Documents(dataset, seq_length, documents=documents, add_special=special)
    return PackedDocuments(dataset, seq_length, strategy=kind, documents=documents, add_special=special)


def facts_of(rows: RowSource, kind: str) -> dict[str, Any]:
    """What there is to know about rows without reading a token."""
    facts: dict[str, Any] = {
        "kind": kind,
        "rows": len(rows),
        "entries": rows.entries,
        "efficiency": rows.efficiency,
        "cut_documents": rows.cut_documents,
    }
    if isinstance(rows, PlannedRows):
        facts["pieces"] = len(rows.plan.pieces)
        facts["empty_documents"] = rows.empty_documents
    return facts


def as_lines(dataset: IndexedDataset, documents: range, seq_length: int, all_facts: Sequence[dict[str, Any]]) -> str:
    """The facts as lines of text."""
    lines = [f"{dataset.prefix}", f"  documents   {len(documents):,}, rows of {seq_length:,}"]
    for facts in all_facts:
        line = f"  {facts['kind']:<10}  {facts['rows']:,} rows, {facts['efficiency']:.2%} full"
        if "pieces" in facts and facts["rows"]:
            line += f", {facts['pieces'] / facts['rows']:.2f} pieces a row"
        lines.append(f"{line}, {facts['cut_documents']:,} documents cut")
    return "\n".join(lines) + "\n"

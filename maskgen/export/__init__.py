"""Masked samples as Parquet files, which ``datasets.load_dataset`` reads: masks drawn once, for trainers of others.

samples --batches--> columns (Hugging Face's names, or our own) --shards--> OUTPUT/data/*.parquet, OUTPUT/export.json
"""

from maskgen.export.run import ExportError, Manner, export_samples
from maskgen.export.settings import ExportSettings

__all__ = ["ExportError", "ExportSettings", "Manner", "export_samples"]

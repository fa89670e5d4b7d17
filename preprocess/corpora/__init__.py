"""Raw text in every shape that corpora come in: files found, opened, decompressed, cut into documents."""

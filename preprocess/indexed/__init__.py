"""The indexed dataset: its bytes, reading, writing, merging, verifying."""

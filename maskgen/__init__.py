"""Online half of maskgen: indexed datasets to masked training batches, and the ``maskgen`` command."""

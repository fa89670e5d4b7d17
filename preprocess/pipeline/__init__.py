"""Raw text on disk to finished datasets.

    inputs, tokenizer, options --plan.py--> plan: a list of shards, with a digest
    plan, shard number --shard.py--> the shard's files and its receipt, the same bytes whoever runs it and however often
    all receipts --finish.py--> PREFIX_{key}_{document|sentence}.bin/.idx/.json, in the order of the plan

run.py ties these together; executors/ decide where the shards run.
"""

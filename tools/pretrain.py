#!/usr/bin/env python3
r"""Train on several devices: `maskgen train`, with the same flags, as a script that torchrun can start.

    torchrun --nproc-per-node 8 tools/pretrain.py --data corpus_text_sentence --tokenizer vocab.txt \
        --size base --steps 20000 --batch-size 1024 --micro-batch 64 --output bert-base

`maskgen train --help` says what the flags are.
"""

import sys

from maskgen.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))

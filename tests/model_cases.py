"""What the tests of models share: small networks with weights that are not special, and batches with padding."""

import torch

from maskgen.train.models import EncoderConfig, build_discriminator, build_masked_lm

SMALL = {"vocab_size": 61, "hidden_size": 32, "layers": 3, "heads": 4, "intermediate_size": 48, "max_positions": 40}


def config(architecture="bert", **others):
    return EncoderConfig(architecture, **{**SMALL, "pad_id": 3, **others})


def shaken(network, seed=5):
    """Biases and norms that are neither 0 nor 1, so that a swapped or forgotten one shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def masked_lm(architecture="bert", *, pairs=False, **others):
    return shaken(build_masked_lm(config(architecture, **others), pairs=pairs))


def discriminator(architecture="bert", **others):
    return shaken(build_discriminator(config(architecture, **others)))


def padded_batch(lengths=(12, 5, 20, 1), width=20, seed=7):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, 61, (len(lengths), width), generator=generator)
    types = torch.randint(0, 2, (len(lengths), width), generator=generator)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    # Types of padding hold the padding id, as in the samples.
    return {
        "text": torch.where(mask.bool(), tokens, 3),
        "padding_mask": mask,
        "types": torch.where(mask.bool(), types, 3),
    }


def packed_batch(rows=((5, 9, 4), (20,), (3, 3), (7, 1, 12)), width=20, seed=7):
    """Rows of documents, with the arrays that documents=True adds."""
    generator = torch.Generator().manual_seed(seed)
    batch = {
        "text": torch.full((len(rows), width), 3),
        "padding_mask": torch.zeros(len(rows), width, dtype=torch.long),
        "document_ids": torch.full((len(rows), width), -1),
        "positions": torch.zeros(len(rows), width, dtype=torch.long),
    }
    for row, lengths in enumerate(rows):
        start = 0
        for number, length in enumerate(lengths):
            places = slice(start, start + length)
            batch["text"][row, places] = torch.randint(4, 61, (length,), generator=generator)
            batch["padding_mask"][row, places] = 1
            batch["document_ids"][row, places] = number
            batch["positions"][row, places] = torch.arange(length)
            start += length
    return batch


def documents(batch):
    """(row, places) of each document."""
    for row, ids in enumerate(batch["document_ids"]):
        for number in range(int(ids.max()) + 1):
            yield row, (ids == number).nonzero().squeeze(1)

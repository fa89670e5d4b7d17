"""What training is compared with: the same networks in transformers, in a plain loop.

rows of ids --DataLoader, DataCollatorForLanguageModeling--> batches --loss of the model--> backward, clip, AdamW
"""

import importlib
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from maskgen.train.distributed import World
from maskgen.train.metrics import Clock
from maskgen.train.settings import TrainSettings
from maskgen.train.setup import autocast

IGNORED = -100


class Yardstick:
    """The networks that were exported to the output folder of `settings`, trained as examples of transformers do."""

    def __init__(
        self,
        settings: TrainSettings,
        device: torch.device,
        precision: str,
        rows: list[list[int]],
        workers: int,
        flops: float,
    ) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        transformers: Any = importlib.import_module("transformers")
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.device, self.precision, self.flops = device, precision, flops
        model = os.path.join(settings.output, "model")
        self.generator: Any = None
        if settings.objective == "electra":
            self.generator = transformers.AutoModelForMaskedLM.from_pretrained(f"{settings.output}/generator")
            self.model = transformers.ElectraForPreTraining.from_pretrained(model)
            self.generator.set_input_embeddings(self.model.get_input_embeddings())
            self.generator.tie_weights()
        else:
            self.model = transformers.AutoModelForMaskedLM.from_pretrained(model)
        networks = [network for network in (self.generator, self.model) if network is not None]
        for network in networks:
            network.to(device).train()
        self.parameters = list(dict.fromkeys(each for network in networks for each in network.parameters()))
        self.optimizer = torch.optim.AdamW(self.parameters, lr=float(settings.lr or 0), weight_decay=0.01)
        if settings.compile:
            for network in networks:
                network.compile()
        rows_at_once = settings.micro_batch or int(settings.batch_size or 0)
        self.parts = int(settings.batch_size or 0) // rows_at_once
        self.loader: DataLoader[Any] = DataLoader(
            [{"input_ids": row} for row in rows],  # type: ignore[arg-type]
            batch_size=rows_at_once,
            shuffle=True,
            drop_last=True,
            collate_fn=transformers.DataCollatorForLanguageModeling(
                transformers.AutoTokenizer.from_pretrained(model), mlm_probability=0.15
            ),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )
        self.batches = self._batches()
        self.clock, self.world = Clock(), World(device=device)
        attention = getattr(self.model.config, "_attn_implementation", "?")
        names = " + ".join(type(network).__name__ for network in networks)
        self.name = f"{names.replace('ElectraForMaskedLM + Electra', 'ElectraForMaskedLM + ')} ({attention})"

    def steps(self, count: int) -> dict[str, float]:
        """Do so many, and say how fast; the device has finished them."""
        self.clock.interval(self.world)  # what others did meanwhile does not count
        for _ in range(count):
            self._step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self.clock.interval(self.world)

    def _step(self) -> None:
        seen = []
        for _ in range(self.parts):
            with self.clock.waiting():
                batch = next(self.batches)
            seen.append(batch["input_ids"])
            batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
            with autocast(self.precision, self.device):
                loss = self._electra(**batch) if self.generator is not None else self.model(**batch).loss
            (loss / self.parts).backward()
        float(torch.nn.utils.clip_grad_norm_(self.parameters, 1.0))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        text = torch.cat(seen)
        self.clock.count({"text": text, "lengths": torch.full((len(text),), text.shape[1])}, self.flops)

    def _electra(self, input_ids: torch.Tensor, labels: torch.Tensor, **others: torch.Tensor) -> torch.Tensor:
        """The losses of both networks, with weights 1 and 50."""
        guessed = self.generator(input_ids=input_ids, labels=labels, **others)
        masked = labels != IGNORED
        with torch.no_grad():
            sampled = torch.multinomial(guessed.logits[masked].float().softmax(-1), 1).squeeze(1)
            corrupted = input_ids.masked_scatter(masked, sampled)
            replaced = corrupted != torch.where(masked, labels, input_ids)
        found = self.model(input_ids=corrupted, labels=replaced.long(), **others)
        loss: torch.Tensor = guessed.loss + 50.0 * found.loss
        return loss

    def _batches(self) -> Iterator[dict[str, torch.Tensor]]:
        while True:
            for batch in self.loader:
                yield dict(batch)

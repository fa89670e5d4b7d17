"""What a Predictor found, as lines for people or for programs.

texts --Predictor.top | Predictor.fill--> tokens and probabilities --> text | a JSON object each
texts --denoise_texts--> texts without masks --> the same
"""

import json
from collections.abc import Sequence
from typing import Any

from maskgen.train.denoising import History, denoise_texts
from maskgen.train.predict import Predictor, Step

USUAL = {False: 5, True: 1}  # candidates of a mask, of those that are filled one after the other


def answers(
    predictor: Predictor, texts: Sequence[str], *, k: int | None = None, iterative: bool = False, as_json: bool = False
) -> list[str]:
    """Of each text, what to print."""
    count = USUAL[iterative] if k is None else k
    if iterative:
        filled = predictor.fill(texts, count)
        parts = [("steps", each.steps, {"filled": each.text}) for each in filled]
    else:
        found = predictor.top(texts, count)
        parts = [("masks", [Step(*pair) for pair in enumerate(masks)], {}) for masks in found]
    show = _as_json if as_json else _as_text
    return [show(text, *part) for text, part in zip(texts, parts, strict=True)]


def _as_json(text: str, name: str, steps: Sequence[Step], others: dict[str, str]) -> str:
    found: list[dict[str, Any]] = [
        {"mask": step.mask, "candidates": [each._asdict() for each in step.candidates]} for step in steps
    ]
    return json.dumps({"text": text, **others, name: found})


def _as_text(text: str, _name: str, steps: Sequence[Step], others: dict[str, str]) -> str:
    lines = [text]
    for step in steps:
        for place, offer in enumerate(step.candidates):
            begin = "" if place else f"mask {step.mask + 1}"
            lines.append(f"  {begin:<8}{offer.probability:8.4f}  {offer.token}")
    return "\n".join([*lines, *(f"  {other}" for other in others.values())])


def written(
    predictor: Predictor, texts: Sequence[str], *, as_json: bool, history: History | None, **options: Any
) -> list[str]:
    """Of each text, what to print of it filled step by step; `options` are those of denoise_texts."""
    found = denoise_texts(predictor, texts, history=history, **options)
    if not as_json:
        return [f"{each.text}\n  masks: {each.masks}, steps: {each.steps}" for each in found]
    return [
        json.dumps({"text": text, "filled": each.text, "masks": each.masks, "steps": each.steps, "ids": each.ids})
        for text, each in zip(texts, found, strict=True)
    ]

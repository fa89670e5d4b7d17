"""The two corpora of the demo: texts that are here already, so that nothing is downloaded.

demo_corpus.txt, one document a line                  -> ``small``: 40 documents, the same bytes everywhere
pydoc_data.topics, which ``help("if")`` shows from it -> ``python``: sections, one paragraph a line
"""

import json
import re
import sys
from importlib import import_module, resources

HEADING = re.compile(r"\n(?=[^\n]+\n(?:={4,}|\*{4,}|-{4,}|~{4,}|\^{4,})\n)")  # a section begins after it
DECORATION = re.compile(r"(?m)^ *(?:([=*~^-])\1{3,} *|\+[-=].*|\|.*)$")  # rules below titles, tables
PARAGRAPH_END = re.compile(r"\n\s*\n")
SHORTEST = 80  # characters of a section


def small() -> list[str]:
    """The documents that come with this package."""
    return resources.files("maskgen").joinpath("demo_corpus.txt").read_text(encoding="utf-8").splitlines()


def python() -> tuple[list[str], str]:
    """Sections of Python's reference and what they are; the small corpus where Python came without it."""
    try:
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except ModuleNotFoundError:
        return (
            small(),
            "the small corpus again: this Python came without pydoc_data, and little can be learned from that",
        )
    seen: set[str] = set()  # many topics are parts of others; what is validated on must not be trained on
    documents = []
    for _, topic in sorted(topics.items()):
        for section in HEADING.split(topic):
            paragraphs = (" ".join(text.split()) for text in PARAGRAPH_END.split(DECORATION.sub("", section)))
            new = [text for text in dict.fromkeys(paragraphs) if text and text not in seen]
            seen.update(new)
            if sum(map(len, new)) >= SHORTEST:
                documents.append("\n".join(new))
    return documents, f"the reference of Python {sys.version_info.major}.{sys.version_info.minor}, which came with it"


def write(documents: list[str], path: str) -> None:
    """Write documents as JSON lines."""
    with open(path, "w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")

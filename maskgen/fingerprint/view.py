"""A comparison as ``maskgen fingerprint --check`` prints it. The last line says how it ended."""

from collections.abc import Mapping

from maskgen.fingerprint.file import Comparison, versions


def comparison_lines(result: Comparison, path: str, then: Mapping[str, str]) -> list[str]:
    """A line a stage, one of versions, and the verdict."""
    lines = [f"{name:<11} same" for name in result.same]
    if result.stage is not None:
        lines.append(f"{result.stage:<11} DIFFERENT")
    lines.append(f"versions    {version_words(then, versions())}")
    if result.stage is None:
        unread = (
            "" if result.read_all else ", the tokens by the sidecar and a look at 1,024 places; --full reads them all"
        )
        return [*lines, f"ok: as in {path}{unread}"]
    return [*lines, f"different from {path}, first in {result.stage}: {result.what}"]


def version_words(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The versions of now, with those of then where they were others."""
    names = [*now, *(name for name in then if name not in now)]
    words = []
    for name in names:
        before, after = then.get(name, "none"), now.get(name, "none")
        words.append(f"{name} {after}" if before == after else f"{name} {after} (then {before})")
    return ", ".join(words)

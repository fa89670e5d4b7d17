"""What can go wrong with a tokenizer or a text: where, what was found, what was expected, what to do."""

from preprocess.errors import ExplainedError, MaskgenError


class TokenizerError(ExplainedError):
    """A tokenizer that cannot be loaded, or that lacks what is asked of it."""

    def __init__(self, path: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(path, "", found, expected, remedy)


class EngineUnsupportedError(TokenizerError):
    """An engine that cannot serve this tokenizer, with the reason; ``auto`` takes the next one."""

    def __init__(self, engine: str, reason: str, remedy: str = 'use engine="auto" or engine="reference"') -> None:
        super().__init__(f"engine {engine!r}", reason, "a tokenizer that this engine serves exactly", remedy)
        self.engine = engine
        self.reason = reason


class TextError(MaskgenError, ValueError):
    """A text that has no ids: invalid UTF-8, half a surrogate pair, or no text at all."""

    def __init__(self, index: int, found: str, expected: str, remedy: str, offset: int | None = None) -> None:
        super().__init__(index, found, expected, remedy, offset)
        self.index = index
        self.found = found
        self.expected = expected
        self.remedy = remedy
        self.offset = offset

    def __str__(self) -> str:
        return f"text {self.index} of the batch: found {self.found}, expected {self.expected}; {self.remedy}"


class EngineMismatchError(MaskgenError):
    """An engine gave other ids than the reference: a bug of the engine, so the run must not go on with it."""

    def __init__(self, engine: str, text: str, found: list[int], expected: list[int]) -> None:
        super().__init__(engine, text, found, expected)
        self.engine = engine
        self.text = text
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return (
            f"engine {self.engine!r} differs from the reference; shortest differing text {self.text!r} "
            f"({self.text!a}): found ids {self.found}, expected {self.expected}; "
            'continue with engine="reference" and report this text'
        )


def invalid_utf8(index: int, offset: int) -> TextError:
    """The error for bytes that are not UTF-8, the same from every engine."""
    return TextError(
        index,
        f"invalid UTF-8 at byte {offset}",
        "valid UTF-8",
        "convert the text, or skip it with --on-error skip",
        offset,
    )


def lone_surrogate(index: int, offset: int) -> TextError:
    """The error for a str that holds half of a surrogate pair, the same from every engine."""
    return TextError(
        index,
        f"a lone surrogate at character {offset}",
        "text that has a UTF-8 form",
        "repair the escape sequence that it came from, or skip the text with --on-error skip",
        offset,
    )


def not_a_text(index: int, kind: str) -> TextError:
    """The error for anything but str and bytes, the same from every engine."""
    return TextError(index, f"a {kind}", "str or bytes (UTF-8)", "pass the text itself")

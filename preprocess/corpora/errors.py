"""What can be wrong with a corpus: one record that is no document, or a file that cannot be read as a whole."""

from dataclasses import dataclass

from preprocess.errors import ExplainedError

RAW_KEPT = 1 << 20  # bytes of a bad record that are kept for the quarantine file

# Why a record is no document. They are counted by these names, so they do not change.
NOT_JSON = "not JSON"
NOT_AN_OBJECT = "not a JSON object"
MISSING_KEY = "missing key"
DUPLICATE_KEY = "duplicate key"
NULL = "null"
NOT_TEXT = "not text"
INVALID_UTF8 = "invalid UTF-8"
LONE_SURROGATE = "lone surrogate"
TOO_DEEP = "nested too deep"
TOO_LONG = "line too long"
# Why a record is no pair of an image and its caption.
EMPTY_CAPTION = "empty caption"
BAD_IMAGE_NAME = "bad image name"
MISSING_IMAGE = "missing image"
UNREADABLE_IMAGE = "unreadable image"
# Why a whole file cannot be read.
CORRUPT_FILE = "corrupt file"
WRONG_ENCODING = "file in UTF-16 or UTF-32"

REMEDIES = {
    NOT_JSON: "repair the line: one JSON object a line, nothing else on it",
    NOT_AN_OBJECT: "one JSON object a line is needed; `jq -c '.[]'` turns an array into lines",
    MISSING_KEY: "name the key that holds the text with --json-keys",
    DUPLICATE_KEY: "keep one of the values",
    NULL: "remove the line, or give it a text",
    NOT_TEXT: "the key must hold text or a list of texts; name another one with --json-keys",
    INVALID_UTF8: "convert the file to UTF-8 (iconv -f ... -t utf-8)",
    LONE_SURROGATE: "repair the escape sequence: it is half of a character",
    TOO_DEEP: "flatten the object",
    TOO_LONG: "cut the document, or raise --max-line-bytes",
    EMPTY_CAPTION: "give the image a caption",
    BAD_IMAGE_NAME: "name files below the folder of the lines, or below --image-root; or --image-encoding base64",
    MISSING_IMAGE: "put the file there, or name its folder with --image-root",
    UNREADABLE_IMAGE: "replace the image",
    CORRUPT_FILE: "fetch or make the file again",
    WRONG_ENCODING: "convert the file to UTF-8 (iconv -f ... -t utf-8)",
}


class CorpusError(ExplainedError):
    """Input that is not what it has to be; `reason` is one of the names above where there is one."""

    def __init__(self, path: str, place: str, found: str, expected: str, remedy: str, reason: str = "") -> None:
        super().__init__(path, place, found, expected, remedy)
        self.reason = reason


class CorpusFileError(CorpusError):
    """A file that cannot be read to its end: none of it may be used, since nobody knows which part is wrong."""


class BadRecordError(Exception):
    """A record that is no document: why, and what exactly was found. Its place is known to whoever read it."""

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(reason, found)
        self.reason = reason
        self.found = found


@dataclass(frozen=True)
class Problem:
    """A bad record and its place."""

    reason: str
    found: str
    line: int  # 0-based, from the start of what was read (a file, or a range of one); a row in a table
    offset: int  # in bytes from the start of the (decompressed) file; 0 in a table
    raw: bytes  # its first RAW_KEPT bytes
    size: int  # all of its bytes

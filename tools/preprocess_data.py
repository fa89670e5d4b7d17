#!/usr/bin/env python3
"""Turn JSON lines into indexed datasets, with the flags of Megatron-LM's tool of the same name.

    python tools/preprocess_data.py --input corpus.jsonl --output-prefix corpus --workers 16 --split-sentences
        --tokenizer-type BertWordPieceLowerCase --vocab-file bert-vocab.txt

makes corpus_text_sentence.bin, .idx and .json. docs/megatron-flags.md lists what every flag does here; `maskgen
tokenize` does the same with fewer flags, and more besides.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace

from preprocess import MaskgenError
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.run import Manner, tokenize
from preprocess.pipeline.summary import Summary
from preprocess.pipeline.work_folder import BusyError, ResumeError
from preprocess.tokenization.loading import load_reference

PROGRAM = "preprocess_data.py"
INTERRUPTED = 130

WORDPIECE = {"BertWordPieceLowerCase": True, "BertWordPieceCase": False}  # and whether it makes lower case
SENTENCEPIECE = ("SentencePieceTokenizer", "GPTSentencePieceTokenizer", "Llama2Tokenizer")
TYPES = (*WORDPIECE, "GPT2BPETokenizer", "HuggingFaceTokenizer", *SENTENCEPIECE)
OTHER_TYPES = {
    "TikTokenizer": "convert it to a tokenizer.json and give that with --tokenizer-type HuggingFaceTokenizer",
    "NullTokenizer": "its text is token ids already: write them with preprocess.IndexedDatasetWriter",
    "NullMultimodalTokenizer": "its text is token ids already: write them with preprocess.IndexedDatasetWriter",
    "MultimodalTokenizer": "give the text tokenizer that it wraps with --tokenizer-type HuggingFaceTokenizer",
    "SFTTokenizer": "give the text tokenizer that it wraps with --tokenizer-type HuggingFaceTokenizer",
}

MODEL = "the size of the model's embedding is the model's own matter, and no id depends on it"
OTHER_KIND = "it is for kinds of tokenizers that are not read here"
SEARCH = "there is nothing to search for: as many --workers as cores are best, and all of the input is tokenized"
# Flags that decide nothing here: how many values follow, and why they do nothing.
NO_EFFECT: dict[str, tuple[int | str, str]] = {
    "--partitions": (1, "the work is cut into shards by itself, and documents keep the order of the input"),
    "--keep-sequential-samples": (0, "documents always keep the order of the input"),
    "--log-interval": (1, "progress is shown as a bar, on a terminal only"),
    "--chunk-size": (1, "the work is cut into shards by itself"),
    "--find-optimal-num-workers": (0, SEARCH),
    "--workers-to-check": ("+", SEARCH),
    "--max-documents": (1, SEARCH),
    "--make-vocab-size-divisible-by": (1, MODEL),
    "--padded-vocab-size": (1, MODEL),
    "--no-pad-vocab-size": (0, MODEL),
    "--disable-pad-vocab-size": (0, MODEL),
    "--vocab-extra-ids": (1, MODEL),
    "--vocab-size": (1, "the tokenizer's files say it"),
    "--tokenizer-hf-no-use-fast": (0, "the library `tokenizers` defines the ids"),
    "--trust-remote-code": (0, "a tokenizer's own code is never run"),
    "--use-gigatoken": (0, "the fastest engine that gives the same ids is chosen by itself"),
    "--legacy-tokenizer": (0, "there is one way to read a tokenizer"),
    "--tokenizer-sentencepiece-legacy": (0, "without additional tokens the ids are the same"),
    "--chat-template": (1, "documents are no conversations"),
    "--tiktoken-pattern": (1, OTHER_KIND),
    "--tiktoken-num-special-tokens": (1, OTHER_KIND),
    "--null-tokenizer-eod-id": (1, OTHER_KIND),
    "--null-tokenizer-pad-id": (1, OTHER_KIND),
}
# Flags that would change ids in a way that is not carried out: how many values follow, and what to do instead.
REFUSED: dict[str, tuple[int | str, str]] = {
    "--tokenizer-special-tokens": ("+", "add the tokens to the tokenizer's own files"),
    "--tiktoken-special-tokens": ("+", "add the tokens to the tokenizer's own files"),
    "--tokenizer-metadata": (1, "say the type and the files with --tokenizer-type and --tokenizer-model"),
    "--no-tokenizer-sentencepiece-ignore-extra-whitespaces": (0, "train the model with the white space that is wanted"),
    "--disable-tokenizer-sentencepiece-ignore-extra-whitespaces": (
        0,
        "train the model with the white space that is wanted",
    ),
}


class FlagError(MaskgenError):
    """A flag whose value cannot be honoured."""

    def __init__(self, flag: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{flag}: found {found}, expected {expected}; {remedy}")


@dataclass(frozen=True)
class Job:
    """The call of Megatron-LM's tool in our own terms."""

    inputs: list[str]
    choice: TokenizerChoice
    output_prefix: str
    options: Options
    manner: Manner


def main() -> int:
    """Read the flags, tokenize, say what came out."""
    arguments = create_parser().parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="maskgen-") as links:
            job = job_of(arguments, links)
            summary = run(job)
        print("\n".join([*job.manner.notes, *summary.lines()]))
    except KeyboardInterrupt:
        tell("interrupted; run the same command again to continue")
        return INTERRUPTED
    except (MaskgenError, OSError) as error:
        tell(f"error: {error}")
        return 2
    return 0


def create_parser() -> argparse.ArgumentParser:
    """All flags of Megatron-LM's tool, of 2022 and later; like there, they may be abbreviated."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data")
    data.add_argument("--input", required=True, metavar="PATH", help="JSON lines: a file, a folder or a glob")
    data.add_argument("--output-prefix", required=True, metavar="P", help="where the datasets go")
    data.add_argument("--json-keys", nargs="+", default=["text"], metavar="KEY", help="a dataset each (%(default)s)")
    data.add_argument("--append-eod", action="store_true", help="an end-of-document token after each document")
    data.add_argument("--dataset-impl", default="mmap", metavar="NAME", help="mmap is all there is")

    sentences = parser.add_argument_group("sentences")
    sentences.add_argument("--split-sentences", action="store_true", help="a sequence a sentence")
    sentences.add_argument("--keep-newlines", action="store_true", help="sentences keep the white space around them")
    sentences.add_argument("--lang", default="english", help="any but english needs NLTK's Punkt (%(default)s)")
    sentences.add_argument(
        "--splitter", choices=("default", "punkt", "newline"), help="not of Megatron-LM: punkt for NLTK in english too"
    )

    ids = parser.add_argument_group("tokenizer")
    ids.add_argument("--tokenizer-type", required=True, metavar="TYPE", help=", ".join(TYPES))
    ids.add_argument("--tokenizer-model", metavar="PATH", help="of HuggingFaceTokenizer and the SentencePiece types")
    ids.add_argument("--vocab-file", "--vocab", metavar="PATH", help="of BertWordPiece types and GPT2BPETokenizer")
    ids.add_argument("--merge-file", metavar="PATH", help="of GPT2BPETokenizer")
    special = ids.add_mutually_exclusive_group()
    special.add_argument("--tokenizer-hf-include-special-tokens", action="store_const", const=True, dest="special")
    special.add_argument("--tokenizer-hf-no-include-special-tokens", action="store_const", const=False, dest="special")

    how = parser.add_argument_group("how (none of it changes a byte)")
    how.add_argument("--workers", type=int, metavar="N", help="processes (as many as cores)")

    silent = parser.add_argument_group("known, without effect", ", ".join(NO_EFFECT))
    for flag, (values, _) in {**NO_EFFECT, **REFUSED}.items():
        if values == 0:
            silent.add_argument(flag, help=argparse.SUPPRESS, action="store_true")
        else:
            silent.add_argument(flag, help=argparse.SUPPRESS, nargs=values)
    return parser


def job_of(arguments: argparse.Namespace, links: str) -> Job:
    """Carry the flags over; say on standard error which of them do nothing."""
    for flag, (_, remedy) in REFUSED.items():
        if given(arguments, flag):
            raise FlagError(flag, "it", "a call without it, since it would change ids in ways not done here", remedy)
    if arguments.dataset_impl != "mmap":
        raise FlagError(
            "--dataset-impl", arguments.dataset_impl, "mmap, the only format that is written", "leave the flag out"
        )
    if arguments.workers is not None and arguments.workers < 1:
        raise FlagError("--workers", str(arguments.workers), "at least 1", "correct it")
    choice = tokenizer_of(arguments, links)
    splitter = arguments.splitter or ("default" if arguments.lang == "english" else "punkt")
    options = Options(
        json_keys=tuple(arguments.json_keys),
        format="jsonl",
        append_eod=arguments.append_eod,
        add_special_tokens=adds_special_tokens(arguments),
        split_sentences=arguments.split_sentences,
        splitter=splitter,
        language=arguments.lang,
        keep_newlines=arguments.keep_newlines,
    )
    workers = arguments.workers or len(os.sched_getaffinity(0))
    say_what_differs(arguments, splitter)
    return Job([arguments.input], choice, arguments.output_prefix, options, Manner(workers=workers, quiet=False))


def run(job: Job) -> Summary:
    """Tokenize. What another command has left under the same names is replaced, as Megatron-LM's tool does."""
    try:
        return tokenize(job.inputs, job.choice, job.output_prefix, job.options, job.manner)
    except BusyError:
        raise
    except ResumeError as error:
        tell(f"replacing what is there: {error}")
        job.manner.notes.clear()
        return tokenize(job.inputs, job.choice, job.output_prefix, job.options, replace(job.manner, overwrite=True))


def adds_special_tokens(arguments: argparse.Namespace) -> bool:
    """Whether the tokenizer's own tokens go around each text: HuggingFaceTokenizer's do, unless a flag says not to."""
    if arguments.special is None:
        return bool(arguments.tokenizer_type == "HuggingFaceTokenizer")
    return bool(arguments.special)


def tokenizer_of(arguments: argparse.Namespace, links: str) -> TokenizerChoice:
    """The tokenizer that a type and its files mean."""
    kind = arguments.tokenizer_type
    if kind in WORDPIECE:
        path = needed_file(arguments, "--vocab-file", ".txt")
        lower = WORDPIECE[kind]
        return TokenizerChoice(path, lower, lower, {"eod": "[SEP]"} if arguments.append_eod else {})
    if kind == "GPT2BPETokenizer":
        path = linked(
            {
                "vocab.json": needed_file(arguments, "--vocab-file"),
                "merges.txt": needed_file(arguments, "--merge-file"),
            },
            links,
        )
        return TokenizerChoice(path, roles={"eod": "<|endoftext|>"} if arguments.append_eod else {})
    if kind == "HuggingFaceTokenizer":
        path = needed_file(arguments, "--tokenizer-model")
        return TokenizerChoice(path, roles=end_of(path) if arguments.append_eod else {})
    if kind in SENTENCEPIECE:
        return TokenizerChoice(needed_file(arguments, "--tokenizer-model", ".model"))
    remedy = OTHER_TYPES.get(kind, "correct it")
    raise FlagError("--tokenizer-type", kind, f"one of {', '.join(TYPES)}", remedy)


def needed_file(arguments: argparse.Namespace, flag: str, ending: str = "") -> str:
    """The value of a flag that this type of tokenizer needs: an existing path."""
    path: str | None = getattr(arguments, flag[2:].replace("-", "_"))
    kind = arguments.tokenizer_type
    if path is None:
        raise FlagError(flag, "nothing", f"the tokenizer's file, for --tokenizer-type {kind}", "give it")
    if not os.path.exists(path):
        raise FlagError(flag, f"nothing at {path}", "a file or folder here", "nothing is downloaded: get it first")
    if not path.endswith(ending):
        raise FlagError(flag, path, f"a file *{ending} for --tokenizer-type {kind}", "correct it, or rename the file")
    return path


def linked(files: Mapping[str, str], folder: str) -> str:
    """A folder that has these files under the names that tell what they are."""
    folder = os.path.join(folder, "GPT2BPETokenizer")
    os.mkdir(folder)
    for name, path in files.items():
        os.symlink(os.path.abspath(path), os.path.join(folder, name))
    return folder


def end_of(path: str) -> dict[str, str]:
    """The token that ends a document: the one its configuration says ends a sequence, else separates two."""
    config = load_reference(path).config
    for name in ("eos_token", "sep_token"):
        token = config.get(name)
        token = token.get("content") if isinstance(token, Mapping) else token
        if isinstance(token, str):
            return {"eod": token}
    return {}


def say_what_differs(arguments: argparse.Namespace, splitter: str) -> None:
    """One line for each flag that does nothing, or something else than users of Megatron-LM's tool may expect."""
    for flag, (_, reason) in NO_EFFECT.items():
        if given(arguments, flag):
            tell(f"{flag} does nothing here: {reason}")
    if arguments.split_sentences and splitter == "default":
        tell("--split-sentences goes by rules of our own; for NLTK's Punkt add --splitter punkt")
    if arguments.tokenizer_type in WORDPIECE and arguments.special is None:
        tell(
            f"{arguments.tokenizer_type} adds no [CLS] and [SEP], which training puts around its samples; Megatron-LM "
            "adds them to documents since 2026: for that give --tokenizer-hf-include-special-tokens"
        )


def given(arguments: argparse.Namespace, flag: str) -> bool:
    """Whether the call has this flag, one of those that are not there by default."""
    return getattr(arguments, flag[2:].replace("-", "_")) not in (None, False)


def tell(line: str) -> None:
    """For the user, beside the output."""
    print(f"{PROGRAM}: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

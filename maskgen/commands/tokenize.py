"""Turn raw text into indexed datasets: P_{key}_{document|sentence}.bin, .idx and .json.

INPUTs are files, directories and globs: JSON lines, plain text, Parquet, saved Hugging Face datasets; compressed with
gzip, zstd, bzip2 or xz, or not; `-` is standard input. All of them, and P, may be URLs that fsspec opens. The same
command, given again, continues an interrupted run.
"""

import argparse
import os

EXAMPLES = """\
  maskgen tokenize corpus.jsonl --tokenizer bert-base-uncased/ \\
      --output-prefix corpus
  maskgen tokenize 'crawl/*.jsonl.zst' --tokenizer vocab.txt \\
      --output-prefix crawl --workers 16 --on-error skip
  maskgen tokenize books/ --text-documents file --tokenizer tok/ \\
      --output-prefix books --split-sentences --append-eod
  maskgen tokenize corpus.jsonl --json-keys title body --tokenizer tok/ \\
      --output-prefix corpus --shuffle --seed 1
  maskgen tokenize 's3://bucket/part-*.jsonl.gz' --tokenizer tok/ \\
      --output-prefix s3://bucket/tokens/corpus --work-dir /scratch/corpus
  maskgen tokenize captions.jsonl --json-keys caption --images image \\
      --tokenizer tok/ --output-prefix pairs
  maskgen tokenize corpus/ --tokenizer tok/ --output-prefix corpus --dry-run
on a cluster, as a job array and one job after it:
  maskgen tokenize corpus/ --tokenizer tok/ --output-prefix corpus \\
      --executor slurm
  maskgen tokenize corpus/ --tokenizer tok/ --output-prefix corpus --finish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen tokenize``."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="file, directory, glob, URL, or - for standard input"
    )
    parser.add_argument("--tokenizer", required=True, metavar="PATH", help="tokenizer.json, vocab.txt, or a folder")
    parser.add_argument("--output-prefix", required=True, metavar="P", help="where the datasets go")

    text = parser.add_argument_group("what is read")
    text.add_argument(
        "--format",
        choices=("auto", "jsonl", "text", "parquet", "datasets"),
        default="auto",
        help="of the inputs (by their names)",
    )
    text.add_argument(
        "--json-keys",
        nargs="+",
        action="append",
        metavar="KEY",
        help="keys or columns that hold text, each for a dataset of its own; a.b looks inside a (text)",
    )
    text.add_argument(
        "--text-documents",
        choices=("line", "block", "file"),
        default="line",
        help="in plain text, a document is a line, a block between blank lines, or a file (%(default)s)",
    )
    text.add_argument("--split", metavar="NAME", help="which split of a Hugging Face dataset")
    text.add_argument("--max-documents", type=int, metavar="N", help="only the first N")
    text.add_argument(
        "--max-line-bytes", type=size, default=64 << 20, metavar="SIZE", help="longer lines are errors (64M)"
    )
    text.add_argument(
        "--on-error",
        choices=("error", "skip", "quarantine"),
        default="error",
        help="bad records: stop at the first, count and leave out, or also keep in P.quarantine.jsonl (%(default)s)",
    )
    text.add_argument(
        "--max-errors",
        default="1%",
        metavar="LIMIT",
        help="how many may be left out, or which share, such as 100 or 0.5%% (1%%)",
    )

    pairs = parser.add_argument_group("captions with images (JSON lines; a document is a caption and its image)")
    pairs.add_argument("--images", metavar="KEY", help="the key that holds the image of a caption")
    pairs.add_argument("--image-root", metavar="DIR", help="the folder of the files (that of the lines)")
    pairs.add_argument(
        "--image-encoding",
        choices=("path", "base64"),
        default="path",
        help="what the key holds: a file's name, or the bytes (%(default)s)",
    )

    ids = parser.add_argument_group("what is written")
    ids.add_argument("--append-eod", action="store_true", help="an end-of-document token after each document")
    ids.add_argument("--eod-token", metavar="TOKEN", help="which one (by its usual names)")
    ids.add_argument("--add-special-tokens", action="store_true", help="the tokenizer's own, around each sequence")
    ids.add_argument("--split-sentences", action="store_true", help="a sequence a sentence")
    ids.add_argument("--keep-newlines", action="store_true", help="sentences keep the white space around them")
    ids.add_argument("--splitter", choices=("default", "punkt", "newline"), default="default", help="of sentences")
    ids.add_argument("--language", default="english", help="for --splitter punkt (%(default)s)")
    ids.add_argument("--lowercase", action=argparse.BooleanOptionalAction, help="for a vocab.txt, which does not say")
    ids.add_argument("--strip-accents", action=argparse.BooleanOptionalAction, help="the same")
    ids.add_argument("--shuffle", action="store_true", help="documents in random order, across the whole corpus")
    ids.add_argument("--seed", type=int, metavar="S", help="of the shuffle")
    ids.add_argument("--provenance", action="store_true", help="keep each document's line: P_*.lines.npy")
    ids.add_argument("--keep-shards", action="store_true", help="a dataset a shard instead of one")
    ids.add_argument("--overwrite", action="store_true", help="replace what another command has left there")

    how = parser.add_argument_group("how (none of it changes a byte of a dataset)")
    how.add_argument("--workers", type=int, metavar="N", help="processes (as many as cores); 0: none but this one")
    how.add_argument("--engine", default="auto", help="auto, native, gigatoken or reference (%(default)s)")
    how.add_argument("--executor", choices=("local", "ray", "slurm"), default="local", help="(%(default)s)")
    how.add_argument(
        "--shard", metavar="I/N", help="only the I-th of N parts of the work, from 0 on, and no dataset yet"
    )
    how.add_argument("--finish", action="store_true", help="make the datasets when all parts are there")
    how.add_argument(
        "--shard-bytes",
        type=size,
        metavar="SIZE",
        help="of input in a shard, the most that an interruption costs (8M; more for large inputs)",
    )
    how.add_argument(
        "--work-dir", metavar="DIR", help="for unfinished work and copies of inputs behind URLs (P.maskgen-work)"
    )
    how.add_argument("--dry-run", action="store_true", help="say what would be done, and about how long it would take")
    how.add_argument("--quiet", action="store_true", help="no progress and no summary")


def size(text: str) -> int:
    """A number of bytes such as 64M."""
    units = {"K": 10, "M": 20, "G": 30}
    number, unit = (text[:-1], units[text[-1].upper()]) if text[-1:].upper() in units else (text, 0)
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of bytes such as 1000000, 64M or 2G")
    return int(number) << unit


def run(arguments: argparse.Namespace) -> int:
    """Tokenize, and say what came out."""
    from preprocess.pipeline.options import Options, TokenizerChoice
    from preprocess.pipeline.run import Manner, tokenize
    from preprocess.pipeline.sharing import share_of_work

    shuffling = arguments.shuffle or arguments.seed is not None
    options = Options(
        json_keys=tuple(key for keys in arguments.json_keys or [["text"]] for key in keys),
        format=arguments.format,
        split=arguments.split,
        text_documents=arguments.text_documents,
        append_eod=arguments.append_eod,
        add_special_tokens=arguments.add_special_tokens,
        split_sentences=arguments.split_sentences,
        splitter=arguments.splitter,
        language=arguments.language,
        keep_newlines=arguments.keep_newlines,
        on_error=arguments.on_error,
        max_documents=arguments.max_documents,
        shuffle_seed=(arguments.seed or 0) if shuffling else None,
        provenance=arguments.provenance,
        max_line_bytes=arguments.max_line_bytes,
        shard_bytes=arguments.shard_bytes,
        images=arguments.images,
        image_root=arguments.image_root,
        image_encoding=arguments.image_encoding,
    )
    manner = Manner(
        workers=len(os.sched_getaffinity(0)) if arguments.workers is None else arguments.workers,
        executor=arguments.executor,
        engine=arguments.engine,
        share=share_of_work(arguments.shard, arguments.executor, arguments.finish),
        finish=arguments.finish,
        keep_shards=arguments.keep_shards,
        max_errors=arguments.max_errors,
        overwrite=arguments.overwrite,
        work_dir=arguments.work_dir,
        quiet=arguments.quiet,
    )
    roles = {"eod": arguments.eod_token} if arguments.eod_token else {}
    choice = TokenizerChoice(arguments.tokenizer, arguments.lowercase, arguments.strip_accents, roles)
    if arguments.dry_run:
        from preprocess.pipeline.estimate import estimate

        workers, engine = manner.workers, manner.engine
        print("\n".join(estimate(arguments.inputs, choice, arguments.output_prefix, options, workers, engine)))
        return 0
    summary = tokenize(arguments.inputs, choice, arguments.output_prefix, options, manner)
    if not arguments.quiet:
        print("\n".join([*manner.notes, *summary.lines()]))
    return 0

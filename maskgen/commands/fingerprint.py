"""Prove what a training job sees: digests of tokens, vocabulary, rows, settings, first samples and batches.

The same data and settings give the same digests, whatever the engine, threads, ranks, machine or numpy version; one
other token, option or seed gives others. --check compares with an earlier fingerprint, with as many samples and the
same steps, and names the first stage that differs (exit code 1). Versions of libraries are shown, never compared.
Tokens are taken from the dataset's sidecar where it has one; --full reads them all, as --check does up to 4 GiB.
"""

import argparse
import sys

EXAMPLES = """\
  maskgen fingerprint corpus_text_sentence --tokenizer vocab.txt \\
      --max-seq-length 128 --seed 1234 --output run.json
  maskgen fingerprint corpus_text_sentence --tokenizer vocab.txt \\
      --max-seq-length 128 --seed 1234 --check run.json
  maskgen fingerprint corpus_text_sentence --tokenizer vocab.txt \\
      --max-seq-length 128 --seed 1234 --full --num 100000 --steps 0,1,1000 \\
      --batch-size 512"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen fingerprint``."""
    from maskgen.sample_options import add_sample_arguments

    add_sample_arguments(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--output", metavar="FILE", help="write it there (to standard output)")
    where.add_argument("--check", metavar="FILE", help="compare with this one instead")
    parser.add_argument("--full", action="store_true", help="read all tokens, also where a sidecar has their digest")
    parser.add_argument("--num", type=int, metavar="N", help="look at the first N samples (1000)")
    parser.add_argument("--steps", metavar="I,J,...", help="and at these batches, or none of them (0,1,1000)")
    parser.add_argument("--batch-size", type=int, metavar="B", help="samples in a global batch (256)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="same digests, sooner (%(default)s)")
    parser.add_argument("--ranks", type=int, default=1, metavar="N", help="put batches together from N ranks (1)")
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")


def run(arguments: argparse.Namespace) -> int:
    """Print, write or compare a fingerprint."""
    from maskgen.fingerprint import Manner, check, fingerprint, read_fingerprint, to_json
    from maskgen.fingerprint.request import parse_request
    from maskgen.fingerprint.view import comparison_lines
    from maskgen.sample_options import choice_of
    from preprocess.pipeline.work_folder import write_file

    request = parse_request(arguments.num, arguments.steps, arguments.batch_size, arguments.check)
    known = None if arguments.check is None else read_fingerprint(arguments.check)
    samples = choice_of(arguments).open()
    manner = Manner(arguments.threads, arguments.ranks, arguments.full, progress=not arguments.quiet)
    if known is not None:
        result = check(known, samples, manner)
        lines = comparison_lines(result, arguments.check, known["versions"])
        print("\n".join(lines[-1:] if arguments.quiet else lines))
        return 0 if result.ok else 1
    found = fingerprint(samples, request, manner)
    if arguments.output is None:
        sys.stdout.write(to_json(found).decode())
        return 0
    write_file(arguments.output, to_json(found))
    if not arguments.quiet:
        print(f"{arguments.output}: {found['digest']}")
    return 0

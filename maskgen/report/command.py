"""From the flags of ``maskgen report`` to a request."""

import argparse
from datetime import datetime, timezone

from maskgen.report.looking import Look
from maskgen.report.request import ReportError, Request, parse_datasets
from maskgen.sample_options import choice_of
from maskgen.samples.opening import parse_roles

LOOKS = {"documents": "documents", "tokens": "tokens", "samples": "samples", "ngrams": "ngrams", "show": "shown",
         "look_seed": "seed"}  # fmt: skip
OF_SAMPLES = (
    "masked_lm_prob", "max_ngrams", "no_binary_head", "ordinary_replacements", "max_seq_length_dec", "option",
    "sentinels", "short_seq_prob", "num_epochs", "max_num_samples", "rows", "add_special", "split", "part", "cache_dir",
    "draws", "samples", "ngrams", "show",
)  # fmt: skip


def request_of(arguments: argparse.Namespace) -> Request:
    """The request that the flags make; an error where samples are half asked for."""
    wanted = arguments.max_seq_length is not None
    given = [name for name in OF_SAMPLES if getattr(arguments, name) not in (None, False, [])]
    if arguments.scheme != "bert":
        given.append("scheme")
    missing = [
        f"--{name.replace('_', '-')}"
        for name in ("tokenizer", "max_seq_length", "seed")
        if getattr(arguments, name) is None
    ]
    if missing and (wanted or given or arguments.seed is not None):
        name = "max_seq_length" if wanted else given[0] if given else "seed"
        raise ReportError(
            f"--{name.replace('_', '-')} without {' and '.join(missing)}; expected all of --tokenizer, "
            "--max-seq-length and --seed, which name samples, or none of their flags; complete them"
        )
    datasets = parse_datasets(arguments.prefixes)
    looked = {field: getattr(arguments, flag) for flag, field in LOOKS.items() if getattr(arguments, flag) is not None}
    return Request(
        datasets=datasets,
        tokenizer=arguments.tokenizer,
        roles=parse_roles(arguments.role),
        choice=(lambda prefix: choice_of(arguments, prefix)) if wanted else None,
        look=Look(**looked, full=arguments.full),
        draws=arguments.draws,
        threads=arguments.threads,
        history=arguments.history,
        title=arguments.title,
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC") if arguments.date else "",
    )

"""The flags by which every command says which samples it means, and the choice they make."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskgen.samples.opening import SampleChoice

OPTION_FLAGS = ("masked_lm_prob", "max_ngrams", "max_seq_length_dec")  # they are options of a scheme by the same name
OTHER_NAMES = {"masked_lm_prob": "rate"}  # what most schemes call it
SCHEMES = "bert, t5, roberta, electra, modernbert, masked-diffusion, spanbert, pmi, span-corruption, ul2, bart, ict"


def add_sample_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare PREFIX and the flags that ``choice_of`` reads."""
    parser.add_argument("prefix", metavar="PREFIX", help="the dataset, with or without .bin or .idx")
    add_choice_arguments(parser, required=True)


def add_choice_arguments(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Declare the flags alone, for commands that take several datasets, or can do without samples."""
    group = parser.add_argument_group("which samples")
    group.add_argument("--tokenizer", required=required, metavar="PATH", help="the one that the dataset was made with")
    group.add_argument(
        "--max-seq-length", type=int, required=required, metavar="N", help="length of a sample, special tokens included"
    )
    group.add_argument("--seed", type=int, required=required, metavar="S", help="of the mapping and of the samples")
    add_choices(group)


def add_choices(group: "argparse._ArgumentGroup") -> None:
    """Declare those flags that have defaults."""
    group.add_argument("--scheme", default="bert", metavar="NAME", help=f"kind of samples: {SCHEMES} (%(default)s)")
    group.add_argument("--masked-lm-prob", type=float, metavar="P", help="share of tokens to mask (the scheme's own)")
    group.add_argument("--max-ngrams", type=int, metavar="N", help="most words masked together (3; 10 for t5)")
    group.add_argument("--no-binary-head", action="store_true", help="bert: one text, not two parts in some order")
    group.add_argument("--ordinary-replacements", action="store_true", help="bert: no special ids as random words")
    group.add_argument("--max-seq-length-dec", type=int, metavar="N", help="t5: length of the decoder (as the text)")
    group.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other option of the scheme, by its name in Python, such as do_whole_word_mask=false",
    )
    group.add_argument("--role", action="append", default=[], metavar="ROLE=TOKEN", help="name a special token")
    group.add_argument("--sentinels", metavar="FIRST-LAST", help="t5: ids of the sentinels (by their usual names)")
    group.add_argument("--short-seq-prob", type=float, metavar="P", help="of mappings: share of shorter samples (0.1)")
    group.add_argument("--num-epochs", type=int, metavar="N", help="passes over the documents (1)")
    group.add_argument("--max-num-samples", type=int, metavar="N", help="of mappings: passes until there are N samples")
    group.add_argument(
        "--rows",
        choices=("chunks", "best-fit", "sequential", "documents", "pairs"),
        help="other schemes: rows of a stream of documents, of whole documents packed, of one each, or of pairs of "
        "texts for next-sentence prediction (chunks)",
    )
    group.add_argument("--add-special", action="store_true", help="other schemes: [CLS] and [SEP] around texts")
    group.add_argument("--split", metavar="A,B,C", help="shares of training, validation and test documents")
    group.add_argument("--part", choices=("train", "valid", "test"), help="which part of the split (train)")
    group.add_argument("--cache-dir", metavar="DIR", help="where mappings are kept (PREFIX.maskgen-cache)")
    group.add_argument("--engine", choices=("native", "reference"), default="native", help="same bits (%(default)s)")


def choice_of(arguments: argparse.Namespace, prefix: str | None = None) -> "SampleChoice":
    """The samples that the flags name, of the dataset `prefix` (``arguments.prefix`` by default)."""
    from maskgen.samples.opening import ORDINARY, SampleChoice, parse_ids, parse_option, parse_roles, scheme_options

    known = scheme_options(arguments.scheme, arguments.rows)
    options = dict(parse_option(arguments.scheme, text, arguments.rows) for text in arguments.option)
    for name in OPTION_FLAGS:
        if getattr(arguments, name) is not None:
            options[name if name in known else OTHER_NAMES.get(name, name)] = getattr(arguments, name)
    if arguments.no_binary_head:
        options["binary_head"] = False
    if arguments.ordinary_replacements:
        options["replacement_ids"] = ORDINARY
    return SampleChoice(
        prefix=arguments.prefix if prefix is None else prefix,
        tokenizer=arguments.tokenizer,
        max_seq_length=arguments.max_seq_length,
        seed=arguments.seed,
        scheme=arguments.scheme,
        options=options,
        engine=arguments.engine,
        roles=parse_roles(arguments.role),
        sentinel_ids=None if arguments.sentinels is None else parse_ids(arguments.sentinels),
        num_epochs=arguments.num_epochs,
        max_num_samples=arguments.max_num_samples,
        short_seq_prob=arguments.short_seq_prob,
        rows=arguments.rows,
        add_special=arguments.add_special,
        split=arguments.split,
        part=arguments.part,
        cache_dir=arguments.cache_dir,
    )

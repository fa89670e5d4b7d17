"""Write masked samples to Parquet, for trainers that read Hugging Face datasets. Masks are drawn once (static masking).

Samples come in the order of their indices, once for each of --duplicates epochs, with the masks of that epoch. The
folder has its name only when it is complete; a run that was stopped is continued by the same command.
Read it with datasets.load_dataset("DIR"). Columns are input_ids, attention_mask, token_type_ids and labels (-100 where
nothing is to be predicted); for t5 input_ids, attention_mask, decoder_input_ids, decoder_attention_mask and labels.
"""

import argparse

EXAMPLES = """\
  maskgen export corpus_text_sentence --tokenizer vocab.txt \\
      --max-seq-length 128 --seed 1234 --output masked
  maskgen export corpus_text_sentence --tokenizer vocab.txt \\
      --max-seq-length 128 --seed 1234 --output masked10 --duplicates 10
  maskgen export corpus_text_sentence --tokenizer vocab.txt \\
      --max-seq-length 128 --seed 1234 --output masked-valid --split 98,2 \\
      --part valid --padding fixed"""

SPLIT_NAMES = {None: "train", "train": "train", "valid": "validation", "test": "test"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen export``."""
    from maskgen.sample_options import add_sample_arguments

    add_sample_arguments(parser)
    parser.add_argument("--output", required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--num", type=int, metavar="K", help="only the first K samples (of each epoch)")
    parser.add_argument("--duplicates", type=int, default=1, metavar="N", help="each sample with N masks (%(default)s)")
    parser.add_argument(
        "--padding", choices=("none", "fixed"), default="none", help="lists as long as the text, or all alike (none)"
    )
    parser.add_argument(
        "--columns", choices=("hf", "own"), default="hf", help="Hugging Face's names, or those of maskgen sample (hf)"
    )
    parser.add_argument("--next-sentence", action="store_true", help="bert: also next_sentence_label")
    parser.add_argument("--shard-size", type=int, default=50_000, metavar="N", help="rows a file (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="same rows, sooner (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace another export, finished or not")
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")


def run(arguments: argparse.Namespace) -> int:
    """Export, and say what came out."""
    from maskgen.export import ExportSettings, Manner, export_samples
    from maskgen.sample_options import choice_of

    settings = ExportSettings(
        num=arguments.num,
        duplicates=arguments.duplicates,
        shard_size=arguments.shard_size,
        columns=arguments.columns,
        padding=arguments.padding,
        next_sentence=arguments.next_sentence,
        name=SPLIT_NAMES[arguments.part],
    )
    samples = choice_of(arguments).open()
    manner = Manner(arguments.threads, arguments.overwrite, progress=not arguments.quiet)
    done = export_samples(samples, arguments.output, settings, manner)
    if not arguments.quiet:
        size = sum(shard["bytes"] for shard in done["shards"])
        print(f"{arguments.output}: {done['rows']:,} rows in {len(done['shards'])} files, {size:,} bytes")
        print(f"  digest  {done['digest']}")
        print(f"  read it with datasets.load_dataset({arguments.output!r})")
    return 0

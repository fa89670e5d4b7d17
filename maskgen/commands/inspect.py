"""Look inside an indexed dataset: type, counts, lengths, origin; documents; searches.

Named documents are shown sequence by sequence: as text where a tokenizer is
given, else as ids. --search counts a token or a text and shows its first
places. --sample goes from a masked sample back to its documents and, for
datasets of tokenize --provenance, to file and line. On a terminal the output
has colours (not with NO_COLOR) and goes through $PAGER, or less -R.
"""

import argparse

EXAMPLES = """\
  maskgen inspect corpus_text_document
  maskgen inspect corpus_text_document 0 17 --tokenizer tokenizer.json
  maskgen inspect corpus_text_document -1      (the last document)
  maskgen inspect corpus_text_document --tokenizer tok/ --search "keeper of"
  maskgen inspect corpus_text_document --tokenizer tok/ --search "##ing" \\
      --num 3
  maskgen inspect corpus_text_sentence --tokenizer tok/ --sample 0 7 \\
      --max-seq-length 128 --seed 1234"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen inspect``."""
    from maskgen.sample_options import add_choices

    parser.usage = (
        "%(prog)s PREFIX [DOCUMENT ...] [--tokenizer PATH]\n"
        "           [--search TEXT | --sample INDEX ...] [more flags]"
    )
    parser.add_argument("prefix", metavar="PREFIX", help="the dataset, with or without .bin or .idx")
    parser.add_argument("documents", nargs="*", type=int, metavar="DOCUMENT", help="documents to show, counted from 0")
    parser.add_argument("--tokenizer", metavar="PATH", help="tokenizer file or folder: show text instead of ids")
    parser.add_argument("--pieces", action="store_true", help="each piece by itself, as the vocabulary has it")
    parser.add_argument("--no-pager", action="store_true", help="all at once")
    parser.add_argument(
        "--search",
        metavar="TEXT",
        help="a piece, a text, or ids where there is no tokenizer; in all documents or these",
    )
    parser.add_argument("--num", type=int, default=10, metavar="N", help="places of a search to show (%(default)s)")
    parser.add_argument("--input", action="append", default=[], metavar="OLD=NEW", help="where an input is now")
    parser.add_argument("--root", metavar="DIR", help="look for all other inputs below DIR")
    group = parser.add_argument_group("samples (the flags of maskgen sample)")
    group.add_argument("--sample", type=int, nargs="+", metavar="INDEX", help="show these, and where they came from")
    group.add_argument("--max-seq-length", type=int, metavar="N", help="length of a sample, special tokens included")
    group.add_argument("--seed", type=int, metavar="S", help="of the mapping and of the samples")
    add_choices(group)


def run(arguments: argparse.Namespace) -> int:
    """Print the overview, or what was asked for."""
    from maskgen.look.inspector import Inspector
    from maskgen.look.pager import Pager

    with Pager(not arguments.no_pager) as pager:
        for text in Inspector(arguments).texts():
            pager.write(text)
    return 0

"""Look at datasets and their samples: one HTML file that opens anywhere.

It shows lengths of documents, how often tokens occur, what was skipped and from
which files a dataset came. With --tokenizer it names tokens; with
--max-seq-length and --seed, too, it shows samples: how full they are, what is
masked where, and some of them in colours. Several datasets are a blend.

Large datasets are not read whole: the report says how many documents, tokens
and samples of how many it has looked at, drawn evenly with a seed. The same
files and flags give the same bytes.
"""

import argparse

EXAMPLES = """\
  maskgen report corpus_text_document --output report.html
  maskgen report corpus_text_sentence --tokenizer vocab.txt \\
      --max-seq-length 128 --seed 1234 --output report.html
  maskgen report web_text_document=0.7 books_text_document=0.3 \\
      --tokenizer vocab.txt --scheme roberta --max-seq-length 512 \\
      --seed 1234 --output blend.html
  maskgen report corpus_text_document --history steps.jsonl \\
      --output steps.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen report``."""
    from maskgen.sample_options import add_choice_arguments

    add = parser.add_argument
    add("prefixes", nargs="+", metavar="PREFIX[=WEIGHT]", help="datasets; by default by their number of samples")
    add("--output", required=True, metavar="FILE", help="the page, written whole or not at all")
    add_choice_arguments(parser, required=False)
    look = parser.add_argument_group("how much is looked at")
    add = look.add_argument
    add("--full", action="store_true", help="all documents and tokens, however many there are")
    add("--documents", type=int, metavar="N", help="at most N of each dataset (1,000,000)")
    add("--tokens", type=int, metavar="N", help="about N of all datasets together (50,000,000)")
    add("--samples", type=int, metavar="N", help="at most N (4,096)")
    add("--ngrams", type=int, metavar="N", help="lengths of n-grams in at most N samples (256)")
    add("--show", type=int, metavar="K", help="show K samples in colours (8)")
    add("--look-seed", type=int, metavar="S", help="of the choice of what is looked at (0)")
    page = parser.add_argument_group("the page")
    add = page.add_argument
    add("--draws", type=int, metavar="N", help="of a blend: look at the first N samples (as many as there are)")
    add("--history", metavar="FILE", help="show how a model wrote: a file of maskgen predict --history")
    add("--title", default="", metavar="TEXT", help="heading of the page (the names of the datasets)")
    add("--date", action="store_true", help="show when it was made; two reports then differ")
    add("--threads", type=int, default=1, metavar="N", help="same page, sooner (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Write the page."""
    from maskgen.report.command import request_of
    from maskgen.report.page import make_report
    from preprocess.pipeline.work_folder import write_file

    page = make_report(request_of(arguments))
    write_file(arguments.output, page)
    print(f"{arguments.output}: {len(page):,} bytes")
    return 0

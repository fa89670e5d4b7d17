"""Find the n-grams of words in a dataset that belong together, for the masking scheme pmi.

They are those of 2 to 5 words with the highest pointwise mutual information, in a file that the scheme reads:
maskgen sample --scheme pmi --option ngrams=FILE. The paper took 800,000 from 16 GB of text; take fewer from less.
"""

import argparse
import json

EXAMPLES = """\
  maskgen pmi corpus_text_document --tokenizer bert-base-uncased \\
      --output ngrams.json
  maskgen pmi corpus_text_sentence --tokenizer vocab.txt --size 20000 \\
      --min-count 20 --output ngrams.json --show 10"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen pmi``."""
    parser.add_argument("prefix", metavar="PREFIX", help="the dataset, with or without .bin or .idx")
    parser.add_argument(
        "--tokenizer", required=True, metavar="PATH", help="the tokenizer that the dataset was made with"
    )
    parser.add_argument("--role", action="append", default=[], metavar="ROLE=TOKEN", help="name a special token")
    parser.add_argument("--output", required=True, metavar="FILE", help="where the n-grams go, as JSON")
    parser.add_argument("--size", type=int, default=800_000, metavar="N", help="at most so many n-grams (%(default)s)")
    parser.add_argument("--min-count", type=int, default=10, metavar="N", help="fewest occurrences (%(default)s)")
    parser.add_argument("--min-pmi", type=float, default=0.0, metavar="X", help="only above this score (%(default)s)")
    parser.add_argument("--longest", type=int, default=5, metavar="N", help="most words of an n-gram (%(default)s)")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="also print the N best of each length")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Find, save, say how many."""
    from maskgen.samples import SampleError
    from maskgen.samples.opening import parse_roles
    from maskgen.schemes.ngrams import NGrams, save_ngrams
    from maskgen.schemes.pmi_search import find_ngrams
    from maskgen.vocab import Vocab
    from preprocess import IndexedDataset, load_tokenizer

    vocab = Vocab.from_tokenizer(arguments.tokenizer, roles=parse_roles(arguments.role))
    ngrams, facts = find_ngrams(
        IndexedDataset(arguments.prefix),
        vocab,
        size=arguments.size,
        min_count=arguments.min_count,
        longest=arguments.longest,
        min_pmi=arguments.min_pmi,
    )
    if not ngrams:
        raise SampleError(
            f"{arguments.prefix}: no n-gram of 2 words or more occurs {arguments.min_count} times and scores more than "
            f"{arguments.min_pmi:g}; expected some; lower --min-count or --min-pmi, or use more text"
        )
    sizes = NGrams(ngrams, vocab).sizes.tolist()
    save_ngrams(arguments.output, vocab, ngrams, {"min_count": arguments.min_count, **facts})
    totals = {size: sizes.count(size) for size in sorted(set(sizes))}
    if arguments.json:
        print(json.dumps({"file": arguments.output, "ngrams": totals}))
        return 0
    decode = load_tokenizer(arguments.tokenizer, engine="reference").decode
    for size, total in totals.items():
        print(f"{total} n-grams of {size} words")
        first = sizes.index(size)
        for number in range(first, first + min(total, max(arguments.show, 0))):
            print(f"  {facts['pmi'][number]:8.3f} {facts['counts'][number]:8d}  {decode(ngrams[number])}")
    return 0

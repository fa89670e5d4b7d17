"""Train a masked language model (mlm, diffusion) or an ELECTRA on datasets.

The same command, given again, goes on from the latest checkpoint, with the very
losses of a run that never stopped. Ctrl-C (exit code 130) and SIGTERM (143)
save first; so does --max-time (0). On several devices, with the same flags:
torchrun --nproc-per-node N tools/pretrain.py

DIR gets settings.json, metrics.jsonl, checkpoints/ and, at the end, model/ (of
ELECTRA also generator/), as from_pretrained of Hugging Face loads them. The
objective clip takes datasets of maskgen tokenize --images; its model has a form
of its own (maskgen.train.clip.load_clip).
"""

import argparse
import sys

EXAMPLES = """\
  maskgen train --data corpus_text_sentence --tokenizer vocab.txt --size tiny \\
      --steps 1000 --output run
  maskgen train --data wiki_text_document=0.3 web_text_document=0.7 \\
      --tokenizer tok/ --objective electra --steps 1000000 --output electra
  maskgen train --data corpus_text_document --tokenizer tok/ \\
      --architecture modern --size base --max-seq-length 1024 --mask-rate 0.3 \\
      --schedule wsd --steps 100000 --compile --output modern-base
  maskgen train --data corpus_text_sentence --tokenizer vocab.txt --size base \\
      --next-sentence --batch-size 1024 --micro-batch 64 --steps 20000 \\
      --max-time 8h --output bert-base"""

SCHEMES = "bert, roberta, electra, modernbert, masked-diffusion, spanbert, pmi"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of ``maskgen train``; their names are those of TrainSettings."""
    parser.usage = (
        "%(prog)s --data PREFIX[=WEIGHT] ... --tokenizer PATH\n           --steps N --output DIR [more flags]"
    )
    parser.argument_default = argparse.SUPPRESS  # what is not given has the default of TrainSettings
    add = parser.add_argument
    add("--data", nargs="+", required=True, metavar="PREFIX[=WEIGHT]", help="datasets; by default by their size")
    add("--tokenizer", required=True, metavar="PATH", help="the one that the data was made with")
    add("--steps", type=int, required=True, metavar="N", help="updates of the weights; may be raised later")
    add("--output", required=True, metavar="DIR", help="the folder of the run")

    add = parser.add_argument_group("samples").add_argument
    add("--max-seq-length", type=int, metavar="N", help="special tokens included (128)")
    add("--scheme", metavar="NAME", help=f"{SCHEMES} (by objective and architecture)")
    add("--option", action="append", metavar="NAME=VALUE", help="of the scheme, or of clip (docs/image-captions.md)")
    add("--mask-rate", metavar="P[:Q]", help="share of masked tokens, or from P to Q over the run (the scheme's own)")
    add("--rows", choices=("chunks", "best-fit", "sequential", "documents", "pairs"),
        help="as in maskgen sample (chunks; modern architecture: best-fit, attention within documents)")  # fmt: skip
    add(
        "--add-special",
        action=argparse.BooleanOptionalAction,
        help="[CLS] and [SEP] around rows (if the data has none)",
    )
    add("--role", action="append", metavar="ROLE=TOKEN", help="name a special token")
    add("--split", metavar="A,B,C", help="shares of training and validation (969,30,1); 1: no validation")
    add("--seed", type=int, metavar="S", help="of everything that is drawn (1234)")
    add("--cache-dir", metavar="DIR", help="where mappings are kept (PREFIX.maskgen-cache)")
    add("--any-tokenizer", action="store_true", help="also train on data that another tokenizer made")

    add = parser.add_argument_group("model").add_argument
    add("--objective", choices=("mlm", "electra", "diffusion", "clip"), help="(mlm); clip: captions with images")
    add("--diffusion-weighting", choices=("llada", "mdlm", "xlm"), help="of losses by their noise (llada)")
    add("--size", choices=("tiny", "small", "base", "large"), help="(small)")
    add("--architecture", choices=("bert", "modern"), help="(bert; diffusion: modern)")
    add("--max-positions", type=int, metavar="N", help="longest text that the model can read (512)")
    add("--dropout", type=float, metavar="P", help="(of the architecture)")
    add("--next-sentence", action="store_true", help="also train a head on pairs of texts (scheme bert, --rows pairs)")
    add("--init-from", nargs="+", metavar="DIR",
        help="start with weights that save_pretrained wrote; electra: discriminator or mlm, generator")  # fmt: skip

    add = parser.add_argument_group("training").add_argument
    add("--batch-size", type=int, metavar="N", help="samples a step, of all ranks together; see below")
    add("--batch-ramp", metavar="START:INC:SAMPLES", help="grow to the batch size over so many samples")
    add("--lr", type=float, metavar="X", help="peak learning rate; see below")
    add("--schedule", choices=("linear", "cosine", "wsd", "constant"), help="of the learning rate (linear)")
    add("--warmup", type=float, metavar="X", help="share of the steps, or their number (0.06; electra: 0.01)")
    add("--optimizer", choices=("adamw", "stable-adamw"), help="(adamw)")
    add("--weight-decay", type=float, metavar="X", help="not of biases and norms (0.01)")
    add("--clip", type=float, metavar="X", help="largest norm of the gradient; 0: any (1.0)")

    add = parser.add_argument_group("machine (may change when a run goes on)").add_argument
    add("--micro-batch", type=int, metavar="N", help="samples at once on a device; the rest accumulates (all)")
    add("--device", choices=("auto", "cpu", "cuda"), help="(auto)")
    add("--precision", choices=("auto", "bf16", "fp32"), help="auto is bf16 on a GPU that has it, else fp32")
    add("--compile", action="store_true", help="torch.compile the encoders")
    add("--strategy", choices=("ddp", "fsdp"), help="of several ranks: copies, or shards of the model (ddp)")
    add("--threads", type=int, metavar="N", help="that prepare samples (1)")

    add = parser.add_argument_group("output (may change, too)").add_argument
    add("--log-every", type=int, metavar="N", help="steps a line (10)")
    add("--eval-every", type=int, metavar="N", help="steps between evaluations (as --save-every)")
    add("--eval-samples", type=int, metavar="N", help="of the validation part (1024)")
    add("--eval-rate", type=float, metavar="P",
        help="share of masked tokens there, always the same ones (0.15; diffusion: eight)")  # fmt: skip
    add("--save-every", type=int, metavar="N", help="steps between checkpoints (1000)")
    add("--keep", type=int, metavar="N", help="newest checkpoints that stay (3)")
    add("--keep-every", type=int, metavar="N", help="and those of each multiple of N steps")
    add("--max-time", metavar="TIME", help="save and stop after 90m, 8h, or so many seconds")
    add("--tensorboard", action="store_true", help="also write OUTPUT/tensorboard")
    add("--quiet", action="store_true", help="no lines while it runs")

    parser.epilog = f"{DEFAULTS}\n\n{parser.epilog or ''}"


DEFAULTS = """\
learning rate and batch size:
  mlm        tiny 1e-3, 64   small 5e-4, 256   base 5e-4, 256   large 2e-4, 256
  diffusion  tiny 1e-3, 64   small 5e-4, 256   base 5e-4, 256   large 2e-4, 256
  electra    tiny 1e-3, 64   small 5e-4, 128   base 2e-4, 256   large 2e-4, 2048
  clip       tiny 1e-3, 64   small 5e-4, 256   base 5e-4, 512   large 5e-4, 1024"""


def run(arguments: argparse.Namespace) -> int:
    """Train, and say where everything is."""
    from maskgen.train.distributed import World, end_process
    from maskgen.train.errors import SaidError
    from maskgen.train.loop import train
    from maskgen.train.settings import settings_of

    try:
        with World.start(getattr(arguments, "device", "auto")) as world:
            settings = settings_of(vars(arguments))  # here, where ranks say once what is wrong
            outcome = train(settings, world)
            if world.is_main:
                print(outcome.summary(settings.output), file=sys.stderr if outcome.exit_code else sys.stdout)
    except SaidError:
        return 2
    end_process(outcome.exit_code)
    return outcome.exit_code

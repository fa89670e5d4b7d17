"""Print a script that completes commands, flags and their choices in bash, zsh or fish.

The script does not start this program when Tab is pressed: print it again after an
update.
"""

import argparse

EXAMPLES = """\
  maskgen completion bash > ~/.local/share/bash-completion/completions/maskgen
  maskgen completion zsh > ~/.zfunc/_maskgen
      (with fpath+=~/.zfunc before compinit in ~/.zshrc)
  maskgen completion fish > ~/.config/fish/completions/maskgen.fish
  source <(maskgen completion bash)               (for this shell only)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``maskgen completion``."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="for which shell")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from maskgen.completion import script

    print(script(arguments.shell), end="")
    return 0

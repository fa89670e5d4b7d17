"""Completion of the command line in a shell: what argparse knows of each command, as tables in a script.

maskgen.cli's parsers --flags, choices, help--> Command for each --a template of the shell--> the script

Words that are no flag and have no choices are completed as files: prefixes, inputs, tokenizers.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass

from maskgen.cli import COMMANDS, command_parser
from maskgen.sample_options import SCHEMES


@dataclass(frozen=True)
class Flag:
    """A flag under all its names."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A subcommand: its flags, and the words that its first argument may be."""

    name: str
    summary: str
    flags: tuple[Flag, ...]
    words: tuple[str, ...]


def commands() -> list[Command]:
    """Every subcommand, as its own parser describes it."""
    return [_command(name, summary) for name, summary in COMMANDS.items()]


def script(shell: str) -> str:
    """The script for `shell`: bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](commands())


def _command(name: str, summary: str) -> Command:
    flags: list[Flag] = []
    words: list[str] = []
    parser = command_parser(name)[0]
    for action in parser._actions:  # argparse has no public list of them
        choices = tuple(map(str, action.choices or (SCHEMES.split(", ") if action.dest == "scheme" else ())))
        if not action.option_strings:
            words += choices
            continue
        text = "" if action.help in (None, argparse.SUPPRESS) else str(action.help)
        text = " ".join(text.replace("%(default)s", str(action.default)).replace("%%", "%").split())
        flags.append(Flag(tuple(action.option_strings), text, action.nargs != 0, choices))
    return Command(name, summary, tuple(flags), tuple(words))


_BASH = """\
# bash completion for maskgen; `maskgen completion bash` prints it

_maskgen() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words= flags=
    COMPREPLY=()
    if [[ $word == "=" ]]; then # --flag=value is three words to bash
        word=
    elif [[ $before == "=" ]]; then
        before=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "{names} --help --version" -- "$word"))
        return
    fi
    case "$command $before" in
{values}
    esac
    if [[ -n $words && $word != -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
        return
    fi
    case "$command" in
{flags}
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
        return
    fi
    # files, those with blanks in their names too
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
}}

complete -F _maskgen maskgen
"""


def _bash(known: Sequence[Command]) -> str:
    values, flags = [], []
    for command in known:
        for flag in command.flags:
            if flag.choices:
                patterns = "|".join(f'"{command.name} {name}"' for name in flag.names)
                values.append(f'        {patterns}) words="{" ".join(flag.choices)}" ;;')
        if command.words:
            values.append(f'        "{command.name} {command.name}") words="{" ".join(command.words)}" ;;')
        names = " ".join(name for flag in command.flags for name in flag.names)
        flags.append(f'        {command.name}) flags="{names}" ;;')
    names = " ".join(command.name for command in known)
    return _BASH.format(names=names, values="\n".join(values), flags="\n".join(flags))


_ZSH = """\
#compdef maskgen
# zsh completion for maskgen; `maskgen completion zsh` prints it

_maskgen() {{
    local -a commands
    commands=(
{names}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{cases}
    esac
}}

if [[ $funcstack[1] == _maskgen ]]; then
    _maskgen "$@"
else
    compdef _maskgen maskgen
fi
"""


def _zsh(known: Sequence[Command]) -> str:
    names, cases = [], []
    for command in known:
        names.append(f"        {_quoted(f'{command.name}:{command.summary}')}")
        specs = []
        for flag in command.flags:
            text = re.sub(r"([\[\]:\\])", r"\\\1", flag.help)
            value = (
                ""
                if not flag.takes_value
                else f":value:({' '.join(flag.choices)})"
                if flag.choices
                else ":value:_files"
            )
            specs += [_quoted(f"*{name}[{text}]{value}") for name in flag.names]
        specs.append(_quoted(f"1:word:({' '.join(command.words)})" if command.words else "*:file:_files"))
        lines = " \\\n".join(f"            {spec}" for spec in specs)
        cases.append(f"    {command.name}) _arguments \\\n{lines} ;;")
    return _ZSH.format(names="\n".join(names), cases="\n".join(cases))


def _fish(known: Sequence[Command]) -> str:
    lines = ["# fish completion for maskgen; `maskgen completion fish` prints it", ""]
    first = "complete -c maskgen -n __fish_use_subcommand -f -a"
    lines += [f"{first} {command.name} -d {_fished(command.summary)}" for command in known]
    for command in known:
        lines.append("")
        start = f"complete -c maskgen -n '__fish_seen_subcommand_from {command.name}'"
        if command.words:
            lines.append(f"{start} -f -a {_fished(' '.join(command.words))}")
        for flag in command.flags:
            names = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in flag.names)
            value = f" -x -a {_fished(' '.join(flag.choices))}" if flag.choices else " -r" if flag.takes_value else ""
            lines.append(f"{start}{names}{value} -d {_fished(flag.help)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fished(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

"""What figures were measured on: processor, memory, system, versions, commit. Never the name of the machine."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARIES = ("numpy", "torch", "tokenizers")


def processor() -> str:
    """The name of the CPU, and how many cores there are."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def machine() -> str:
    """Processor, memory, system, and the versions that speed depends on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    versions = [f"Python {platform.python_version()}", *map(library, LIBRARIES)]
    return f"{processor()}, {memory:.0f} GiB, {system}; {', '.join(versions)}"


def library(name: str) -> str:
    """A library with its version."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def commit() -> str:
    """The commit of this working tree, and whether its code is another by now."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "*.py", "*.cpp", "*.hpp")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with changes" if changed else name


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()

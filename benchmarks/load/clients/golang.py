"""Programs in Go beside this package, and ``ghz``: compiled when a group first needs them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.load.process import MissingError, require

MODULE = Path(__file__).resolve().parent.parent
GHZ = "github.com/bojand/ghz/cmd/ghz@latest"
MINUTES = 15
ONE_THREAD = {"GOMAXPROCS": "1"}


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sluice-ci" / "bin"


def go(*words: str, **environment: str) -> None:
    require("go")
    done = subprocess.run(
        ["go", *words], cwd=MODULE, env=os.environ | environment, capture_output=True, text=True, check=False,
        timeout=60 * MINUTES,
    )  # fmt: skip
    if done.returncode:
        raise MissingError(f"go {' '.join(words)}: {done.stderr.strip()[-500:]}")


@functools.cache
def program(name: str) -> Path:
    """A program of the module in this package; what did not change since the last time is not compiled again."""
    file = cache() / f"bench-{name}"
    go("build", "-trimpath", "-o", str(file), f"./{name}")
    return file


@functools.cache
def ghz() -> Path:
    """``ghz`` of the machine, or built once into the cache."""
    if found := shutil.which("ghz"):
        return Path(found)
    file = cache() / "ghz"
    if not file.exists():
        go("install", GHZ, GOBIN=str(cache()))
    return file


def ghz_version() -> str:
    """Of the one that was used, if any: as the compiler noted it, since a program built this way does not know."""
    if ghz.cache_info().currsize == 0 or shutil.which("go") is None:
        return ""
    done = subprocess.run(["go", "version", "-m", str(ghz())], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.strip().startswith("mod"):
            return line.split()[2]
    return "unknown"

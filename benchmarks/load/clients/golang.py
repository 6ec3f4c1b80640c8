"""Programs in Go beside this package, compiled when a group first needs them."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

from benchmarks.load.process import MissingError, require

MODULE = Path(__file__).resolve().parent.parent
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

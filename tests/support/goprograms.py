"""Programs of the tests that are written in Go, built once per machine.

Go is the one thing that a machine may lack; the report then says so.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PEERS = Path(__file__).resolve().parent.parent / "peers"
"""The module that pins the versions of the peers, and holds those of our own."""
BUILD_SECONDS = 900


def go_command() -> str | None:
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


def installed(package: str, version: str) -> Path:
    """The program that ``go install package@version`` makes."""
    # The last part of a module path may be its major version.
    words = [word for word in package.split("/") if not re.fullmatch(r"v\d+", word)]
    name = f"{words[-1]}-{version}"
    return _built(name, ["install", f"{package}@{version}"], Path.cwd(), BUILD_SECONDS)


def built(
    package: str,
    name: str,
    module: Path = PEERS,
    *,
    sources: str | None = "*/*.go",
    flags: Sequence[str] = (),
    seconds: float = BUILD_SECONDS,
) -> Path:
    """A program of a module in this tree, or of what its go.mod pins.

    Other flags, another go.mod or other ``sources`` (a pattern within the module) make another program. ``seconds``
    bounds the compiler.
    """
    state = hashlib.sha256()
    for file in sorted([*module.glob("go.*"), *(module.glob(sources) if sources else ())]):
        state.update(file.read_bytes())
    for flag in flags:
        state.update(flag.encode())
    command = ["build", "-trimpath", *flags, package]
    return _built(f"{name}-{state.hexdigest()[:12]}", command, module, seconds)


def _built(name: str, command: list[str], folder: Path, seconds: float) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice-ci" / "bin"
    program = cache / name
    if program.exists():
        return program
    go = go_command()
    if go is None:
        pytest.skip(f"{name} is built with Go 1.26 or newer, which is not installed")
    # Whoever comes second waits, and must not find half a file; so it is made elsewhere and renamed.
    scratch = cache / f".{name}.{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        with _alone(cache / f".{name}.lock"):
            if program.exists():
                return program
            verb, *rest = command
            target = ["-o", str(scratch / "program")] if verb == "build" else []
            done = subprocess.run(
                [go, verb, *target, *rest],
                cwd=folder,
                env={**os.environ, "GOBIN": str(scratch), "GO111MODULE": "on"},
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
            )
            assert done.returncode == 0, done.stderr
            (made,) = scratch.iterdir()
            made.replace(program)
    finally:
        shutil.rmtree(scratch)
    return program


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""Peers written in Go, built once per machine. Go is the one thing that a machine may lack; the report then says so."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parent.parent / "peers"
"""The module that pins the versions of the peers, and holds those of our own."""
BUILD_SECONDS = 900


def installed(package: str, version: str) -> Path:
    """The program that ``go install package@version`` makes."""
    name = f"{package.rpartition('/')[2]}-{version}"
    return _built(name, ["install", f"{package}@{version}"], Path.cwd())


def built(package: str, name: str) -> Path:
    """A program of ``tests/peers`` or of what its go.mod pins. Another source or go.mod is another program."""
    state = hashlib.sha256()
    for file in sorted([*MODULE.glob("go.*"), *MODULE.glob("*/*.go")]):
        state.update(file.read_bytes())
    return _built(f"{name}-{state.hexdigest()[:12]}", ["build", "-trimpath", package], MODULE)


def _built(name: str, command: list[str], folder: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice-ci" / "bin"
    program = cache / name
    if program.exists():
        return program
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip(f"{name} is built with Go 1.26 or newer, which is not installed")
    # Whoever comes second must not find half a file, so it is made elsewhere and renamed.
    scratch = cache / f".{name}.{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        verb, *rest = command
        target = ["-o", str(scratch / "program")] if verb == "build" else []
        done = subprocess.run(
            [go, verb, *target, *rest],
            cwd=folder,
            env={**os.environ, "GOBIN": str(scratch), "GO111MODULE": "on"},
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        (made,) = scratch.iterdir()
        made.replace(program)
    finally:
        shutil.rmtree(scratch)
    return program

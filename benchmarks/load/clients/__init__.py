"""Load generators: each drives one gateway for some seconds, from its core, and says what came back."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.load.process import Proxy


class UnsupportedError(RuntimeError):
    """The gateway does not do what the scenario asks for; the text says how that showed."""


@dataclass(frozen=True)
class Result:
    requests: int
    """Whatever the scenario counts, completed: requests, messages or connections."""
    seconds: float
    errors: int
    """Failed connections, reads and writes, timeouts, and answers that are no success."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    detail: str = ""
    """What was negotiated, where a scenario depends on it."""


class Load(Protocol):
    def run(self, proxy: Proxy, seconds: float, core: int) -> Result:
        """``UnsupportedError`` when the gateway speaks, but not the protocol that is asked for."""


def call(words: list[str], core: int, seconds: float, environment: Mapping[str, str] | None = None) -> str:
    """The output of a generator that works for about ``seconds``."""
    done = subprocess.run(
        ["taskset", "--cpu-list", str(core), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=seconds + 60, env=environment,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-300:]
        raise UnsupportedError(f"{Path(words[0]).name} ended with {done.returncode}: {said}")
    return done.stdout

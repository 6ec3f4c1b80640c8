"""The project's own load generators, in Go: they print one JSON object."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.load.clients import Result, UnsupportedError, call, golang
from benchmarks.load.site import HOST

if TYPE_CHECKING:
    from benchmarks.load.process import Proxy


@dataclass(frozen=True)
class Driver:
    """One of ``tlsload`` (a new TLS connection per request) and ``wsload`` (messages over WebSockets)."""

    program: str
    connections: int
    path: str

    def run(self, proxy: Proxy, seconds: float, core: int) -> Result:
        words = [str(golang.program(self.program)), "-address", f"127.0.0.1:{proxy.port}", "-host", HOST]
        words += ["-path", self.path, "-connections", str(self.connections), "-duration", f"{1000 * seconds:.0f}ms"]
        return parse(call(words, core, seconds, os.environ | golang.ONE_THREAD))


def parse(text: str) -> Result:
    report = json.loads(text)
    if not report["done"]:
        raise UnsupportedError(f"nothing succeeded: {report['error'][:300]}")
    return Result(
        requests=report["done"],
        seconds=report["seconds"],
        errors=report["errors"],
        p50_ms=round(report["p50_ms"], 3),
        p99_ms=round(report["p99_ms"], 3),
        detail=report["detail"] + (f"; {report['error'][:100]}" if report["errors"] else ""),
    )

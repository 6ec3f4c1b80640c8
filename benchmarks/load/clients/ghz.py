"""``ghz``: unary gRPC calls over HTTP/2 by prior knowledge."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.load.clients import Result, UnsupportedError, call, golang
from benchmarks.load.site import HOST

if TYPE_CHECKING:
    from benchmarks.load.process import Proxy

PROTO = golang.MODULE / "grpcecho" / "helloworld.proto"
CALL = "helloworld.Greeter.SayHello"
PREFIX = "/helloworld.Greeter/"


@dataclass(frozen=True)
class Ghz:
    connections: int
    calls: int
    """Calls under way at once, over all connections."""
    name: str

    def run(self, proxy: Proxy, seconds: float, core: int) -> Result:
        words = [str(golang.ghz()), "--insecure", "--proto", str(PROTO), "--call", CALL, "--authority", HOST]
        words += ["--data", json.dumps({"name": self.name}), "--connections", str(self.connections)]
        words += ["--concurrency", str(self.calls), "--duration", f"{1000 * seconds:.0f}ms", "--duration-stop", "wait"]
        words += ["--timeout", "10s", "--format", "json", f"127.0.0.1:{proxy.port}"]
        return parse(call(words, core, seconds, os.environ | golang.ONE_THREAD))


def parse(text: str) -> Result:
    report = json.loads(text)
    fine = report["statusCodeDistribution"].get("OK", 0)
    if not fine:
        errors = ", ".join(report.get("errorDistribution") or {}) or "no call came back"
        raise UnsupportedError(f"no call succeeded: {errors[:300]}")
    times = {entry["percentage"]: entry["latency"] / 1e6 for entry in report["latencyDistribution"] or ()}
    return Result(
        requests=fine,
        seconds=report["total"] / 1e9,
        errors=report["count"] - fine,
        p50_ms=round(times.get(50, 0.0), 3),
        p99_ms=round(times.get(99, 0.0), 3),
    )

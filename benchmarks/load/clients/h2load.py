"""``h2load`` with one thread: HTTP/2, over TLS where it must be negotiated by ALPN, else by prior knowledge."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.load.clients import Result, UnsupportedError, call
from benchmarks.load.site import HOST

if TYPE_CHECKING:
    from benchmarks.load.process import Proxy


@dataclass(frozen=True)
class H2load:
    connections: int
    streams: int
    path: str

    def run(self, proxy: Proxy, seconds: float, core: int) -> Result:
        words = ["h2load", "--threads", "1", "--clients", str(self.connections)]
        words += ["--max-concurrent-streams", str(self.streams), "--duration", f"{1000 * seconds:.0f}ms"]
        words += ["--header", f":authority: {HOST}", "--npn-list", "h2", proxy.url(self.path)]
        return parse(call(words, core, seconds), proxy.site.tls)


def parse(text: str, tls: bool) -> Result:
    """It prints no percentiles. Among the failed are answers other than 2xx and 3xx, errors and time-outs."""
    if tls and "Application protocol: h2\n" not in text:
        raise UnsupportedError("h2 was not chosen by ALPN")
    time = re.search(r"^finished in ([\d.]+)(us|ms|s),", text, re.MULTILINE)
    counts = re.search(r"^requests: .* (\d+) succeeded, (\d+) failed,", text, re.MULTILINE)
    if not (time and counts):
        raise ValueError(f"unexpected output of h2load: {text}")
    detail = re.search(r"^TLS Protocol: (.+)\nCipher: (.+)$", text, re.MULTILINE)
    return Result(
        requests=int(counts[1]),
        seconds=float(time[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[time[2]],
        errors=int(counts[2]),
        detail=" ".join(detail.groups()) if detail else "",
    )

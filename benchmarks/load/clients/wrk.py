"""``wrk`` with one thread: HTTP/1.1, plain and over TLS."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.load.clients import Result, call
from benchmarks.load.site import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.load.process import Proxy
    from benchmarks.load.site import Route

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Wrk:
    connections: int
    path: str
    script: Path | None = None
    host: str = HOST

    def run(self, proxy: Proxy, seconds: float, core: int) -> Result:
        return parse(call(self.command(proxy, seconds), core, seconds))

    def command(self, proxy: Proxy, seconds: float) -> list[str]:
        words = ["wrk", "--threads", "1", "--connections", str(self.connections), "--duration", f"{seconds:g}s"]
        words += ["--timeout", "10s", "--latency", "--header", f"Host: {self.host}"]
        if self.script:
            words += ["--script", str(self.script)]
        return [*words, proxy.url(self.path)]


def parse(text: str) -> Result:
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    if total is None:
        raise ValueError(f"unexpected output of wrk: {text}")
    errors = sum(int(count) for line in re.findall(r"Socket errors: (.*)", text) for count in re.findall(r"\d+", line))
    errors += sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    percentiles = {
        int(percent): float(value) * UNITS[unit]
        for percent, value, unit in re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    }
    return Result(
        requests=int(total[1]),
        seconds=float(total[2]) * UNITS[total[3]] / 1e3,
        errors=errors,
        p50_ms=round(percentiles.get(50, 0.0), 3),
        p99_ms=round(percentiles.get(99, 0.0), 3),
    )


def script_for_routes(routes: Sequence[Route], targets: int, file: Path) -> Path:
    """Every route in turn, in an order without locality (a stride that is coprime with any round number).

    ``targets`` different URLs are asked for, however few routes there are: what the generator and the caches of the
    machine do for them is then the same, and a difference is the routing's.
    """
    lines = [
        f'  {{ "{route.host}", "{route.prefix}{number:05}" }},'
        for number, route in enumerate(itertools.islice(itertools.cycle(routes), targets))
    ]
    file.write_text(
        "local routes = {\n"
        + "\n".join(lines)
        + "\n}\nlocal requests = {}\nlocal at = 0\n"
        + "function init()\n  for i, route in ipairs(routes) do\n"
        + '    requests[i] = wrk.format("GET", route[2], { ["Host"] = route[1] })\n  end\nend\n'
        + "function request()\n  at = (at + 7919) % #requests\n  return requests[at + 1]\nend\n"
    )
    return file


def script_for_upload(size: int, file: Path) -> Path:
    file.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {size})\n')
    return file

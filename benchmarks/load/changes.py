"""Many routes: how long until they are served, and how long one changed route takes to be live."""

from __future__ import annotations

import contextlib
import http.client
import random
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchmarks.load import backend, machine, wrk

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.load.site import Route
    from benchmarks.load.sluice import Sluice

TIMEOUT = 30.0


@dataclass(frozen=True)
class Changes:
    """Milliseconds from the new file being in place to the first answer that shows it, over ``count`` changes."""

    count: int
    median_ms: float
    p90_ms: float
    max_ms: float
    polls: int
    failed_polls: int
    cpu_ms_per_change: float
    """Processor time of the whole tree, without the requests that poll only when nothing else runs."""
    load_requests: int = 0
    load_errors: int = 0

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Poller:
    """Asks one route again and again on one connection."""

    def __init__(self, port: int, route: Route) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        self.route = route
        self.polls = 0
        self.failed = 0

    def ask(self) -> bytes:
        self.polls += 1
        try:
            self.connection.request("GET", self.route.prefix, headers={"Host": self.route.host})
            response = self.connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            self.failed += 1
            self.connection.close()
            return b""
        if response.status != 200:
            self.failed += 1
        return body

    def wait_for(self, body: bytes) -> float:
        began = time.monotonic()
        while self.ask() != body:
            if time.monotonic() > began + TIMEOUT:
                raise TimeoutError(f"the change was not live after {TIMEOUT:.0f} s")
        return time.monotonic() - began


def measure(proxy: Sluice, count: int, load_core: int | None = None, script: Path | None = None) -> Changes:
    """Toggle one route ``count`` times; with ``load_core``, while a load generator keeps the worker busy."""
    route = proxy.site.routes[-1]
    poller = Poller(proxy.port, route)
    load = None
    if load_core is not None:
        words = wrk.command(proxy.url("/"), route.host, 16, 3600, load_core, script)
        load = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
    took = []
    before = machine.cpu_of(proxy.program.pids())
    try:
        for index in range(count):
            time.sleep(random.uniform(0.3, 0.6))
            goes_to_new = index % 2 == 0
            proxy.change(route, "/new" if goes_to_new else "/")
            took.append(poller.wait_for((backend.NEW if goes_to_new else backend.SMALL).encode()))
    finally:
        spent = machine.cpu_of(proxy.program.pids()) - before
        result = None
        if load:
            # wrk prints its summary when it is interrupted.
            load.send_signal(2)
            with contextlib.suppress(ValueError):
                result = wrk.parse(load.communicate(timeout=30)[0])
    milliseconds = sorted(1000 * seconds for seconds in took)
    return Changes(
        count=count,
        median_ms=round(statistics.median(milliseconds), 1),
        p90_ms=round(milliseconds[int(0.9 * (count - 1))], 1),
        max_ms=round(milliseconds[-1], 1),
        polls=poller.polls,
        failed_polls=poller.failed,
        cpu_ms_per_change=round(1000 * spent.total / count, 1) if load is None else 0.0,
        load_requests=result.requests if result else 0,
        load_errors=result.errors if result else 0,
    )

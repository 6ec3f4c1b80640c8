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

from benchmarks.load import backend, machine
from benchmarks.load.clients.wrk import Wrk, parse, script_for_routes
from benchmarks.load.gateways.sluice import Sluice
from benchmarks.load.groups import Group
from benchmarks.load.site import Site, routes

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.load.run import Run
    from benchmarks.load.site import Route

TIMEOUT = 30.0
ROUTES, HOSTS = 10_000, 100


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


def changed_routes(run: Run) -> None:
    if Sluice not in run.plan.proxies:
        return
    site = Site("changes", routes(ROUTES, HOSTS), run.backend.port)
    script = script_for_routes(site.routes[:-1], ROUTES - 1, run.folder / "changes.lua")
    with run.serving([site], (Sluice,)) as proxies:
        for proxy in proxies:
            assert isinstance(proxy, Sluice)
            for name, core in (("idle", None), ("under load", run.plan.load_core)):
                measured = toggle(proxy, run.plan.changes, core, script)
                run.outcome.changes[name] = measured.as_dict()
                print(f"one changed route of {ROUTES:,}, {name}: {measured}", flush=True)


def toggle(proxy: Sluice, count: int, load_core: int | None = None, script: Path | None = None) -> Changes:
    """Toggle one route ``count`` times; with ``load_core``, while a load generator keeps the worker busy."""
    route = proxy.site.routes[-1]
    poller = Poller(proxy.port, route)
    load = None
    if load_core is not None:
        words = Wrk(16, "/", script, route.host).command(proxy, 3600)
        words = ["taskset", "--cpu-list", str(load_core), *words]
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
                result = parse(load.communicate(timeout=30)[0])
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


GROUP = Group(
    "changes",
    f"Sluice alone, {ROUTES:,} Mappings on {HOSTS} Hosts: the file of one Host ({ROUTES // HOSTS} Mappings) is "
    "replaced, and one connection polls the route until an answer shows the change. Under load, 16 connections of "
    "`wrk` ask all other routes at full speed meanwhile.",
    changed_routes,
)

"""One run: every gateway beside the others, points measured in interleaved rounds."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load import changes, machine, wrk
from benchmarks.load.backend import MEBIBYTE, Backend
from benchmarks.load.process import Proxy, StartError
from benchmarks.load.site import HOST, Route, Site, make_certificate, routes
from benchmarks.load.sluice import Sluice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WARM_UP = 1.0
FOREIGN_LIMIT = 0.05
"""Part of a core that other programs may take while a point is measured; above it the point is measured again."""
MANY_ROUTES, MANY_HOSTS, FEW_ROUTES = 10_000, 100, 10


@dataclass(frozen=True)
class Plan:
    proxies: tuple[type[Proxy], ...]
    rounds: int
    seconds: float
    groups: frozenset[str]
    proxy_core: int = 0
    load_core: int = 1
    changes: int = 20
    attempts: int = 3
    """How often a disturbed point is measured; the least disturbed measurement counts."""


@dataclass(frozen=True)
class Scenario:
    name: str
    connections: int
    path: str
    script: Path | None = None
    body_bytes: int = 0
    """Bytes of body that each request moves, for the scenarios that count bytes."""


@dataclass(frozen=True)
class Sample:
    """One point of one round."""

    proxy: str
    scenario: str
    requests: int
    errors: int
    rate: float
    cpu_us: float
    system_share: float
    cpu_share: float
    """Part of the measured time in which the gateway was on its core: below 0.95 it was waiting for load."""
    foreign_share: float
    """Part of the measured time in which the gateway's core did other things."""
    p50_ms: float
    p99_ms: float


@dataclass
class Outcome:
    samples: list[Sample] = field(default_factory=list)
    memory: dict[str, dict[str, list[dict[str, object]]]] = field(default_factory=dict)
    start_seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    changes: dict[str, dict[str, object]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Run:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcome = Outcome()

    def everything(self) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
            self.folder = Path(name)
            self.backend = Backend(self.folder / "backend", self.plan.load_core)
            try:
                groups: dict[str, Callable[[], None]] = {
                    "small": self.small,
                    "tls": self.tls,
                    "routes": self.many_routes,
                    "changes": self.changed_routes,
                }
                for group, measure in groups.items():
                    if group in self.plan.groups:
                        measure()
            finally:
                self.backend.program.stop()
        return self.outcome

    def small(self) -> None:
        site = Site("plain", (Route(HOST, "/api/"),), self.backend.port)
        upload = wrk.script_for_upload(MEBIBYTE, self.folder / "upload.lua")
        scenarios = [Scenario(f"small, {count} connections", count, "/api/hello") for count in (16, 64, 256)]
        scenarios.append(Scenario("1 MiB down, 16 connections", 16, "/api/large", body_bytes=MEBIBYTE))
        scenarios.append(Scenario("1 MiB up, 16 connections", 16, "/api/upload", upload, body_bytes=MEBIBYTE))
        self.measure(site, scenarios)

    def tls(self) -> None:
        site = Site("tls", (Route(HOST, "/api/"),), self.backend.port, make_certificate(self.folder))
        self.measure(site, [Scenario("TLS 1.3, small, 64 connections", 64, "/api/hello")])

    def many_routes(self) -> None:
        for count, hosts in ((FEW_ROUTES, 1), (MANY_ROUTES, MANY_HOSTS)):
            site = Site(f"routes-{count}", routes(count, hosts), self.backend.port)
            script = wrk.script_for_routes(site.routes, MANY_ROUTES, self.folder / f"routes-{count}.lua")
            self.measure(site, [Scenario(f"{count:,} routes, 64 connections", 64, "/", script)])

    def changed_routes(self) -> None:
        if Sluice not in self.plan.proxies:
            return
        site = Site("changes", routes(MANY_ROUTES, MANY_HOSTS), self.backend.port)
        script = wrk.script_for_routes(site.routes[:-1], MANY_ROUTES - 1, self.folder / "changes.lua")
        proxy = Sluice(site, self.folder, self.plan.proxy_core)
        try:
            proxy.ready()
            for name, core in (("idle", None), ("under load", self.plan.load_core)):
                measured = changes.measure(proxy, self.plan.changes, core, script)
                self.outcome.changes[name] = measured.as_dict()
                print(f"one changed route of {MANY_ROUTES:,}, {name}: {measured}", flush=True)
        finally:
            proxy.program.stop()

    @contextlib.contextmanager
    def serving(self, site: Site) -> Iterator[list[Proxy]]:
        """Every gateway on the site. One that does not start is reported and left out."""
        running: list[Proxy] = []
        started = self.outcome.start_seconds.setdefault(site.name, {})
        try:
            for kind in self.plan.proxies:
                proxy = kind(site, self.folder, self.plan.proxy_core)
                try:
                    started[kind.name] = round(proxy.ready(), 3)
                except StartError as error:
                    self.outcome.failures.append(f"{kind.name}, {site.name}: {error}")
                    print(f"{kind.name} left out of {site.name}: {error}", file=sys.stderr, flush=True)
                    proxy.program.stop()
                else:
                    running.append(proxy)
            yield running
        finally:
            for proxy in running:
                proxy.program.stop()

    def measure(self, site: Site, scenarios: list[Scenario]) -> None:
        with self.serving(site) as proxies:
            for number in range(self.plan.rounds):
                for scenario in scenarios:
                    # Another order in each round, so that no gateway always follows the same neighbour.
                    turn = number % max(1, len(proxies))
                    for proxy in proxies[turn:] + proxies[:turn]:
                        sample = self.undisturbed(proxy, scenario)
                        self.outcome.samples.append(sample)
                        print(line(sample), flush=True)
            memory = self.outcome.memory.setdefault(site.name, {})
            for proxy in proxies:
                memory[proxy.name] = [asdict(entry) for entry in machine.memory_of(proxy.program.pids())]

    def undisturbed(self, proxy: Proxy, scenario: Scenario) -> Sample:
        best = self.sample(proxy, scenario)
        for _ in range(self.plan.attempts - 1):
            if best.foreign_share <= FOREIGN_LIMIT:
                break
            best = min(best, self.sample(proxy, scenario), key=lambda sample: sample.foreign_share)
        return best

    def sample(self, proxy: Proxy, scenario: Scenario) -> Sample:
        plan, url = self.plan, proxy.url(scenario.path)
        wrk.run(url, HOST, scenario.connections, WARM_UP, plan.load_core, scenario.script)
        pids = proxy.program.pids()
        busy, before = machine.core_busy(plan.proxy_core), machine.cpu_of(pids)
        result = wrk.run(url, HOST, scenario.connections, plan.seconds, plan.load_core, scenario.script)
        spent, busy = machine.cpu_of(pids) - before, machine.core_busy(plan.proxy_core) - busy
        return Sample(
            proxy=proxy.name,
            scenario=scenario.name,
            requests=result.requests,
            errors=result.errors,
            rate=round(result.requests / result.seconds),
            cpu_us=round(1e6 * spent.total / max(1, result.requests), 2),
            system_share=round(spent.system / max(1e-9, spent.system + spent.user), 2),
            cpu_share=round(spent.total / result.seconds, 3),
            foreign_share=round(max(0.0, busy - spent.total) / result.seconds, 3),
            p50_ms=result.p50_ms,
            p99_ms=result.p99_ms,
        )


def line(sample: Sample) -> str:
    notes = f", {sample.errors} errors" if sample.errors else ""
    if sample.foreign_share > FOREIGN_LIMIT:
        notes += f", {sample.foreign_share:.0%} of the core went elsewhere"
    return (
        f"{sample.scenario:32} {sample.proxy:8} {sample.cpu_us:9.2f} µs CPU/request {sample.rate:9,.0f}/s  "
        f"p50 {sample.p50_ms} ms  p99 {sample.p99_ms} ms{notes}"
    )

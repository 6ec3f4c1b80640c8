"""One run: every gateway beside the others, points measured in interleaved rounds."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.load import machine
from benchmarks.load.backend import Backend
from benchmarks.load.clients import UnsupportedError
from benchmarks.load.plan import FOREIGN_LIMIT, WARM_UP, Outcome, Plan, Sample, Scenario
from benchmarks.load.process import Program, Proxy, StartError, free_port
from benchmarks.load.site import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.load.site import Site

PATIENCE_SECONDS = 5.0


class Run:
    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.outcome = Outcome()
        self.group = ""
        self.certificate = make_certificate(folder)
        self.backend = Backend(folder / "backend", plan.load_core)

    @contextlib.contextmanager
    def backend_program(self, file: Path, environment: dict[str, str]) -> Iterator[int]:
        """The port of another backend on the load generator's core."""
        port = free_port()
        command = [str(file), "-listen", f"127.0.0.1:{port}"]
        program = Program(command, self.plan.load_core, self.folder / f"{file.name}.log", environment)
        try:
            program.wait_for_port(port)
            yield port
        finally:
            program.stop()

    @contextlib.contextmanager
    def serving(self, sites: list[Site], kinds: tuple[type[Proxy], ...] | None = None) -> Iterator[list[Proxy]]:
        """Every gateway on every site. One that does not start is reported and left out."""
        running: list[Proxy] = []
        try:
            for site in sites:
                started = self.outcome.start_seconds.setdefault(site.name, {})
                for kind in self.plan.proxies if kinds is None else kinds:
                    proxy = kind(site, self.folder, self.plan.proxy_core)
                    try:
                        started[kind.name] = round(proxy.ready(), 3)
                    except StartError as error:
                        self.fail(f"{kind.name}, {site.name}: {error}")
                        proxy.program.stop()
                    else:
                        running.append(proxy)
            yield running
        finally:
            for proxy in running:
                proxy.program.stop()

    def measure(self, sites: dict[Site, list[Scenario]], kinds: tuple[type[Proxy], ...] | None = None) -> None:
        """All sites are up at once, so that their scenarios may be compared with each other too."""
        with self.serving(list(sites), kinds) as proxies:
            kept = [[proxy for proxy in proxies if proxy.site == site] for site in sites]
            points = [
                [(proxy, scenario) for proxy in those if self.admits(proxy, scenario)]
                for those, scenarios in zip(kept, sites.values(), strict=True)
                for scenario in scenarios
            ]
            for number in range(self.plan.rounds):
                for row in points:
                    # Another order in each round, so that no gateway always follows the same neighbour.
                    turn = number % max(1, len(row))
                    for proxy, scenario in row[turn:] + row[:turn]:
                        try:
                            sample = self.undisturbed(proxy, scenario)
                        except UnsupportedError as error:
                            self.fail(f"{proxy.name}, {scenario.name}, round {number + 1}: {error}")
                            continue
                        self.outcome.samples.append(sample)
                        print(line(sample), flush=True)
            for proxy in proxies:
                memory = self.outcome.memory.setdefault(proxy.site.name, {})
                memory[proxy.name] = [asdict(entry) for entry in machine.memory_of(proxy.program.pids())]

    def admits(self, proxy: Proxy, scenario: Scenario) -> bool:
        """Whether the gateway can do the scenario at all; the reason why not goes into the result."""
        reason, until = "", time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if scenario.load.run(proxy, WARM_UP, self.plan.load_core).requests:
                    return True
                reason = "nothing succeeded"
            except UnsupportedError as error:
                reason = str(error)
            if time.monotonic() > until:
                break
            time.sleep(0.5)
        self.leave_out(f"{proxy.name} from {self.group}, {scenario.name}: {reason}")
        return False

    def leave_out(self, what: str) -> None:
        self.outcome.left_out.append(" ".join(what.split()))
        print(f"left out: {what}", flush=True)

    def fail(self, what: str) -> None:
        self.outcome.failures.append(" ".join(what.split()))
        print(f"failed: {what}", file=sys.stderr, flush=True)

    def undisturbed(self, proxy: Proxy, scenario: Scenario) -> Sample:
        best = self.sample(proxy, scenario)
        for _ in range(self.plan.attempts - 1):
            if best.foreign_share <= FOREIGN_LIMIT:
                break
            best = min(best, self.sample(proxy, scenario), key=lambda sample: sample.foreign_share)
        return best

    def sample(self, proxy: Proxy, scenario: Scenario) -> Sample:
        plan = self.plan
        scenario.load.run(proxy, WARM_UP, plan.load_core)
        pids = proxy.program.pids()
        busy, before = machine.core_busy(plan.proxy_core), machine.cpu_of(pids)
        result = scenario.load.run(proxy, plan.seconds, plan.load_core)
        spent, busy = machine.cpu_of(pids) - before, machine.core_busy(plan.proxy_core) - busy
        return Sample(
            group=self.group,
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
            detail=result.detail,
            peer_bar=scenario.peer_bar,
        )


def line(sample: Sample) -> str:
    notes = f"  p50 {sample.p50_ms} ms  p99 {sample.p99_ms} ms" if sample.p50_ms is not None else ""
    notes += f", {sample.errors} errors" if sample.errors else ""
    if sample.foreign_share > FOREIGN_LIMIT:
        notes += f", {sample.foreign_share:.0%} of the core went elsewhere"
    return f"{sample.scenario:36} {sample.proxy:15} {sample.cpu_us:9.2f} µs CPU each {sample.rate:9,.0f}/s{notes}"

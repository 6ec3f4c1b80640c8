"""Load while the configuration keeps changing."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.load.backend import NEW, SMALL
from benchmarks.load.clients.wrk import Wrk
from benchmarks.load.gateways.sluice import Sluice
from benchmarks.load.groups import API, Group
from benchmarks.load.groups.changes import Poller
from benchmarks.load.plan import Scenario
from benchmarks.load.site import HOST, Route, Site

if TYPE_CHECKING:
    from benchmarks.load.clients import Load, Result
    from benchmarks.load.process import Proxy
    from benchmarks.load.run import Run

PER_SECOND = 5
CHANGING = Route(HOST, "/change/")


@dataclass(frozen=True)
class Changing:
    """Another load, while one route that it does not ask is changed again and again."""

    load: Load

    def run(self, proxy: Proxy, seconds: float, core: int) -> Result:
        assert isinstance(proxy, Sluice)
        over = threading.Event()
        changer = Changer(proxy, over)
        changer.start()
        try:
            result = self.load.run(proxy, seconds, core)
        finally:
            over.set()
            changer.join()
        detail = f"{changer.made} changes, {changer.live} live {1000 // PER_SECOND} ms later"
        return replace(result, errors=result.errors + changer.poller.failed, detail=detail)


class Changer(threading.Thread):
    def __init__(self, proxy: Sluice, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.proxy = proxy
        self.over = over
        self.poller = Poller(proxy.port, CHANGING)
        self.made = self.live = 0

    def run(self) -> None:
        due = time.monotonic()
        with contextlib.closing(self.poller.connection):
            while not self.over.is_set():
                goes_to_new = self.made % 2 == 0
                self.proxy.change(CHANGING, "/new" if goes_to_new else "/")
                self.made += 1
                due += 1 / PER_SECOND
                time.sleep(max(0.0, due - time.monotonic()))
                self.live += self.poller.ask() == (NEW if goes_to_new else SMALL).encode()


def measure(run: Run) -> None:
    kinds = tuple(kind for kind in run.plan.proxies if issubclass(kind, Sluice))
    site = Site("reload", (*API, CHANGING), run.backend.port)
    load = Wrk(64, "/api/hello")
    scenarios = [Scenario("small, 64 connections, quiet", load)]
    scenarios.append(Scenario(f"small, 64 connections, {PER_SECOND} changes/s", Changing(load)))
    run.measure({site: scenarios}, kinds)


GROUP = Group(
    "reload",
    "Sluice alone, plain HTTP/1.1 by `wrk`: GET with an answer of 128 bytes on 64 connections, once undisturbed "
    f"and once while the manifest of another Mapping of the same host is replaced {PER_SECOND} times a second. The "
    "processor time of the change itself, in all processes, is in it. Errors are failed requests, those of the "
    "poller included.",
    measure,
)

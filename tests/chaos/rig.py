"""Three endpoints of one Service, each behind a proxy that can misbehave, and a gateway set up as an operator would."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.load import endpoint
from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.toxiproxy import Toxiproxy
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.load import Load

NAMES = ("a", "b", "c")
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
PER_TRY_MS = 700
GROWTH = 20 * 1024 * 1024
"""By how much a process may grow while it is maltreated, in bytes: pools fill, and allocators keep what was freed."""
SPARE_DESCRIPTORS = 8
SPARE_TASKS = 4
"""Health checks that are under way at that moment."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the processes of a gateway hold: resident bytes of each, open descriptors and tasks of all."""

    resident: dict[int, int]
    descriptors: int
    tasks: float


@dataclass(frozen=True, slots=True)
class Rig:
    gateway: GatewayProcess
    toxi: Toxiproxy
    backends: tuple[Backend, ...]

    @property
    def port(self) -> int:
        return self.gateway.ports.http

    def total(self, metric: str) -> float:
        """Sum of a metric over all clusters."""
        lines = self.gateway.admin_page("/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric + "{"))

    def out(self, by: str) -> bool:
        """Whether the gateway leaves out an endpoint of the Mapping that has one sort of checks only: ``health`` or
        ``outlier``."""
        other = {"health": "outlier=", "outlier": "health="}[by]
        values = {
            line.partition("{")[0]: float(line.rpartition(" ")[2])
            for line in self.gateway.admin_page("/metrics").body.decode().splitlines()
            if line.startswith("sluice_upstream_endpoints") and f"{by}=" in line and other not in line
        }
        return values["sluice_upstream_endpoints_healthy"] < values["sluice_upstream_endpoints"]

    def retries(self) -> float:
        """Further attempts so far."""
        return self.total("sluice_upstream_retries_total")

    def held(self) -> Held:
        pids = [self.gateway.pid, *self.gateway.children()]
        descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        return Held({pid: resident(pid) for pid in pids}, descriptors, self.gateway.metric("sluice_native_tasks"))

    def rest(self) -> Held:
        """What is held when nobody asks for anything: the idle connections of the pools are closed first."""
        until(lambda: self.total("sluice_upstream_connections_active") == 0, "idle connections are closed", deadline=30)
        return self.held()

    def assert_calm(self, before: Held) -> None:
        """What was taken for the load is given back; no process died, none has grown."""
        until(lambda: self.gateway.metric("sluice_requests_in_flight") == 0, "no request in flight")
        self.rest()
        tasks = before.tasks + SPARE_TASKS
        until(lambda: self.held().tasks <= tasks, f"at most {tasks} tasks", deadline=30)
        limit = before.descriptors + SPARE_DESCRIPTORS
        until(lambda: self.held().descriptors <= limit, f"at most {limit} descriptors", deadline=30)
        after = self.held()
        assert after.resident.keys() == before.resident.keys(), self.gateway.log()
        grown = {pid: after.resident[pid] - before.resident[pid] for pid in after.resident}
        assert all(more < GROWTH for more in grown.values()), grown
        assert self.gateway.metric("sluice_native_panics_total") == 0

    def assert_well_formed(self, load: Load) -> None:
        """Whatever happened: no answer was wrong, and no upstream saw anything but requests."""
        assert load.wrong == []
        assert [fault for backend in self.backends for fault in backend.faults()] == []

    def all_serve(self, load: Load) -> None:
        """Wait until each endpoint answers again."""
        seen = dict(load.endpoints)
        until(lambda: all(load.endpoints[name] > seen.get(name, 0) for name in NAMES), "every endpoint serves", 20)


def resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    values = dict(line.split(":", 1) for line in status.splitlines())
    return int(values["VmRSS"].split()[0]) * 1024


RETRIES = {
    "timeout_ms": 5000,
    "connect_timeout_ms": 300,
    "retry_policy": {"retry_on": "5xx", "num_retries": 3, "per_try_timeout": f"{PER_TRY_MS}ms"},
}
BREAKERS = {"max_connections": 200, "max_pending_requests": 100, "max_requests": 100, "max_retries": 50}
NARROW = {**BREAKERS, "max_requests": 4}
# An endpoint that falls silent just after a check is out after interval, timeout, interval, timeout: 0.9 s.
CHECKS = {
    "health_check": {"http": {"path": "/up"}},
    "interval": "200ms",
    "timeout": "250ms",
    "unhealthy_threshold": 2,
    "healthy_threshold": 1,
}
CONSECUTIVE = 5
OUTLIERS = {
    "consecutive_5xx": CONSECUTIVE,
    "interval": "500ms",
    "base_ejection_time": "1s",
    "max_ejection_percent": 50,
    "enforcing_success_rate": 0,
}


def objects(ports: Ports, listen: int) -> list[m.Object]:
    """``/`` as an operator would have it, with short times: retries on whatever failed, active and passive checks and
    circuit breakers. Below ``/active`` and ``/passive`` are checks of one sort only, below ``/narrow`` a breaker."""

    def mapping(name: str, prefix: str, **spec: Any) -> m.Object:
        common: m.Object = {
            "resolver": "endpoints",
            "load_balancer": {"policy": "round_robin"},
            "cluster_idle_timeout_ms": 1000,
        }
        return m.mapping(name, prefix, f"web:{listen}", **{**common, **spec})

    retried = {**RETRIES, "circuit_breakers": [BREAKERS]}
    return [
        m.listener("http", ports.http),
        m.host("any"),
        m.service("web", listen, ADDRESSES[0]),
        m.endpoints("web", ADDRESSES[0], listen, *ADDRESSES[1:]),
        m.endpoint_resolver("endpoints"),
        mapping("all", "/", **retried, health_checks=[CHECKS], outlier_detection=OUTLIERS),
        mapping("active", "/active/", **retried, health_checks=[CHECKS]),
        mapping("passive", "/passive/", **retried, outlier_detection=OUTLIERS),
        mapping("narrow", "/narrow/", circuit_breakers=[NARROW], timeout_ms=20_000),
    ]


@contextlib.contextmanager
def rig(folder: Path, workers: int = 1) -> Iterator[Rig]:
    ports = Ports(extra=2)
    api, listen = ports.extra
    with contextlib.ExitStack() as stack:
        backends = tuple(stack.enter_context(Backend(endpoint(name), recording=False)) for name in NAMES)
        toxi = stack.enter_context(Toxiproxy(folder, api))
        for name, address, backend in zip(NAMES, ADDRESSES, backends, strict=True):
            toxi.proxy(name, f"{address}:{listen}", f"{LOOPBACK}:{backend.port}")
        gateway = stack.enter_context(GatewayProcess(folder, ports, objects(ports, listen), workers=workers))
        yield Rig(gateway, toxi, backends)

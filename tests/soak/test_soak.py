"""Minutes under mixed load with thousands of idle connections and a new configuration every few seconds: every request
is served, memory stays where it is, and all that was taken is given back."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.traffic import Traffic
from tests.soak import work
from tests.soak.crowd import RESERVE, Crowd, raise_descriptor_limit
from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.certs import Authority
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.length import seconds
from tests.support.ports import LOOPBACK
from tests.support.replies import message, tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backend import Exchange

LENGTH = seconds()

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LENGTH + 300)]

IDLE = 15_000
KINDS = ("kept", "fresh", "upload", "tunnelled", "secure", "multiplexed")
CHANGE_S = 3.0
SAMPLE_S = 1.0
WARM = 0.4
"""The part of the run in which pools fill, allocators take what they need and code is reached for the first time."""
GROWTH = 6 * 1024 * 1024
"""Bytes that a process may have more in the last fifth of the run than right after it was warm."""
SPARE_DESCRIPTORS = 4
SPARE_TASKS = 4


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    resident: dict[int, int]
    """Bytes, of the master and of each worker."""
    descriptors: int
    tasks: float


def sample(gateway: GatewayProcess) -> Sample:
    pids = [gateway.pid, *gateway.children()]
    resident = {}
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        values = dict(line.split(":", 1) for line in lines)
        resident[pid] = int(values["VmRSS"].split()[0]) * 1024
    descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
    return Sample(time.monotonic(), resident, descriptors, gateway.metric("sluice_native_tasks"))


def answer(exchange: Exchange) -> None:
    """``/stay`` is answered 204, an upload with its length, all else with a few bytes."""
    body = exchange.read_body().body
    if exchange.head.target == "/stay":
        exchange.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    else:
        exchange.send(message(200, str(len(body)).encode()))


@pytest.fixture
def upstream() -> Iterator[Backend]:
    with Backend(answer, recording=False) as running:
        running.on("/socket", tunnel)
        yield running
        assert running.faults() == []


def configuration(ports: Ports, upstream: int, number: int) -> list[m.Object]:
    """Each one differs in a header, a route, a cluster, a certificate and a listener."""
    target = f"{LOOPBACK}:{upstream}"
    leaf = Authority().issue("localhost")
    objects = [
        m.listener("http", ports.http),
        m.listener("https", ports.https, "HTTPS"),
        m.tls_secret("cert", leaf.chain, leaf.key),
        m.host("any", "*", "Route", "cert"),
        m.module(listener_idle_timeout_ms=3_600_000),
        m.mapping("all", "/", target, add_response_headers={"X-Version": str(number)}, cluster_idle_timeout_ms=2000),
        m.mapping("socket", "/socket", target, allow_upgrade=["websocket"], timeout_ms=0),
        m.mapping(f"route-{number}", f"/route-{number}", target, connect_timeout_ms=1000 + number % 7),
    ]
    if number % 2:
        objects.append(m.listener("sometimes", ports.extra[0]))
    return objects


def settled(gateway: GatewayProcess, start: Sample) -> Sample:
    """Wait until as few tasks and descriptors are left as there were."""

    def back() -> Sample | None:
        now = sample(gateway)
        calm = now.descriptors <= start.descriptors + SPARE_DESCRIPTORS and now.tasks <= start.tasks + SPARE_TASKS
        return now if calm else None

    return until(back, f"descriptors and tasks as in {start}", 60)  # type: ignore[return-value]


def window(samples: list[Sample], begin: float, end: float, pid: int) -> float:
    """Median of what a process held in a part of the run."""
    first, last = samples[0].at, samples[-1].at
    share = [s.resident[pid] for s in samples if begin <= (s.at - first) / (last - first) <= end]
    return statistics.median(share)


def assert_flat(samples: list[Sample]) -> None:
    for pid in samples[0].resident:
        early, late = window(samples, WARM, WARM + 0.2, pid), window(samples, 0.8, 1.0, pid)
        print(f"process {pid}: {early / 2**20:.1f} MiB when warm, {late / 2**20:.1f} MiB at the end")
        assert late - early < GROWTH, pid


def observe(gateway: GatewayProcess, traffic: Traffic, upstream: int) -> tuple[list[Sample], int]:
    """Change the configuration and take samples until the time is over or something failed."""
    samples: list[Sample] = []
    changes, change, end = 0, 0.0, time.monotonic() + LENGTH
    while time.monotonic() < end and not traffic.failures:
        if time.monotonic() >= change:
            changes, change = changes + 1, time.monotonic() + CHANGE_S
            gateway.configure(*configuration(gateway.ports, upstream, changes))
        samples.append(sample(gateway))
        traffic.stop.wait(SAMPLE_S)
    return samples, changes


def test_soak(upstream: Backend, tmp_path: Path) -> None:
    idle = min(IDLE, raise_descriptor_limit() - RESERVE)
    ports = Ports(extra=1)
    with GatewayProcess(tmp_path, ports, configuration(ports, upstream.port, 0), workers=2) as gateway:
        plain = (work.kept, work.kept, work.fresh, work.upload, work.tunnelled, work.multiplexed)
        clients = (*plain, work.secure(ports.https))
        with Traffic(ports.http, *clients) as traffic:
            for kind in KINDS:
                traffic.progress(kind, 20)
        start = settled(gateway, Sample(0, {}, 200, 40))
        with Crowd(ports.http, ports.https, idle) as crowd:
            with Traffic(ports.http, *clients) as traffic:
                samples, changes = observe(gateway, traffic, upstream.port)
            assert traffic.failures == []
            held = gateway.metric("sluice_connections_active")
            crowd.check()
        after = settled(gateway, start)
        assert samples[-1].resident.keys() == start.resident.keys(), gateway.log()
        print(f"{dict(traffic.done)}, {changes} changes, {held:.0f} connections; {start}; {samples[-1]}; {after}")
        assert held >= idle
        assert gateway.metric("sluice_connections_active") <= 1
        assert gateway.metric("sluice_requests_in_flight") == 0
        assert gateway.metric("sluice_native_panics_total") == 0
        assert gateway.metric("sluice_update_failures_total") == 0
        assert_flat(samples)

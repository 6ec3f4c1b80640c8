"""Local rate limits: refusals, keys, and one exact limit for all workers of a process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backend import Backend

RATE = 100
SECONDS = 10.0
CLIENTS = 32


def labelled(name: str, prefix: str, service: str, *specifiers: m.Object) -> m.Object:
    return m.mapping(name, prefix, service, labels={"ambassador": [{"group": list(specifiers)}]})


def generic(value: str) -> m.Object:
    return {"generic_key": {"value": value}}


@pytest.fixture(scope="module")
def port(upstream: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Limits per hour, so that nothing is refilled while a test runs."""
    target = f"{LOOPBACK}:{upstream.port}"
    ports = Ports()
    header = {"request_headers": {"key": "user", "header_name": "X-User"}}
    objects = [
        m.listener("http", ports.http),
        m.host("any"),
        m.rate_limit(
            "limits",
            "ambassador",
            {"pattern": [{"generic_key": "three"}], "rate": 3, "unit": "hour"},
            {"pattern": [{"generic_key": "burst"}], "rate": 2, "unit": "hour", "burstFactor": 3},
            {"pattern": [{"generic_key": "per-user"}, {"user": "*"}], "rate": 2, "unit": "hour"},
            {"pattern": [{"generic_key": "per-address"}, {"remote_address": "*"}], "rate": 2, "unit": "hour"},
            {"pattern": [{"generic_key": "body"}], "rate": 1, "unit": "hour"},
            {"pattern": [{"generic_key": "log"}], "rate": 1, "unit": "hour", "action": "LogOnly"},
        ),
        labelled("three", "/three", target, generic("three")),
        labelled("burst", "/burst", target, generic("burst")),
        labelled("user", "/user", target, generic("per-user"), header),
        labelled("address", "/address", target, generic("per-address"), {"remote_address": {"key": "remote_address"}}),
        labelled("body", "/body", target, generic("body")),
        labelled("log", "/log", target, generic("log")),
        m.mapping("free", "/free", target),
    ]
    with GatewayProcess(tmp_path_factory.mktemp("limits"), ports, objects) as gateway:
        yield gateway.ports.http


def statuses(port: int, count: int, target: str, *fields: tuple[str, str]) -> list[int]:
    with RawClient(port) as client:
        return [client.ask(request("GET", target, *fields)).status for _ in range(count)]


def test_refused_behind_the_limit(port: int, upstream: Backend) -> None:
    upstream.reset()
    assert statuses(port, 6, "/three") == [200] * 3 + [429] * 3
    assert len(upstream.requests) == 3
    assert statuses(port, 5, "/free") == [200] * 5


def test_the_bucket_is_rate_times_burst_factor(port: int) -> None:
    assert statuses(port, 8, "/burst") == [200] * 6 + [429] * 2


def test_one_bucket_per_header_value(port: int) -> None:
    assert statuses(port, 3, "/user", ("X-User", "a")) == [200, 200, 429]
    assert statuses(port, 3, "/user", ("X-User", "b")) == [200, 200, 429]
    assert statuses(port, 4, "/user") == [200] * 4, "a group without its header does not apply"


def test_one_bucket_per_address_that_nobody_can_choose(port: int) -> None:
    got = [ask(port, request("GET", "/address", ("X-Forwarded-For", f"9.9.9.{n}"))).status for n in range(4)]
    assert got == [200, 200, 429, 429]


def test_log_only_refuses_nothing(port: int) -> None:
    assert statuses(port, 4, "/log") == [200] * 4


def test_a_refusal_says_when_to_come_back(port: int) -> None:
    statuses(port, 3, "/three")
    response = ask(port, request("GET", "/three"))
    assert response.status == 429
    assert 0 < int(response.fields.one("retry-after")) <= 3600


def test_a_refused_upload_is_not_a_request(port: int, upstream: Backend) -> None:
    statuses(port, 1, "/body")
    upstream.reset()
    with RawClient(port) as client:
        client.send(request("POST", "/body", body=request("GET", "/smuggled") * 100))
        response = client.response("POST")
        assert response.status == 429
        assert client.ended() if response.announces_close else client.ask(request("GET", "/free")).status == 200
    assert "/smuggled" not in [head.target for head in upstream.heads()]


@dataclass(slots=True)
class Overload:
    """Clients that ask without pause until ``stop``; ``began`` and ``ended`` bound the time of all of them."""

    port: int
    stop: threading.Event = field(default_factory=threading.Event)
    admitted: int = 0
    refused: int = 0
    other: list[int | str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self) -> None:
        data = request("GET", "/limited")
        admitted = refused = 0
        try:
            with RawClient(self.port) as connection:
                while not self.stop.is_set():
                    status = connection.ask(data).status
                    admitted += status == 200
                    refused += status == 429
                    if status not in (200, 429):
                        self.other.append(status)
        except Exception as error:
            self.other.append(repr(error))
        with self.lock:
            self.admitted += admitted
            self.refused += refused

    def run(self, seconds: float) -> tuple[float, float]:
        """(shortest, longest) time that the overload can have lasted for the gateway."""
        threads = [threading.Thread(target=self.client) for _ in range(CLIENTS)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        all_started = time.monotonic()
        self.stop.wait(seconds)
        stopping = time.monotonic()
        self.stop.set()
        for thread in threads:
            thread.join()
        return stopping - all_started, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_limit_is_exact_across_workers(upstream: Backend, tmp_path: Path) -> None:
    """100 a second and a bucket of 100: what was admitted follows from the time that really passed, within 1 %."""
    upstream.reset()
    ports = Ports()
    objects = [
        m.listener("http", ports.http),
        m.host("any"),
        m.rate_limit("limit", "ambassador", {"pattern": [{"generic_key": "k"}], "rate": RATE, "unit": "second"}),
        labelled("limited", "/limited", f"{LOOPBACK}:{upstream.port}", generic("k")),
    ]
    with GatewayProcess(tmp_path, ports, objects, workers=4):
        overload = Overload(ports.http)
        shortest, longest = overload.run(SECONDS)
    burst = RATE
    assert overload.other == []
    assert overload.refused > overload.admitted, "not an overload"
    assert (burst + RATE * shortest) * 0.99 <= overload.admitted <= (burst + RATE * longest) * 1.01
    assert len(upstream.requests) == overload.admitted

"""No request over HTTP/1 costs more than 100 times its bytes, nor much more time than a plain one (behaviour row 54).

The whole corpus, legal and malformed, and what goes to the limits: each on many connections at once, which stay open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.corpus.generate import corpus
from tests.protocol.oracle import probe
from tests.protocol.site import Edge, site
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.rawclient import HOST, RawClient, request
from tests.support.replies import echo
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AT_ONCE = 100
"""Connections with the same payload: enough that their cost stands out from what the allocator keeps."""
TIMES = 100
"""Bytes of memory for each byte of a request."""
CONNECTION = 12 * 1024
"""Bytes of memory for a connection with a request, whatever it says: a buffer for its head, the head, one task; and one
connection to the upstream."""
SLOWER = 20
"""Processor time of a worker in terms of a plain request on a connection of its own."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one of many equal requests."""

    memory: float
    """Bytes by which the worker grew, if only for a moment."""
    seconds: float
    """Processor time of the worker."""


class Meter:
    """Measures the one worker of a gateway."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        (self.pid,) = edge.gateway.children()
        plain = request("GET", "/")
        for _ in range(3):  # Caches and pools fill, and the connections to the upstream.
            self.plain = self.cost(plain)

    def cost(self, data: bytes) -> Cost:
        """Sends ``data`` on many connections and keeps them until the worker has read all of it."""
        # Resets the peak of the resident memory (proc(5)).
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")
        memory, time = self._memory("VmRSS"), self._seconds()
        clients = [RawClient(self.edge.port) for _ in range(AT_ONCE)]
        for client in clients:
            client.offer(data)
        # The worker takes connections in turn: whatever came before has been looked at twice when these are answered.
        probe(self.edge)
        probe(self.edge)
        spent, most = self._seconds() - time, self._memory("VmHWM")
        for client in clients:
            client.reset()
        return Cost((most - memory) / AT_ONCE, spent / AT_ONCE)

    def check(self, data: bytes, what: str) -> None:
        cost = self.cost(data)
        allowed = CONNECTION + TIMES * len(data)
        assert cost.memory <= allowed, f"{what}: {cost.memory:.0f} bytes of memory for {len(data)}"
        if cost.seconds > SLOWER * self.plain.seconds:
            # Something else may have happened at that moment; a request that is slow is so each time.
            cost = min((self.cost(data) for _ in range(3)), key=lambda one: one.seconds)
        assert cost.seconds <= SLOWER * self.plain.seconds, f"{what}: {cost.seconds * 1e6:.0f} us"

    def assert_unharmed(self) -> None:
        gateway = self.edge.gateway
        assert gateway.children() == [self.pid], gateway.log()
        assert gateway.metric("sluice_native_panics_total") == 0
        until(lambda: gateway.metric("sluice_requests_in_flight") == 0, "no request in flight")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        values = dict(line.split(":", 1) for line in status.splitlines())
        return int(values[name].split()[0]) * 1024

    def _seconds(self) -> float:
        """Time on a processor, of the thread that serves."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


@pytest.fixture(scope="module")
def meter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meter]:
    ports = Ports(extra=2)
    with (
        Backend(echo, recording=False) as backend,
        GatewayProcess(tmp_path_factory.mktemp("costs"), ports, site(ports, backend.port)) as gateway,
    ):
        yield Meter(Edge(gateway, backend))


def by_rule() -> dict[str, list[tuple[str, bytes]]]:
    rules: dict[str, list[tuple[str, bytes]]] = {}
    for payload in corpus():
        rules.setdefault(payload.rule, []).append((payload.detail, payload.data))
    return rules


RULES = by_rule()


@pytest.mark.parametrize("rule", RULES)
def test_the_corpus(meter: Meter, rule: str) -> None:
    for detail, data in RULES[rule]:
        meter.check(data, detail)
    meter.assert_unharmed()


def head(*lines: bytes, target: bytes = b"/", method: bytes = b"GET") -> bytes:
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: " + HOST.encode(), *lines, b"", b""])


CHUNKED = head(b"Transfer-Encoding: chunked", method=b"POST")
LIMITS = {
    "nothing": b"G",
    "no end of line": b"GET /" + b"a" * 50_000,
    "long target": head(target=b"/" + b"a" * 60_000),
    "dots": head(target=b"/a/.." * 1000 + b"/"),
    "escapes": head(target=b"/" + b"%61" * 2000),
    "long query": head(target=b"/?" + b"&a=b" * 1500),
    "long value": head(b"X-A: " + b"a" * 55_000),
    "half a long value": head(b"X-A: " + b"a" * 55_000)[:-4],
    "fields without value": head(*[b"a:"] * 14_000),
    "as many fields as may be": head(*[b"a:"] * 95),
    "cookies": head(*[b"Cookie: a=b"] * 90),
    "forwarded": head(b"X-Forwarded-For: " + b", ".join([b"1.2.3.4"] * 3000)),
    "connection options": head(b"Connection: " + b", ".join([b"x-%d" % number for number in range(3000)])),
    "many codings": head(b"Accept-Encoding: " + b",".join([b"gzip;q=0.5"] * 3000)),
    "a body that does not come": head(b"Content-Length: 1000000", method=b"POST"),
    "a body that begins": head(b"Content-Length: 1000000", method=b"POST") + b"a",
    "a chunk that begins": CHUNKED + b"fffff\r\na",
    "a chunk size that does not end": CHUNKED + b"0" * 15,
    "an extension that does not end": CHUNKED + b"5;" + b"a" * 4000,
    "one byte in each chunk": CHUNKED + b"1\r\na\r\n" * 5000,
    "trailers": CHUNKED + b"0\r\n" + b"a: b\r\n" * 90,
    "a body that is expected": head(b"Content-Length: 1000000", b"Expect: 100-continue", method=b"POST"),
    "one after the other": head() * 300,
    "no upstream": head(target=b"/dead"),
    "a body for no upstream": head(b"Content-Length: 1000000", method=b"POST", target=b"/dead") + b"a" * 50_000,
    "an upgrade": head(b"Connection: Upgrade", b"Upgrade: websocket", target=b"/socket"),
}


@pytest.mark.parametrize("case", LIMITS)
def test_what_goes_to_the_limits(meter: Meter, case: str) -> None:
    requests = LIMITS[case].count(b"HTTP/1.1") or 1
    cost = meter.cost(LIMITS[case])
    assert cost.memory <= CONNECTION + TIMES * len(LIMITS[case])
    # Long requests are compared by their length: a plain one has some 40 bytes.
    assert cost.seconds <= SLOWER * meter.plain.seconds * max(requests, len(LIMITS[case]) / 1000, 1)
    meter.assert_unharmed()


def test_the_meter_sees_memory_and_time(meter: Meter) -> None:
    """A large request takes more of both than a small one, so that a test could fail."""
    large, small = meter.cost(LIMITS["half a long value"]), meter.cost(LIMITS["nothing"])
    assert large.seconds > small.seconds
    assert meter.plain.seconds > 0

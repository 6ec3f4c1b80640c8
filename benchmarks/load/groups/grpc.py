"""Unary gRPC calls, HTTP/2 on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load.clients import golang
from benchmarks.load.clients.ghz import PREFIX, Ghz
from benchmarks.load.groups import Group
from benchmarks.load.plan import Scenario
from benchmarks.load.site import HOST, Route, Site

if TYPE_CHECKING:
    from benchmarks.load.run import Run

CONNECTIONS, CALLS = 8, 64


def measure(run: Run) -> None:
    golang.ghz()
    with run.backend_program(golang.program("grpcecho"), golang.ONE_THREAD) as port:
        site = Site("grpc", (Route(HOST, PREFIX, PREFIX),), port, prior_knowledge=True, grpc=True)
        run.measure({site: [Scenario("gRPC unary, 64 calls at once", Ghz(CONNECTIONS, CALLS, "x" * 64))]})


GROUP = Group(
    "grpc",
    f"Unary calls by `ghz`, {CALLS} at once on {CONNECTIONS} connections, with a name of 64 bytes that comes back. "
    "HTTP/2 in cleartext by prior knowledge on both sides; paths are kept. The backend is a grpc-go server beside "
    "the benchmark. Generator and backend, `GOMAXPROCS=1` each, cost more than the gateways: those wait for load, "
    "which the own core share tells.",
    measure,
)

"""Full TLS handshakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load.clients import golang
from benchmarks.load.clients.drivers import Driver
from benchmarks.load.groups import API, Group
from benchmarks.load.plan import Scenario
from benchmarks.load.site import Site

if TYPE_CHECKING:
    from benchmarks.load.run import Run


def measure(run: Run) -> None:
    golang.program("tlsload")
    site = Site("handshakes", API, run.backend.port, run.certificate)
    run.measure({site: [Scenario("TLS 1.3 handshakes, 16 at once", Driver("tlsload", 16, "/api/hello"))]})


GROUP = Group(
    "handshakes",
    "What one TLS connection costs, from accept to close: TCP, a full TLS 1.3 handshake (X25519, ECDSA P-256, no "
    "ticket offered, and one that resumed would count as an error), one GET with an answer of 128 bytes and "
    "`Connection: close`. 16 connections at once, by a program in Go beside the benchmark.",
    measure,
)

"""HTTP/2 from clients, by ALPN and by prior knowledge; the backend is asked in HTTP/1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load.clients.h2load import H2load
from benchmarks.load.groups import API, Group
from benchmarks.load.plan import Scenario
from benchmarks.load.process import require
from benchmarks.load.site import Site

if TYPE_CHECKING:
    from benchmarks.load.run import Run

CONNECTIONS, STREAMS = 16, 10


def measure(run: Run) -> None:
    require("h2load")
    load = H2load(CONNECTIONS, STREAMS, "/api/hello")
    run.measure(
        {
            Site("h2", API, run.backend.port, run.certificate): [Scenario("h2 over TLS 1.3, small, 16 × 10", load)],
            Site("h2c", API, run.backend.port, prior_knowledge=True): [Scenario("h2 cleartext, small, 16 × 10", load)],
        }
    )


GROUP = Group(
    "h2",
    f"HTTP/2 by `h2load`, one thread: GET with an answer of 128 bytes on {CONNECTIONS} connections with {STREAMS} "
    "streams each; once over TLS 1.3, where `h2` has to be chosen by ALPN, once in cleartext by prior knowledge. "
    "The backend is asked in HTTP/1.1. `h2load` gives no percentiles. HTTP/3 is not measured: Debian's `h2load` "
    "is built without it.",
    measure,
)

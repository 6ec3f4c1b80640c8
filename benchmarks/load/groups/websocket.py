"""Messages through WebSockets."""

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
    golang.program("wsload")
    with run.backend_program(golang.program("wsecho"), golang.ONE_THREAD) as port:
        site = Site("websocket", API, port, websocket=True)
        scenario = Scenario("WebSocket echo, 64 connections", Driver("wsload", 64, "/api/echo"))
        run.measure({site: [scenario]})


GROUP = Group(
    "websocket",
    "Text messages of 64 bytes, echoed: 64 WebSockets with one message under way on each. A message counts when "
    "its echo is back, so that the gateway has moved two frames for it. Generator and backend are programs in Go "
    "beside the benchmark, `GOMAXPROCS=1` each.",
    measure,
)

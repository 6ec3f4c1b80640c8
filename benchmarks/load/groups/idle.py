"""Memory of connections that do nothing."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING

from benchmarks.load import machine
from benchmarks.load.groups import API, Group, plain
from benchmarks.load.plan import Idle
from benchmarks.load.site import HOST, Site

if TYPE_CHECKING:
    from benchmarks.load.process import Proxy
    from benchmarks.load.run import Run

FIRST = 20
"""Connections before the first look, which find everything that is set up once."""
SETTLE_SECONDS = 2.0
REQUEST = f"GET /api/hello HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def measure(run: Run) -> None:
    """Every gateway on every site in every round as a new process: memory that was used before would be used again."""
    for number in range(run.plan.rounds):
        sites = (plain(run, f"idle-{number}"), Site(f"idle-tls-{number}", API, run.backend.port, run.certificate))
        for site in sites:
            for kind in run.plan.proxies:
                with run.serving([site], (kind,)) as proxies:
                    for proxy in proxies:
                        try:
                            found = look(proxy, run.plan.idle_connections)
                        except OSError as error:
                            run.fail(f"{proxy.name}, {site.name}: {error!r}")
                            continue
                        run.outcome.idle.append(found)
                        print(f"{found.site:36} {found.proxy:15} {found.rss:9,} bytes RSS each", flush=True)
            del run.outcome.start_seconds[site.name]


def look(proxy: Proxy, count: int) -> Idle:
    with contextlib.ExitStack() as stack:
        context = None
        if proxy.site.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        open_connections(stack, proxy.port, FIRST, context)
        time.sleep(SETTLE_SECONDS)
        before = machine.resident(proxy.program.pids())
        opened = open_connections(stack, proxy.port, count, context)
        time.sleep(SETTLE_SECONDS)
        after = machine.resident(proxy.program.pids())
        return Idle(
            proxy=proxy.name,
            site="tls" if proxy.site.tls else "plain",
            connections=count,
            rss=round((after.rss - before.rss) / count),
            pss=round((after.pss - before.pss) / count),
            closed=closed(opened),
        )


def open_connections(
    stack: contextlib.ExitStack, port: int, count: int, context: ssl.SSLContext | None
) -> list[socket.socket]:
    """One after the other, each with one request that has been answered."""
    opened = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname=HOST)
        stack.callback(connection.close)
        connection.sendall(REQUEST)
        answer = connection.recv(65536)
        while not answer.endswith(b"x" * 128):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError(f"closed after {answer!r}")
            answer += piece
        opened.append(connection)
    return opened


def closed(connections: list[socket.socket]) -> int:
    """Only the end of a connection can be read from one that waits for nothing."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))


GROUP = Group(
    "idle",
    "What one connection adds to the memory of all processes of a gateway (RSS and PSS), in bytes: the stated "
    f"number of connections is opened after {FIRST} others, one after the other, each with one GET that was "
    f"answered, then left alone for {SETTLE_SECONDS:.0f} s. Each round starts new processes. Memory of the kernel "
    "is not in it.",
    measure,
)

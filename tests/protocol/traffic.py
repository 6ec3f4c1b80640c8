"""Clients that work without pause in threads and count everything that goes wrong."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Self, TypeAlias

from tests.support.rawclient import RawClient, request
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


Worker: TypeAlias = 'Callable[["Traffic"], None]'


class Traffic:
    """Runs the given workers until the context ends. ``failures`` has every error and every answer other than 200."""

    def __init__(self, port: int, *workers: Worker) -> None:
        self.port = port
        self.stop = threading.Event()
        self.failures: list[str] = []
        self.done: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._guarded, args=(worker,)) for worker in workers]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def count(self, name: str) -> None:
        with self._lock:
            self.done[name] += 1

    def progress(self, name: str, more: int) -> None:
        """Wait until this kind of work was done ``more`` times more, something failed or all is over."""
        goal = self.done[name] + more
        until(lambda: self.done[name] >= goal or self.failures or self.stop.is_set(), f"{more} more {name}", 30)

    def check(self, name: str, status: int) -> None:
        if status == 200:
            self.count(name)
        else:
            self.failures.append(f"{name}: status {status}")

    def _guarded(self, worker: Worker) -> None:
        try:
            worker(self)
        except Exception as error:
            self.failures.append(f"{worker.__name__}: {error!r}")


def kept(traffic: Traffic) -> None:
    """Requests on one connection. An announced close is the server's right; the next request takes a new one."""
    while not traffic.stop.is_set():
        with RawClient(traffic.port) as client:
            closing = False
            while not closing and not traffic.stop.is_set():
                response = client.ask(request("GET", "/kept"))
                traffic.check("kept", response.status)
                closing = response.announces_close


def fresh(traffic: Traffic) -> None:
    """A new connection for every request."""
    while not traffic.stop.is_set():
        with RawClient(traffic.port) as client:
            traffic.check("fresh", client.ask(request("GET", "/fresh", ("Connection", "close"))).status)


def upload(traffic: Traffic) -> None:
    """Uploads that last longer than many changes: a piece goes when another request was served meanwhile."""
    while not traffic.stop.is_set():
        pieces = 20
        with RawClient(traffic.port) as client:
            client.send(request("POST", "/upload", ("Content-Length", str(pieces * 1000))))
            for _ in range(pieces):
                traffic.progress("fresh", 1)
                client.send(b"x" * 1000)
            response = client.response("POST")
            traffic.check("upload", response.status)
            if len(response.json()["body"]) != pieces * 1000:
                traffic.failures.append("upload: body is incomplete")


def tunnelled(traffic: Traffic) -> None:
    """One WebSocket for the whole time."""
    fields = (
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    )
    with RawClient(traffic.port) as client:
        status = client.ask(request("GET", "/socket", *fields)).status
        if status != 101:
            traffic.failures.append(f"tunnelled: status {status}")
        while status == 101 and not traffic.stop.is_set():
            client.send(b"\x81\x04ping")
            traffic.check("tunnelled", 200 if client.stream.exactly(6) == b"\x81\x04ping" else 0)

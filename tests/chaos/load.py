"""Clients that check every byte of every answer, and tell a lost request from a broken one."""

from __future__ import annotations

import functools
import hashlib
import itertools
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self, TypeAlias

from tests.support.rawclient import RawClient, request
from tests.support.replies import message
from tests.support.waiting import until
from tests.support.wire import EndOfStreamError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.support.backend import Exchange, Handler
    from tests.support.messages import Response

SMALL = 300
"""Bytes of a body that comes in one piece with its head, so that a request with it can be sent again."""
LARGE = 100_000
REQUESTS_PER_CONNECTION = 200
KINDS = ("get", "put", "large-get", "large-put")
REPLAYABLE = ("get", "put")


def content(size: int, seed: int) -> bytes:
    """A body that no piece of another one equals."""
    block = hashlib.sha256(str(seed).encode()).hexdigest().encode()
    return (block * (size // len(block) + 1))[:size]


def endpoint(name: str) -> Handler:
    """``GET …/SIZE/SEED`` answers with that content, in chunks where it is large and SEED odd; ``PUT`` with the digest
    of what came; ``/up`` with 200. ``X-Endpoint`` says who it was."""
    field = ("X-Endpoint", name)

    def handler(exchange: Exchange) -> None:
        recorded = exchange.read_body()
        if recorded.head.method == "PUT":
            exchange.send(message(200, hashlib.sha256(recorded.body).hexdigest().encode(), field))
            return
        if recorded.head.target == "/up":
            exchange.send(message(200, b"up", field))
            return
        size, seed = (int(word) for word in recorded.head.target.split("/")[-2:])
        body = content(size, seed)
        if size <= SMALL or seed % 2 == 0:
            exchange.send(message(200, body, field))
            return
        exchange.send(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Endpoint: {name}\r\n\r\n".encode())
        for start in range(0, size, 10_000):
            piece = body[start : start + 10_000]
            exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.send(b"0\r\n\r\n")

    return handler


Kind: TypeAlias = str
Result: TypeAlias = str


class Load:
    """Runs clients of the given kinds until the context ends.

    ``results`` counts by kind and by what came of a request: ``ok``, the status of an answer of the gateway, or ``cut``
    for one that ended with its connection. ``wrong`` has what must never be: an answer that is complete by its framing
    and not what was asked for, or bytes that are no answer.
    """

    def __init__(self, port: int, *kinds: Kind, prefix: str = "") -> None:
        self.port = port
        self._prefix = prefix
        self.results: Counter[tuple[Kind, Result]] = Counter()
        self.endpoints: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._seeds = itertools.count(1)
        self._threads = [threading.Thread(target=self._guarded, args=(kind,)) for kind in kinds]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def snapshot(self) -> Counter[tuple[Kind, Result]]:
        with self._lock:
            return Counter(self.results)

    def done(self, kind: Kind) -> int:
        """Requests of a kind that ended, one way or the other."""
        return sum(count for (one, _), count in self.snapshot().items() if one == kind)

    def served(self, kind: Kind) -> int:
        return self.snapshot()[kind, "ok"]

    def progress(self, more: int, *kinds: Kind, deadline: float = 30.0) -> None:
        """Wait until of each kind so many more requests have ended."""
        goals = {kind: self.done(kind) + more for kind in kinds}
        until(
            lambda: self.wrong or all(self.done(kind) >= goal for kind, goal in goals.items()),
            f"{more} more of {kinds}",
            deadline,
        )

    def progress_well(self, more: int, *kinds: Kind, deadline: float = 30.0) -> None:
        """Wait until of each kind so many more requests were served."""
        goals = {kind: self.served(kind) + more for kind in kinds}
        until(
            lambda: self.wrong or all(self.served(kind) >= goal for kind, goal in goals.items()),
            f"{more} more of {kinds} served",
            deadline,
        )

    def lost(self, *kinds: Kind) -> dict[tuple[Kind, Result], int]:
        return {key: count for key, count in self.snapshot().items() if key[0] in kinds and key[1] != "ok"}

    def _count(self, kind: Kind, result: Result, by: str | None = None) -> None:
        with self._lock:
            self.results[kind, result] += 1
            if by:
                self.endpoints[by] += 1

    def _guarded(self, kind: Kind) -> None:
        try:
            while not self._stop.is_set():
                self._connection(kind)
        except Exception as error:
            self.wrong.append(f"{kind}: {error!r}")

    def _connection(self, kind: Kind) -> None:
        """Requests on one connection until it breaks, the gateway says that it ends, or it was long enough."""
        with RawClient(self.port, timeout=30) as client:
            for _ in range(REQUESTS_PER_CONNECTION):
                if self._stop.is_set():
                    return
                with self._lock:
                    seed = next(self._seeds)
                try:
                    response = CLIENTS[kind](client, self._prefix, seed)
                except (EndOfStreamError, ConnectionError):
                    self._count(kind, "cut")
                    return
                self._judge(kind, seed, response)
                if response.announces_close:
                    return

    def _judge(self, kind: Kind, seed: int, response: Response) -> None:
        if response.status != 200:
            self._count(kind, str(response.status))
            return
        size = LARGE if kind.startswith("large") else SMALL
        expected = content(size, seed)
        if kind.endswith("put"):
            expected = hashlib.sha256(expected).hexdigest().encode()
        if response.body == expected:
            self._count(kind, "ok", response.fields.get("x-endpoint"))
        else:
            self.wrong.append(f"{kind}: {len(response.body)} bytes of {len(expected)}: {response.fields.items}")


def _get(client: RawClient, prefix: str, seed: int, size: int = SMALL) -> Response:
    return client.ask(request("GET", f"{prefix}/get/{size}/{seed}"))


def _put(client: RawClient, prefix: str, seed: int, size: int = SMALL) -> Response:
    # A gateway that answers before it has everything may close: that is an answer, and no error of the client.
    return client.offer(request("PUT", f"{prefix}/put/{seed}", body=content(size, seed))).response("PUT")


CLIENTS: dict[Kind, Callable[[RawClient, str, int], Response]] = {
    "get": _get,
    "put": _put,
    "large-get": functools.partial(_get, size=LARGE),
    "large-put": functools.partial(_put, size=LARGE),
}

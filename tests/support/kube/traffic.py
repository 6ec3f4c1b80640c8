"""Steady traffic with a number on every request: what was asked for came back, or it counts as a failure.

The clients are strict. One that keeps its connection uses it again unless the peer has ended it or said that it would;
a request that gets no answer then is a failure, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from types import TracebackType

ANSWER_SECONDS = 10.0
"""No answer within this is a failure."""
KINDS = ("kept GET", "kept POST", "new GET", "new POST")
"""Connection and method: on a connection that is kept, or on one of the request's own."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and with which ``Host``."""

    address: str
    port: int
    host: str = "edge.example.org"


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that was not answered as it should."""

    kind: str
    number: int
    seconds: float
    """Since the traffic began."""
    what: str


@dataclass(slots=True)
class Tally:
    """What came of the requests so far."""

    sent: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    pods: Counter[str] = field(default_factory=Counter)
    """Good answers by who gave them."""
    connections: int = 0
    slowest: float = 0.0
    """Seconds of the good answer that took longest."""

    def of(self, *kinds: str) -> list[Failure]:
        return [one for one in self.failures if one.kind in kinds]

    def __str__(self) -> str:
        parts = [f"{kind} {self.sent[kind]}" for kind in KINDS if self.sent[kind]]
        worst = "; ".join(str(one) for one in self.failures[:5])
        return (
            f"{sum(self.sent.values())} requests ({', '.join(parts)}) on {self.connections} connections, "
            f"{len(self.failures)} failed, slowest {1000 * self.slowest:.0f} ms {worst}"
        )


class _WrongAnswerError(Exception):
    """An answer, but not the one that was asked for."""


class Traffic:
    """Runs from entering the context to leaving it, in a thread of its own so that the test does not slow it down."""

    def __init__(
        self, target: Target, path: str, *, rate: float, kinds: tuple[str, ...] = KINDS, clients: int = 2
    ) -> None:
        """``rate``: requests per second of all ``clients`` of each of the ``kinds`` together."""
        self._target = target
        self._path = path
        self._kinds = [kind for kind in kinds for _ in range(clients)]
        self._interval = len(self._kinds) / rate
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="traffic")
        self._crash: BaseException | None = None
        self._began = time.monotonic()
        self.tally = Tally()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None and self._crash is not None:
            raise self._crash

    async def more(self, count: int, deadline: float = 30.0) -> None:
        """Until so many more requests of each kind have ended."""
        kinds = set(self._kinds)
        goals = {kind: self._ended(kind) + count for kind in kinds}

        def reached() -> bool:
            if self._crash is not None:
                raise self._crash
            return all(self._ended(kind) >= goal for kind, goal in goals.items())

        await eventually(reached, f"{count} more requests of each kind; {self.tally}", deadline)

    def _ended(self, kind: str) -> int:
        return self.tally.good[kind] + len(self.tally.of(kind))

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for place, kind in enumerate(self._kinds):
                    group.create_task(self._client(kind, place * self._interval / len(self._kinds)))
        except BaseExceptionGroup as error:
            self._crash = error

    async def _client(self, kind: str, offset: float) -> None:
        due = time.monotonic() + offset
        connection: _Connection | None = None
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # A client that was kept waiting does not send in a burst what it has missed.
            due = max(due + self._interval, time.monotonic())
            connection = await self._request(kind, connection)
        if connection is not None:
            connection.close()

    async def _request(self, kind: str, connection: _Connection | None) -> _Connection | None:
        """The connection for the next one, if it may be used again."""
        number, tally, began = next(self._numbers), self.tally, time.monotonic()
        kept, method = kind.startswith("kept"), kind.rpartition(" ")[2]
        tally.sent[kind] += 1
        if connection is not None and connection.ended:
            connection.close()
            connection = None
        reused = connection is not None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if connection is None:
                    connection = await _Connection.open(self._target)
                    tally.connections += 1
                again = await connection.ask(method, f"{self._path}?n={number}&", f"body {number}", kept)
        except (OSError, EOFError, TimeoutError, _WrongAnswerError) as error:
            where = "used again" if reused else "new"
            what = f"{where}: {type(error).__name__}: {error}"
            tally.failures.append(Failure(kind, number, round(began - self._began, 2), what))
            if connection is not None:
                connection.close()
            return None
        tally.slowest = max(tally.slowest, time.monotonic() - began)
        tally.good[kind] += 1
        tally.pods[connection.pod] += 1
        if kept and again:
            return connection
        connection.close()
        return None


class _Connection:
    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target, self._reader, self._writer = target, reader, writer
        self.pod = ""
        """Who gave the last answer."""

    @classmethod
    async def open(cls, target: Target) -> Self:
        return cls(target, *await asyncio.open_connection(target.address, target.port))

    @property
    def ended(self) -> bool:
        """The peer has closed it."""
        return self._reader.at_eof() or self._reader.exception() is not None

    def close(self) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: str, keep: bool) -> bool:
        """Whether another request may follow."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._target.host}"]
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        if not keep:
            lines.append("Connection: close")
        text = "\r\n".join([*lines, "", body if method == "POST" else ""])
        self._writer.write(text.encode())
        status, _, rest = (await self._reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in rest.split("\r\n") if line)
        data = await self._body(fields)
        if status.split(" ")[1] != "200":
            raise _WrongAnswerError(f"{status}: {data[:200]!r}")
        answer = json.loads(data)
        # A backend may be asked under another prefix than the gateway.
        if not answer["path"].endswith(path[path.index("?") :]):
            raise _WrongAnswerError(f"{path} was answered with {data[:200]!r}")
        if method == "POST" and answer.get("body", body) != body:
            raise _WrongAnswerError(f"{body} was answered with {data[:200]!r}")
        self.pod = answer["pod"]
        return fields.get("connection") != "close"

    async def _body(self, fields: dict[str, str]) -> bytes:
        if fields.get("transfer-encoding") != "chunked":
            return await self._reader.readexactly(int(fields["content-length"]))
        data = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            data += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return data

"""How a proxy takes a payload: refused, or forwarded as which requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.messages import read_response
from tests.support.rawclient import RawClient, request
from tests.support.wire import WireError

if TYPE_CHECKING:
    from tests.protocol.corpus.payload import Payload
    from tests.support.backend import Backend

SENTINEL_TARGET = "/sentinel"
SENTINEL = request("GET", SENTINEL_TARGET, ("Connection", "close"))
PATIENCE = 4.0
"""Seconds without an answer after which a proxy counts as still waiting for the rest of the message."""

Requests = tuple[tuple[str, bytes], ...]
"""Method and body of every request that was forwarded and answered well; empty means refused."""

MALFORMED: Requests = (("malformed", b""),)
"""The proxy took the payload and forwarded something that is not HTTP."""


def judge(port: int, backend: Backend, payload: Payload) -> Requests:
    """Send the payload and a good request behind it; what completed upstream before that one is the verdict."""
    before, faults = len(backend.requests), len(backend.faults())
    statuses = _statuses(port, payload.data + SENTINEL)
    if len(backend.faults()) > faults:
        return MALFORMED
    forwarded = [recorded for recorded in backend.requests[before:] if recorded.head.target != SENTINEL_TARGET]
    answered = [status for status in statuses if status < 300][: len(forwarded)]
    if not answered or statuses[0] >= 300:
        return ()
    return tuple((recorded.head.method, recorded.body) for recorded in forwarded[: len(answered)])


def _statuses(port: int, data: bytes) -> list[int]:
    """Statuses of all answers until the end, an unreadable answer, or silence."""
    statuses: list[int] = []
    with RawClient(port, timeout=PATIENCE) as client:
        client.offer(data)
        try:
            while client.stream.has_more():
                statuses.append(read_response(client.stream).status)
        except (WireError, OSError):
            pass
    return statuses

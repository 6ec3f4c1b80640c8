"""What must be true after a bad HTTP/2 request, and what a worker may cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.protocol.oracle import assert_only_new_requests_arrive, probe
from tests.support.h2client import H2Client, RawField, Reset
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.protocol.site import Edge
    from tests.support.h2client import Outcome

PROTOCOL_ERROR = 1
GROWTH = 10 * 1024 * 1024
"""How much more memory a worker may hold after an attack than before, in bytes."""
CALM = 20
"""Looks at the processor time of a worker that have to show no change, one after the other."""


def refused_h2(edge: Edge, fields: Sequence[RawField], body: bytes | None = None, statuses: Sequence[int] = ()) -> None:
    """A request with these fields is broken off or answered 4xx, and nothing of it arrives upstream."""
    edge.backend.reset()
    _refused(edge, fields, body, statuses)
    assert_only_new_requests_arrive(edge)


def refused_in_body_h2(edge: Edge, fields: Sequence[RawField], body: bytes) -> None:
    """The body does not fit to a good head: its request is never completed upstream, and no byte of it is taken for
    something else."""
    edge.backend.reset()
    _refused(edge, fields, body, ())
    probe(edge)
    assert [recorded.head.target for recorded in edge.backend.requests if "probe" not in recorded.head.target] == []
    assert not [head for head in edge.backend.heads() if head.target == "/smuggled"]


def _refused(edge: Edge, fields: Sequence[RawField], body: bytes | None, statuses: Sequence[int]) -> None:
    with H2Client(edge.port) as client:
        stream = client.start(fields, end=body is None)
        if body is not None and client.streams[stream].reset is None:
            client.data(stream, body)
        outcome = client.outcome(stream)
        assert_refusal(outcome, statuses or (400,))
        if isinstance(outcome, Reset) and outcome.connection:
            assert client.closed


def assert_refusal(outcome: Outcome, statuses: Sequence[int]) -> None:
    if isinstance(outcome, Reset):
        assert outcome.code == PROTOCOL_ERROR, outcome
    else:
        assert outcome.status in statuses, outcome


class Worker:
    """The one worker of a gateway before something is done to it."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        (self.pid,) = edge.gateway.children()
        probe(edge)
        self._before = self._memory()

    def _memory(self) -> tuple[int, int]:
        """Resident bytes now and at most so far."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        values = dict(line.split(":", 1) for line in status.splitlines())
        now, most = (int(values[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        return now, most

    def _ticks(self) -> int:
        """Processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def arrived(self) -> list[str]:
        """Targets that came to the upstream, but for the probes."""
        return [head.target for head in self._edge.backend.heads() if not head.target.startswith("/probe")]

    def growth(self) -> int:
        """By how much it has grown, if only for a moment."""
        return max(after - before for before, after in zip(self._before, self._memory(), strict=True))

    def assert_unharmed(self) -> None:
        """It lives, it serves others, nothing panicked, and it has not become larger."""
        assert self._edge.gateway.children() == [self.pid], self._edge.gateway.log()
        probe(self._edge)
        assert self._edge.gateway.metric("sluice_native_panics_total") == 0
        assert self.growth() < GROWTH

    def assert_idle(self) -> None:
        """No connection is left, nothing is served, and the processor rests."""
        gateway = self._edge.gateway
        until(lambda: gateway.metric("sluice_requests_in_flight") == 0, "no request in flight")
        last, same = self._ticks(), 0

        def calm() -> bool:
            nonlocal last, same
            now = self._ticks()
            same = same + 1 if now == last else 0
            last = now
            return same >= CALM

        until(calm, "the worker rests", deadline=30)

"""The master's view of one running worker: what it was told, what it has applied, what it should have.

Level-triggered: :meth:`Link.sync` compares what the worker should have with what it was given and sends the difference.
At most one snapshot is under way, so a slow worker skips every version that was replaced before it was ready for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.plane import memfd
from gateway.plane.control import (
    Applied,
    Bye,
    Configure,
    Drain,
    Failed,
    Listen,
    Message,
    Ready,
    Snapshot,
    Unlisten,
)

if TYPE_CHECKING:
    from gateway.plane.control import Issue
    from gateway.plane.delta import DeltaBuilder, Payload


class Sender(Protocol):
    """:meth:`gateway.plane.channel.Channel.send`."""

    def __call__(self, message: Message) -> None: ...


class Plan:
    """The configuration that all workers should have. Payload files are made once and shared by the workers."""

    def __init__(self, deltas: DeltaBuilder) -> None:
        self.deltas = deltas
        self._files: dict[tuple[int, int | None], int] = {}

    def files(self, version: int | None) -> list[tuple[int, int]]:
        """(version, memory file) of each payload that leads from ``version`` to the current one."""
        return [(payload.version, self._file(payload)) for payload in self.deltas.path(version)]

    def forget(self) -> None:
        """The configuration changed: close the files that nobody needs any more."""
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()

    def _file(self, payload: Payload) -> int:
        key = (payload.version, payload.base)
        if key not in self._files:
            self._files[key] = memfd.sealed("sluice-snapshot", payload.data)
        return self._files[key]


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker last said about its configuration."""

    version: int
    issues: tuple[Issue, ...] = ()


class Link:
    """One worker process. ``send`` never blocks."""

    def __init__(self, send: Sender, plan: Plan) -> None:
        self._send = send
        self._plan = plan
        self._given: dict[str, frozenset[int]] = {}
        self._base: int | None = None
        self._awaited: int | None = None
        self._refused = 0
        self._started = False
        self.report: Report | None = None
        self.failure = ""
        self.said_bye = False
        self.cut = 0
        """Connections that the worker left open when it said good-bye."""

    def configure(self, message: Configure) -> None:
        self._send(message)
        self._started = True

    @property
    def current(self) -> bool:
        """Whether the worker serves the current configuration."""
        return self.report is not None and self.report.version == self._plan.deltas.version

    def sync(self, sockets: dict[str, dict[int, int]]) -> None:
        """Send what is missing: at first the newest configuration, then the sockets it should accept from.

        ``sockets``: listener name to {token: descriptor}. Sockets wait until the newest configuration is on its way,
        because a worker cannot accept for a listener that it does not know.
        """
        if not self._started or self._awaited is not None:
            return
        version = self._plan.deltas.version
        if version in (0, self._refused):
            return
        if self._base != version:
            for step, fd in self._plan.files(self._base):
                self._send(Snapshot(step, fd))
            self._awaited = version
        self._sync_sockets(sockets)

    def drain(self, deadline: float) -> None:
        """Let it finish; ``deadline`` in seconds."""
        self._send(Drain(deadline))

    def unlisten_all(self) -> None:
        """Stop accepting everywhere, whatever is under way."""
        for name in self._given:
            self._send(Unlisten(name))
        self._given = {}

    def received(self, message: Message) -> bool:
        """Take in a message; True when the worker's state changed."""
        match message:
            case Ready(issues=issues):
                self.report = Report(0, issues)
            case Applied(version=version, issues=issues):
                self.report = Report(version, issues)
                self._base = version
                if version == self._awaited:
                    self._awaited = None
                    self.failure = ""
            case Failed(message=text, version=version):
                self.failure = text
                if version and self._awaited is not None:
                    # A delta that does not fit is answered with everything; everything that does not fit, with waiting
                    # for the next configuration.
                    self._refused = self._awaited if self._base is None else 0
                    self._base, self._awaited = None, None
            case Bye(cut=cut):
                self.said_bye, self.cut = True, cut
            case _:
                return False
        return True

    def _sync_sockets(self, sockets: dict[str, dict[int, int]]) -> None:
        for name, tokens in list(self._given.items()):
            if not tokens <= sockets.get(name, {}).keys():
                self._send(Unlisten(name))
                del self._given[name]
        for name, table in sockets.items():
            known = self._given.get(name, frozenset())
            for token, fd in table.items():
                if token not in known:
                    self._send(Listen(name, fd))
            self._given[name] = frozenset(table)

"""Follows one service by blocking queries.

Source of the rules: Consul's documentation, "Blocking queries", "Implementation details": an index that goes backwards
begins anew, one that is not above 0 is none, and a client limits its own rate.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.sources.consul.answer import ConsulError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.resources.consul import ConsulInstance, ConsulTarget
    from gateway.sources.consul.answer import Answer

_SHORTEST_S, _LONGEST_S = 0.5, 30.0
_PAUSE_S = 1.0
"""After an answer that came at once and brought nothing new: some changes of Consul's index mean nothing to us."""
_HIDDEN_S = 5.0
"""After an answer that hides instances. Consul would answer a query with an index when that waited long enough, however
soon a better token is there."""
_AT_ONCE_S = 0.5
_BETWEEN_S = 0.2
"""Least time from the begin of a query to that of the next: instances that flap, or a server that means us ill, cost
five queries and translations a second, not a core."""
_STAY = "its last instances stay in use"


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and chance, which tests replace."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    random: Callable[[], float] = random.random


class Consul(Protocol):
    """What following needs of :class:`gateway.sources.consul.client.ConsulClient`."""

    async def healthy(self, target: ConsulTarget, index: int) -> Answer:
        """Instances of a service, once something has changed since ``index``. Raises :class:`ConsulError`."""

    async def close(self) -> None:
        """End all connections."""


class Follower:
    """What is known of a service. Run :meth:`run` as a task."""

    def __init__(self, client: Consul, target: ConsulTarget, changed: Callable[[], None], pace: Pace) -> None:
        """``changed`` is called after anything that the fields show may have changed."""
        self._client, self._changed, self._pace = client, changed, pace
        self.target = target
        self.instances: tuple[ConsulInstance, ...] | None = None
        """The last good answer; ``None`` before there is one."""
        self.trouble = ""
        """Why Consul says nothing new; empty while it answers."""
        self.asked = asyncio.Event()
        """Set once there was an answer, or none could be had."""
        self._index = 0
        self._failures = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            begun = self._pace.now()
            try:
                answer = await self._client.healthy(self.target, self._index)
            except ConsulError as error:
                wait = self._failed(str(error))
            else:
                fresh = self._take(answer)
                wait = 0.0
                if not self._index or (not fresh and self._pace.now() - begun < _AT_ONCE_S):
                    wait = (_HIDDEN_S if self.trouble else _PAUSE_S) * (1 + self._pace.random())
            self.asked.set()
            wait = max(wait, begun + _BETWEEN_S - self._pace.now())
            if wait > 0:
                await self._pace.sleep(wait)

    def _take(self, answer: Answer) -> bool:
        """Take an answer over; whether it says something new."""
        self._failures = 0
        self._index = answer.index if answer.index >= self._index else 0
        trouble, instances = "", answer.instances
        if answer.hidden and not answer.instances:
            # The last instances are a better guess than none: a token was revoked, or never had the right.
            trouble, instances = f"the token may not read it; {_STAY}", self.instances or ()
            self._index = 0
        elif answer.unknown and not answer.instances:
            self._index = 0
            trouble = "Consul shows nothing, and denies by default; no token is sent to it"
        elif answer.named:
            trouble = f"{answer.named} of its instances have a name for an address and are left out"
        fresh = instances != self.instances
        if fresh or trouble != self.trouble:
            self.instances, self.trouble = instances, trouble
            self._changed()
        return fresh

    def _failed(self, text: str) -> float:
        """Seconds to wait. The index begins anew: what failed may be another server after a restart."""
        self._index = 0
        wait = min(_SHORTEST_S * 2.0 ** min(self._failures, 10), _LONGEST_S / 2) * (1 + self._pace.random())
        self._failures += 1
        trouble = f"{text}; {_STAY}"
        if trouble != self.trouble:
            self.trouble = trouble
            self._changed()
        return wait

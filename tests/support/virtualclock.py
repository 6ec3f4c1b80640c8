"""Time that passes when a test says so: waits end in order, and what they wake runs before time goes on."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_TURNS = 50
"""Turns of the loop after each step: more than the awaits between two waits of anything under test."""


class VirtualClock:
    """``now`` and ``sleep`` for whatever takes them as parameters."""

    def __init__(self, skew: float = 0.0) -> None:
        """``skew``: seconds by which the wall clock is wrong."""
        self._now = 1000.0
        self._skew = skew
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    def utc(self) -> datetime:
        return _EPOCH + timedelta(seconds=self._now + self._skew)

    def skewed(self, skew: float) -> datetime:
        """The wall clock of another machine."""
        return self.utc() + timedelta(seconds=skew)

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now + seconds, next(self._order), done))
        await done

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self._now + seconds
        await _settle()
        while self._waiting and self._waiting[0][0] <= end:
            self._now, _, done = heapq.heappop(self._waiting)
            if not done.done():
                done.set_result(None)
            await _settle()
        self._now = end
        await _settle()


async def _settle() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)

"""Clock, chance and rest of everything that repeats; tests put their own in place."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


BEAT_S = 2.0
"""Least seconds between two calls to try again at once because somebody reached the server."""

Rest: TypeAlias = "Callable[[float], Awaitable[None]]"
"""Waits for some seconds."""


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Timing:
    """What a loop of requests needs from outside."""

    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds."""
    chance: Callable[[], float] = random.random
    """A number in [0, 1)."""
    rest: Rest = _sleep
    """May return sooner when there is a reason to try again."""
    pause: Rest = _sleep
    """Waits as long as the server asked for."""


class Pulse:
    """Ends the rests of all loops when one of them has reached the server again, so that none sleeps out its 30 s."""

    __slots__ = ("_beat", "_beaten_at", "_chance", "_due")

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._beat = asyncio.Event()
        self._beaten_at = float("-inf")
        self._due: asyncio.TimerHandle | None = None

    def beat(self) -> None:
        """The server answers. A beat soon after another one comes later, and not never: who asked in vain just before
        the first one did not rest when it came."""
        if self._due is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._beaten_at + BEAT_S - loop.time()
        if wait > 0:
            self._due = loop.call_later(wait, self._end_rests)
        else:
            self._end_rests()

    async def rest(self, seconds: float) -> None:
        """Wait, but after a beat no longer than a moment, which differs between those who wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._beat.wait()
                await asyncio.sleep(0.2 * self._chance())

    def close(self) -> None:
        """No beat comes any more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _end_rests(self) -> None:
        self._due = None
        self._beaten_at = asyncio.get_running_loop().time()
        self._beat.set()
        self._beat = asyncio.Event()

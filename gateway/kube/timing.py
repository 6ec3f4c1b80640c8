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

    __slots__ = ("_beat", "_chance")

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._beat = asyncio.Event()

    def beat(self) -> None:
        """The server answers."""
        self._beat.set()
        self._beat = asyncio.Event()

    async def rest(self, seconds: float) -> None:
        """Wait, but after a beat no longer than a moment, which differs between those who wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._beat.wait()
                await asyncio.sleep(0.2 * self._chance())

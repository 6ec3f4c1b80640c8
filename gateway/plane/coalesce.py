"""Bursts of changes become one update: wait for a moment of silence, but not for ever, and not for a change alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from gateway.plane.slot import within

if TYPE_CHECKING:
    from gateway.settings import ReloadSettings

T = TypeVar("T")


class Latest(Generic[T]):
    """A mailbox for complete states: only the newest one counts. The first one is handed out without waiting."""

    def __init__(self, settings: ReloadSettings) -> None:
        self._settings = settings
        self._value: list[T] = []
        self._fresh = asyncio.Event()
        self._since = 0.0
        self._handed_out: float | None = None

    def put(self, value: T) -> None:
        """Replace what waits. Must be called on the loop's thread."""
        if not self._value:
            self._since = asyncio.get_running_loop().time()
        self._value[:] = [value]
        self._fresh.set()

    async def get(self) -> T:
        """Wait for a value, then for ``debounce`` seconds of silence, at most ``max_delay`` seconds in all.

        A value that comes after ``quiet`` seconds without any is probably alone and does not wait.
        """
        await self._fresh.wait()
        loop = asyncio.get_running_loop()
        waits = self._handed_out is not None and self._since - self._handed_out < self._settings.quiet
        while waits:
            self._fresh.clear()
            patience = min(self._settings.debounce, self._since + self._settings.max_delay - loop.time())
            if patience <= 0 or not await within(self._fresh, patience):
                break
        self._handed_out = loop.time()
        self._fresh.clear()
        return self._value.pop()

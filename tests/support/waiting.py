"""Waiting for a condition instead of for time to pass."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

STEP = 0.005


class NotReachedError(AssertionError):
    """The condition did not hold before the deadline."""


def until(condition: Callable[[], T], what: str, deadline: float = 10.0) -> T:
    """Poll ``condition`` until it is truthy and return its value.

    The deadline only bounds a failing test; it says nothing about how fast the product has to be.
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise NotReachedError(f"not within {deadline} s: {what}")
        time.sleep(STEP)


async def eventually(condition: Callable[[], T], what: str, deadline: float = 10.0) -> T:
    """The same for a condition that the running loop brings about."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise NotReachedError(f"not within {deadline} s: {what}")
        await asyncio.sleep(STEP)

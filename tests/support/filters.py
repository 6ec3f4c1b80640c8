"""Python filters as an operator might write them, good ones and bad ones. Workers import this."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import time
from typing import TYPE_CHECKING

from gateway.plane.upcalls import Verdict

if TYPE_CHECKING:
    from gateway._native import Upcall

FAR = 600.0
"""Seconds; no test waits that long."""


async def polite(_upcall: Upcall) -> Verdict:
    """Waits as one should."""
    await asyncio.sleep(0.001)
    return Verdict(add_request_headers=(("x-filtered", "yes"),))


async def immediate(_upcall: Upcall) -> None:
    """Decides at once, as most filters do."""


def _seconds(upcall: Upcall) -> float:
    return float(upcall.query or 0)


async def sleeps(upcall: Upcall) -> None:
    """Keeps the loop for as many seconds as the query says."""
    time.sleep(_seconds(upcall))  # noqa: ASYNC251 - that is its fault


async def computes(upcall: Upcall) -> None:
    """Keeps the loop for as many seconds as the query says, and does not want to be disturbed."""
    end = time.monotonic() + _seconds(upcall)
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            str(end)


async def holds(upcall: Upcall) -> None:
    """Keeps the whole interpreter for good: native code that does not let go of it and minds no signal."""
    if upcall.query:
        library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
        library.pthread_mutex_lock(mutex)
        library.pthread_mutex_lock(mutex)


def declared(upcall: Upcall) -> Verdict:
    """A plain function: it may block."""
    time.sleep(_seconds(upcall))
    return Verdict(add_request_headers=(("x-filtered", hashlib.sha256(b"").hexdigest()),))

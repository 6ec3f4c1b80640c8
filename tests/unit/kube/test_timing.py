"""What ends the rests of those who wait for a server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from gateway.kube import timing
from gateway.kube.timing import Pulse

if TYPE_CHECKING:
    import pytest


async def rested(pulse: Pulse) -> None:
    """A rest that only a beat ends."""
    async with asyncio.timeout(20):
        began = time.monotonic()
        await pulse.rest(600)
        assert time.monotonic() - began < 20


async def test_a_beat_ends_all_rests() -> None:
    pulse = Pulse(lambda: 0.0)
    rests = [asyncio.ensure_future(rested(pulse)) for _ in range(3)]
    await asyncio.sleep(0)
    pulse.beat()
    await asyncio.gather(*rests)


async def test_who_began_to_rest_after_a_beat_is_woken_by_the_next_one_however_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timing, "BEAT_S", 0.05)
    pulse = Pulse(lambda: 0.0)
    pulse.beat()
    late = asyncio.ensure_future(rested(pulse))
    await asyncio.sleep(0)
    pulse.beat()
    pulse.beat()
    assert not late.done()
    await late


async def test_no_beat_comes_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "BEAT_S", 0.01)
    pulse = Pulse(lambda: 0.0)
    pulse.beat()
    resting = asyncio.ensure_future(rested(pulse))
    await asyncio.sleep(0)
    pulse.beat()
    pulse.close()
    await asyncio.sleep(0.05)
    assert not resting.done()
    pulse.beat()
    await resting

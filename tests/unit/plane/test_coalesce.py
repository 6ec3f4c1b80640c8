from __future__ import annotations

import asyncio

from gateway.plane.coalesce import Latest
from gateway.settings import ReloadSettings


async def test_the_first_state_does_not_wait() -> None:
    latest: Latest[int] = Latest(ReloadSettings(debounce=60.0, max_delay=60.0))
    latest.put(1)
    async with asyncio.timeout(5):
        assert await latest.get() == 1


async def test_a_burst_is_one_update_with_its_last_state() -> None:
    latest: Latest[int] = Latest(ReloadSettings(debounce=0.02, max_delay=5.0))
    latest.put(0)
    await latest.get()
    getting = asyncio.ensure_future(latest.get())
    for state in range(1, 10):
        latest.put(state)
        await asyncio.sleep(0)
    assert await getting == 9


async def test_a_stream_of_changes_cannot_put_off_an_update_for_ever() -> None:
    latest: Latest[int] = Latest(ReloadSettings(debounce=60.0, max_delay=0.05))
    latest.put(0)
    await latest.get()
    getting = asyncio.ensure_future(latest.get())
    state = 0
    async with asyncio.timeout(5):
        while not getting.done():
            state += 1
            latest.put(state)
            await asyncio.sleep(0.001)
    assert getting.result() > 1


async def test_a_state_that_comes_during_an_update_is_the_next_one() -> None:
    latest: Latest[int] = Latest(ReloadSettings(debounce=0.001, max_delay=0.01))
    latest.put(0)
    await latest.get()
    latest.put(1)
    assert await latest.get() == 1
    latest.put(2)
    async with asyncio.timeout(5):
        assert await latest.get() == 2


async def test_a_change_after_silence_does_not_wait() -> None:
    latest: Latest[int] = Latest(ReloadSettings(debounce=60.0, max_delay=60.0, quiet=0.0))
    latest.put(0)
    await latest.get()
    latest.put(1)
    async with asyncio.timeout(5):
        assert await latest.get() == 1


async def test_a_change_soon_after_another_one_waits_for_more() -> None:
    latest: Latest[int] = Latest(ReloadSettings(debounce=0.02, max_delay=5.0, quiet=60.0))
    latest.put(0)
    await latest.get()
    latest.put(1)
    getting = asyncio.ensure_future(latest.get())
    await asyncio.sleep(0)
    latest.put(2)
    assert await getting == 2

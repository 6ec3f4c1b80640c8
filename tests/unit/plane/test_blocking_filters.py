"""Filters that block: in threads, and caught on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.plane.upcalls import Dispatcher, Filter, Limits, Verdict, blocks
from tests.support.waiting import until
from tests.unit.plane.test_upcalls import Answers, Call, dispatch

if TYPE_CHECKING:
    from collections.abc import Iterator

LATE = Limits(budget=0.05, threads=2)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Ends what a test left blocking."""
    event = threading.Event()
    yield event
    event.set()


def again(dispatcher: Dispatcher, *ids: int) -> None:
    asyncio.get_running_loop().call_soon(dispatcher, cast("Any", [Call(number, "f") for number in ids]))


async def reached(condition: Any) -> None:
    await asyncio.to_thread(until, condition, "what the filter does")


async def served(dispatcher: Dispatcher, answers: Answers, status: int | None) -> int:
    """Ask again and again until the filter answers so: threads come back a little after the filters in them. The number
    of the last call."""
    number = max(answers.statuses)
    async with asyncio.timeout(10):
        while answers.statuses[number] != status:
            number += 1
            again(dispatcher, number)
            await answers.wait(number)
    return number


def test_what_blocks() -> None:
    async def waits(upcall: Any) -> None: ...

    def plain(upcall: Any) -> None: ...

    async def declared(upcall: Any) -> None: ...

    declared.blocking = True  # type: ignore[attr-defined]

    class Object:
        async def __call__(self, upcall: Any) -> None: ...

    assert not blocks(waits)
    assert not blocks(functools.partial(waits))
    assert not blocks(Object())
    assert blocks(plain)
    assert blocks(declared)


async def test_a_plain_function_runs_in_a_thread() -> None:
    seen: list[int] = []

    def decide(upcall: Any) -> Verdict:
        seen.append(threading.get_ident())
        return Verdict(403)

    answers = Answers()
    dispatcher = dispatch(answers, decide, 1, 2)
    await answers.wait(2)
    assert answers.statuses == {1: 403, 2: 403}
    assert threading.get_ident() not in seen
    dispatcher.cancel()


async def test_a_coroutine_that_says_that_it_blocks_runs_on_a_loop_of_its_thread() -> None:
    async def decide(upcall: Any) -> Verdict | None:
        await asyncio.sleep(0.001)
        time.sleep(0.001)  # noqa: ASYNC251 - a filter that blocks
        return Verdict(202) if threading.current_thread() is not threading.main_thread() else None

    decide.blocking = True  # type: ignore[attr-defined]
    answers = Answers()
    dispatch(answers, decide, 1, 2, 3)
    await answers.wait(3)
    assert answers.statuses == dict.fromkeys((1, 2, 3), 202)


async def test_what_a_thread_raises_is_500() -> None:
    def decide(upcall: Any) -> Any:
        if upcall.id == 1:
            raise SystemExit("canary")
        return "no verdict"

    answers = Answers()
    dispatch(answers, decide, 1, 2)
    await answers.wait(2)
    assert answers.statuses == {1: 500, 2: 500}
    assert b"canary" not in answers.bodies[1]


async def test_threads_that_hang_are_held_and_then_there_is_no_more(release: threading.Event) -> None:
    """The loop goes on; late calls are 504, those that find only threads that hang 503, and threads come back."""

    def decide(upcall: Any) -> Verdict:
        release.wait()
        return Verdict(202)

    answers = Answers()
    dispatcher = dispatch(answers, decide, 1, 2, limits=LATE)
    await answers.wait(2)
    assert answers.statuses == {1: 504, 2: 504}
    again(dispatcher, 3)
    await answers.wait(3)
    assert answers.statuses[3] == 503
    release.set()
    await served(dispatcher, answers, 202)
    assert answers.outcomes[:3] == ["timeout", "timeout", "refused"]


async def test_calls_that_wait_for_a_thread_have_the_same_time(release: threading.Event) -> None:
    began: list[int] = []

    def decide(upcall: Any) -> None:
        began.append(upcall.id)
        release.wait()

    answers = Answers()
    dispatcher = dispatch(answers, decide, *range(1, 21), limits=Limits(budget=0.05, threads=2))
    await answers.wait(20)
    # Two run, sixteen wait, for the rest there is no room.
    assert [answers.statuses[number] for number in range(1, 21)] == [504] * 18 + [503] * 2
    release.set()
    number = await served(dispatcher, answers, None)
    assert sorted(began) == [1, 2, number], "what was given up before it began never begins"


async def test_a_busy_loop_in_a_thread_ends_after_its_time() -> None:
    ended = threading.Event()

    def decide(upcall: Any) -> None:
        try:
            while True:
                with contextlib.suppress(Exception):
                    pass
        finally:
            ended.set()

    answers = Answers()
    dispatch(answers, decide, limits=LATE)
    await answers.wait(1)
    assert answers.statuses == {1: 504}
    await reached(ended.is_set)


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_coroutine_in_a_thread_that_waits_for_too_long_is_cancelled(stubborn: bool) -> None:
    """One that goes on after its cancellation loses its loop; the next call has another one."""
    cancelled: list[int] = []

    async def decide(upcall: Any) -> Verdict:
        if upcall.id > 1:
            await asyncio.sleep(0)
            return Verdict(202)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(upcall.id)
                if not stubborn:
                    raise

    decide.blocking = True  # type: ignore[attr-defined]
    answers = Answers()
    dispatcher = dispatch(answers, decide, limits=Limits(budget=0.2, threads=1))
    await answers.wait(1)
    assert answers.statuses == {1: 504}
    await reached(lambda: cancelled == [1])
    await served(dispatcher, answers, 202)


def sleeps(seconds: float) -> None:
    time.sleep(seconds)


def computes(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            pass


async def caught(chosen: Filter, answers: Answers, *, interrupts: bool) -> Dispatcher:
    loop = asyncio.get_running_loop()
    limits = Limits(budget=5.0, block=0.05, threads=2)
    dispatcher = Dispatcher(loop, {"f": chosen}, answers, limits, count=answers.outcomes.append, interrupts=interrupts)
    again(dispatcher, 1)
    async with asyncio.timeout(10):
        await answers.wait(1)
    return dispatcher


@pytest.mark.parametrize("block", [sleeps, computes])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_filter_that_keeps_the_loop_is_interrupted_and_moved(block: Any, waits: bool) -> None:
    threads: list[threading.Thread] = []

    async def decide(upcall: Any) -> Verdict:
        threads.append(threading.current_thread())
        if waits:
            await asyncio.sleep(0.001)
        block(30.0 if upcall.id == 1 else 0.1)
        return Verdict(202)

    answers = Answers()
    dispatcher = await caught(decide, answers, interrupts=True)
    assert (answers.statuses, answers.outcomes) == ({1: 504}, ["stalled"])
    again(dispatcher, 2)
    await answers.wait(2)
    assert answers.statuses[2] == 202
    assert [thread is threading.main_thread() for thread in threads] == [True, False]
    dispatcher.cancel()


async def test_requests_that_wait_behind_a_filter_that_blocks_do_not_meet_it() -> None:
    async def decide(upcall: Any) -> None:
        sleeps(30.0 if upcall.id == 1 else 0.2)

    answers = Answers()
    loop = asyncio.get_running_loop()
    dispatcher = Dispatcher(
        loop, {"f": decide}, answers, Limits(block=0.05), count=answers.outcomes.append, interrupts=True
    )
    again(dispatcher, *range(1, 9))
    await answers.wait(8)
    assert answers.statuses == {1: 504, **dict.fromkeys(range(2, 9))}
    assert answers.outcomes == ["stalled"]
    dispatcher.cancel()


async def test_without_signals_a_filter_that_keeps_the_loop_is_moved_once_it_ends() -> None:
    async def decide(upcall: Any) -> Verdict:
        time.sleep(0.3)  # noqa: ASYNC251 - a filter that blocks
        return Verdict(202 if threading.current_thread() is threading.main_thread() else 203)

    answers = Answers()
    dispatcher = await caught(decide, answers, interrupts=False)
    again(dispatcher, 2)
    await answers.wait(2)
    assert answers.statuses == {1: 202, 2: 203}
    dispatcher.cancel()


async def test_the_watch_sleeps_when_there_is_nothing_to_watch_and_wakes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.plane.watchdog._PARK_AFTER", 2)

    async def decide(upcall: Any) -> Verdict:
        if upcall.id == 2:
            time.sleep(30)  # noqa: ASYNC251 - a filter that blocks
        return Verdict(202)

    answers = Answers()
    dispatcher = await caught(decide, answers, interrupts=True)
    await reached(lambda: dispatcher._watchdog.parked)
    again(dispatcher, 2)
    await answers.wait(2)
    assert answers.statuses == {1: 202, 2: 504}
    dispatcher.cancel()

"""Threads for filters that block: a few for each filter, so that one that hangs takes no thread from another.

A thread has an event loop of its own, because a filter that was moved here may be a coroutine. The threads are daemons:
one that hangs must not keep its worker from ending. Imported by workers: standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

QUEUED_PER_THREAD = 8
"""Calls that may wait for a thread, for each thread that there may be."""


_GRACE = 0.1
"""Seconds in which a coroutine that was cancelled should end."""


class FilterInterruptedError(BaseException):
    """Raised inside a filter that goes on after its time. No :class:`Exception`, as
    :class:`gateway.plane.watchdog.FilterStalledError`."""


class Call:
    """One call of a filter. ``done`` gets its value or what it raised, on the loop, unless it was given up."""

    __slots__ = ("argument", "done", "ended", "given_up", "striking", "task")

    def __init__(self, argument: object, done: Callable[[object, BaseException | None], None]) -> None:
        self.argument = argument
        self.done = done
        self.given_up = False
        self.striking = False
        """The loop is about to raise an exception in the thread that runs this call."""
        self.ended = False
        self.task: asyncio.Task[Any] | None = None


class FilterThreads:
    """Runs calls of one filter. What is not for its threads must be called on the loop's thread, and does not wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, target: Callable[[Any], object], size: int) -> None:
        self._loop = loop
        self._name = name
        self.target = target
        self._size = size
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._threads: list[_Thread] = []
        self._waiting = 0
        self._stuck = 0

    @property
    def full(self) -> bool:
        """Whether a call would find no thread: all hang beyond their time, or too many calls wait already."""
        return self._stuck >= self._size or self._waiting >= self._size * (QUEUED_PER_THREAD + 1)

    def submit(self, argument: object, done: Callable[[object, BaseException | None], None]) -> Call:
        """Call the filter as soon as a thread is free. Raises :class:`RuntimeError` when no thread can be started."""
        if self._waiting + self._stuck >= len(self._threads) and len(self._threads) < self._size:
            thread = _Thread(self, f"filter-{self._name}-{len(self._threads)}")
            thread.start()
            self._threads.append(thread)
        call = Call(argument, done)
        self._waiting += 1
        self._calls.put(call)
        return call

    def give_up(self, call: Call) -> None:
        """Its time is over. A call that has not begun never will; one that runs is interrupted if that is possible, and
        holds its thread until it ends."""
        if call.ended or call.given_up:
            return
        call.given_up = True
        self._waiting -= 1
        self._stuck += 1
        if call.task is None:
            self._strike(call)
        else:
            # A coroutine that waits can be cancelled; an exception from outside would hit its loop instead.
            with contextlib.suppress(RuntimeError):  # Its loop has just been closed.
                call.task.get_loop().call_soon_threadsafe(call.task.cancel)
            self._loop.call_later(_GRACE, self._strike, call)

    def _strike(self, call: Call) -> None:
        if call.ended:
            return
        for thread in self._threads:
            thread.interrupt(call)
        if call.task is not None:
            # It waits for something, and notices the exception when its loop wakes up.
            with contextlib.suppress(RuntimeError):
                call.task.get_loop().call_soon_threadsafe(_nothing)

    def close(self) -> None:
        """Let the threads end when they have finished what they do."""
        for _ in self._threads:
            self._calls.put(None)

    def next(self) -> Call | None:
        """The next call, for a thread; ``None`` when it shall end."""
        return self._calls.get()

    def tell(self, call: Call, value: object, error: BaseException | None) -> None:
        """A thread has finished a call."""
        # Without a loop nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ended, call, value, error)

    def _ended(self, call: Call, value: object, error: BaseException | None) -> None:
        if call.ended:
            return
        call.ended = True
        if call.given_up:
            self._stuck -= 1
        else:
            self._waiting -= 1
            call.done(value, error)


class _Thread:
    """One thread. There is no lock that an exception from outside could leave locked."""

    def __init__(self, owner: FilterThreads, name: str) -> None:
        self._owner = owner
        self._current: Call | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Raises :class:`RuntimeError` when the system gives no more threads."""
        self._thread.start()

    def interrupt(self, call: Call) -> None:
        """Raise inside of ``call`` if this is the thread that runs it."""
        call.striking = True
        if self._current is call:
            _raise_in(self._thread.ident)
        call.striking = False

    def _work(self) -> None:
        runner = asyncio.Runner()
        while (call := self._owner.next()) is not None:
            value: object = None
            error: BaseException | None = None
            try:
                value, error = self._run(runner, call)
            except FilterInterruptedError as late:
                error = late  # It came when the filter had ended already.
            if call.task is not None and not call.task.done():
                # It swallowed its cancellation, so that the exception hit the loop, which is not used on.
                runner.get_loop().close()
                runner = asyncio.Runner()
            self._owner.tell(call, value, error)
        runner.close()

    def _run(self, runner: asyncio.Runner, call: Call) -> tuple[object, BaseException | None]:
        value: object = None
        raised: BaseException | None = None
        self._current = call
        if not call.given_up:
            try:
                value = self._owner.target(call.argument)
                if inspect.iscoroutine(value):
                    value = runner.run(_noted(call, value))
            except BaseException as error:  # noqa: BLE001 - foreign code costs its own request only
                raised = error
        self._current = None
        while call.striking:
            time.sleep(0)
        if call.given_up:
            _raise_in(self._thread.ident, nothing=True)  # What comes too late must not hit the next call.
        return value, raised


def _nothing() -> None:
    """Wakes a loop."""


async def _noted(call: Call, coroutine: Coroutine[Any, Any, object]) -> object:
    call.task = asyncio.current_task()
    return await coroutine


def _raise_in(thread: int | None, *, nothing: bool = False) -> None:
    """Set :class:`FilterInterruptedError` for a thread, or take back what was set. It is raised at the next instruction
    of interpreted code there."""
    import ctypes  # Only once a filter is late: it costs a megabyte.

    if thread is not None:
        exception = None if nothing else ctypes.py_object(FilterInterruptedError)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)


__all__ = ["Call", "FilterInterruptedError", "FilterThreads"]

"""Requests that wait for Python: find the filter, step its coroutine, answer the engine.

Most filters decide without waiting for anything, so a coroutine is stepped once by hand and becomes an
:class:`asyncio.Task` only when it really suspends. A filter that blocks belongs into a thread: one that says so
(``blocking = True``), one that is a plain function, and one that was caught keeping the loop. Imported by workers.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import logging
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gateway import _native
from gateway.plane.filterthreads import FilterThreads
from gateway.plane.watchdog import FilterStalledError, Watchdog

if TYPE_CHECKING:
    from gateway._native import Upcall

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a filter decided. ``status`` of ``None`` lets the request continue with the header edits."""

    status: int | None = None
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    add_request_headers: Sequence[tuple[str, str]] = ()
    remove_request_headers: Sequence[str] = ()


CONTINUE = Verdict()
Filter = Callable[["Upcall"], Coroutine[Any, Any, Verdict | None] | Verdict | None]
"""An async callable, or a plain one, which runs in a thread; ``None`` means :data:`CONTINUE`."""
Outcome = Literal["failed", "missing", "timeout", "stalled", "refused"]
"""What can become of a filter other than a verdict."""


class Answer(Protocol):
    """:meth:`gateway._native.Engine.answer`."""

    def __call__(
        self,
        upcall: int,
        *,
        status: int | None = None,
        body: bytes = ...,
        headers: Sequence[tuple[str, str]] = ...,
        add_request_headers: Sequence[tuple[str, str]] = ...,
        remove_request_headers: Sequence[str] = ...,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What filters may take. Times are seconds."""

    budget: float = 5.0
    """From the start of a filter to its verdict."""
    block: float = 0.5
    """How long one may keep the loop."""
    threads: int = 8
    """Threads of each filter that blocks."""


_TEXT = (("content-type", "text/plain"),)
_ANSWERS: dict[Outcome, Verdict] = {
    "failed": Verdict(500, b"filter failed\n", _TEXT),
    "missing": Verdict(500, b"filter not available\n", _TEXT),
    "timeout": Verdict(504, b"filter timed out\n", _TEXT),
    "stalled": Verdict(504, b"filter timed out\n", _TEXT),
    "refused": Verdict(503, b"filter busy\n", _TEXT),
}


def load_filters(entries: Sequence[tuple[str, str]]) -> tuple[dict[str, Filter], list[tuple[str, str, str]]]:
    """Import ``module:callable`` for each (name, path): the registry, and an issue for each that failed.

    A filter that is missing from the registry answers 500: a route is never served without its filter.
    """
    registry: dict[str, Filter] = {}
    issues: list[tuple[str, str, str]] = []
    for name, path in entries:
        module, _, attribute = path.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # noqa: BLE001 - importing runs foreign code, which may raise anything
            issues.append((f"filter/{name}", "", f"cannot load {path}: {type(error).__name__}: {error}"))
            continue
        registry[name] = found
    return registry, issues


def blocks(chosen: Filter) -> bool:
    """Whether a filter says that it blocks: by ``blocking = True``, or by being no coroutine function."""
    if getattr(chosen, "blocking", False):
        return True
    return not (inspect.iscoroutinefunction(chosen) or inspect.iscoroutinefunction(getattr(chosen, "__call__", None)))  # noqa: B004 - the method is what is asked about


class Dispatcher:
    """Receives the upcalls of an engine on the loop's thread."""

    __slots__ = ("_answer", "_count", "_limits", "_loop", "_registry", "_tasks", "_threads", "_watchdog")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        registry: dict[str, Filter],
        answer: Answer,
        limits: Limits,
        *,
        count: Callable[[Outcome], None] = lambda _: None,
        interrupts: bool = False,
    ) -> None:
        """``count`` is told what became of filters that gave no verdict. ``interrupts``: see :class:`Watchdog`."""
        self._loop = loop
        self._registry = registry
        self._answer = answer
        self._limits = limits
        self._count = count
        self._tasks: dict[asyncio.Task[Verdict | None], int] = {}
        self._watchdog = Watchdog(limits.block, self._move_to_threads, interrupts=interrupts)
        self._threads: dict[str, FilterThreads] = {}
        for name, chosen in registry.items():
            if blocks(chosen):
                self._move_to_threads(name)

    def __call__(self, upcalls: list[Upcall]) -> None:
        for upcall in upcalls:
            self._start(upcall)

    @property
    def suspended(self) -> int:
        """Upcalls whose filter waits for something."""
        return len(self._tasks)

    def cancel(self) -> None:
        """Cancel every filter that waits; their requests are answered 500."""
        self._watchdog.close()
        for threads in list(self._threads.values()):
            threads.close()
        for task in list(self._tasks):
            task.cancel()

    def _start(self, upcall: Upcall) -> None:
        name = upcall.filter
        threads = self._threads.get(name)
        if threads is not None:
            self._start_in_thread(upcall, threads)
            return
        chosen = self._registry.get(name)
        if chosen is None:
            self._give(upcall.id, "missing")
            return
        current = _FirstStep()
        watchdog = self._watchdog
        watchdog.serial += 1
        watchdog.running = name
        if watchdog.parked:
            watchdog.wake()
        try:
            asyncio._enter_task(self._loop, current)  # type: ignore[arg-type]
            try:
                coroutine: Coroutine[Any, Any, Verdict | None] = chosen(upcall)  # type: ignore[assignment]
                awaited = coroutine.send(None)
            finally:
                asyncio._leave_task(self._loop, current)  # type: ignore[arg-type]
                watchdog.running = None
        except StopIteration as stop:
            self._finish(upcall.id, name, stop.value)
        except (Exception, asyncio.CancelledError, FilterStalledError) as error:  # noqa: BLE001 - foreign code costs its own request only
            self._fail(upcall.id, name, error)
        else:
            self._suspend(upcall, coroutine, awaited, current)

    def _suspend(
        self, upcall: Upcall, coroutine: Coroutine[Any, Any, Verdict | None], awaited: object, current: _FirstStep
    ) -> None:
        task = self._loop.create_task(_resume(coroutine, awaited, upcall.filter, self._watchdog))
        current.become(task)
        self._tasks[task] = upcall.id
        timer = self._loop.call_later(self._limits.budget, self._expire, task)
        task.add_done_callback(functools.partial(self._done, upcall.filter, timer))

    def _expire(self, task: asyncio.Task[Verdict | None]) -> None:
        upcall = self._tasks.pop(task, None)
        if upcall is not None:
            self._give(upcall, "timeout")
            task.cancel()

    def _move_to_threads(self, name: str) -> None:
        """Also called by the watchdog's thread: the requests that wait behind a filter that blocks must not meet it."""
        if name not in self._threads:
            self._threads[name] = FilterThreads(self._loop, name, self._registry[name], self._limits.threads)

    def _start_in_thread(self, upcall: Upcall, threads: FilterThreads) -> None:
        name = upcall.filter

        def done(value: object, error: BaseException | None) -> None:
            timer.cancel()
            if error is not None:
                self._fail(upcall.id, name, error)
            else:
                self._finish(upcall.id, name, value)

        def expire() -> None:
            threads.give_up(call)
            self._give(upcall.id, "timeout")

        if threads.full:
            self._give(upcall.id, "refused")
            return
        try:
            call = threads.submit(upcall, done)
        except RuntimeError as error:
            logger.error("filter %s finds no thread: %s", name, error)
            self._give(upcall.id, "refused")
            return
        timer = self._loop.call_later(self._limits.budget, expire)

    def _done(self, name: str, timer: asyncio.TimerHandle, task: asyncio.Task[Verdict | None]) -> None:
        timer.cancel()
        upcall = self._tasks.pop(task, None)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if upcall is None:
            return
        if error is not None:
            self._fail(upcall, name, error)
        else:
            self._finish(upcall, name, task.result())

    def _finish(self, upcall: int, name: str, value: object) -> None:
        verdict = CONTINUE if value is None else value
        if not isinstance(verdict, Verdict):
            self._fail(upcall, name, TypeError(f"a filter returns Verdict or None, not {type(verdict).__name__}"))
            return
        try:
            self._reply(upcall, verdict)
        except (TypeError, ValueError, OverflowError, _native.NativeError) as error:
            self._fail(upcall, name, error)

    def _fail(self, upcall: int, name: str, error: BaseException) -> None:
        if isinstance(error, FilterStalledError):
            self._give(upcall, "stalled")
            return
        logger.error("filter %s failed", name, exc_info=error)
        self._give(upcall, "failed")

    def _give(self, upcall: int, outcome: Outcome) -> None:
        self._count(outcome)
        self._reply(upcall, _ANSWERS[outcome])

    def _reply(self, upcall: int, verdict: Verdict) -> None:
        """Raises whatever the engine thinks of values that cannot be sent."""
        self._answer(
            upcall,
            status=verdict.status,
            body=verdict.body,
            headers=verdict.headers,
            add_request_headers=verdict.add_request_headers,
            remove_request_headers=verdict.remove_request_headers,
        )


class _FirstStep:
    """Stands for the current task during the first step, so that ``asyncio.timeout`` and task groups work there.

    What they ask of it later goes to the task that the coroutine has become.
    """

    __slots__ = ("_requests", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._requests = 0

    def become(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        for _ in range(self._requests):
            task.cancel()

    def cancel(self, msg: object = None) -> bool:
        if self._task is not None:
            return self._task.cancel(msg)
        self._requests += 1
        return True

    def cancelling(self) -> int:
        return self._requests if self._task is None else self._task.cancelling()

    def uncancel(self) -> int:
        if self._task is not None:
            return self._task.uncancel()
        self._requests = max(0, self._requests - 1)
        return self._requests

    def done(self) -> bool:
        return self._task is not None and self._task.done()

    def get_name(self) -> str:
        return "filter" if self._task is None else self._task.get_name()


async def _resume(
    coroutine: Coroutine[Any, Any, Verdict | None], awaited: object, name: str, watchdog: Watchdog
) -> Verdict | None:
    return await _drive(coroutine, awaited, name, watchdog)


@types.coroutine
def _drive(
    coroutine: Coroutine[Any, Any, Verdict | None], awaited: object, name: str, watchdog: Watchdog
) -> Generator[Any, Any, Verdict | None]:
    """Go on with a coroutine that has already been stepped and waits for ``awaited``."""
    while True:
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 - cancellation and errors belong to the coroutine
            thrown: BaseException | None = error
            value = None
        else:
            thrown = None
        watchdog.serial += 1
        watchdog.running = name
        if watchdog.parked:
            watchdog.wake()
        try:
            awaited = coroutine.send(value) if thrown is None else coroutine.throw(thrown)
        except StopIteration as stop:
            result: Verdict | None = stop.value
            return result
        finally:
            watchdog.running = None


__all__ = ["CONTINUE", "Answer", "Dispatcher", "Filter", "Limits", "Outcome", "Verdict", "blocks", "load_filters"]

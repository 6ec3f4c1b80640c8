"""Requests that wait for Python: find the filter, step its coroutine, answer the engine.

Most filters decide without waiting for anything, so a coroutine is stepped once by hand and becomes an
:class:`asyncio.Task` only when it really suspends. Imported by workers.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gateway import _native

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
Filter = Callable[["Upcall"], Coroutine[Any, Any, Verdict | None]]
"""An async callable; ``None`` means :data:`CONTINUE`."""


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


_FAILED = Verdict(500, b"filter failed\n", (("content-type", "text/plain"),))
_MISSING = Verdict(500, b"filter not available\n", (("content-type", "text/plain"),))
_LATE = Verdict(504, b"filter timed out\n", (("content-type", "text/plain"),))


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


class Dispatcher:
    """Receives the upcalls of an engine on the loop's thread. ``budget`` is in seconds."""

    __slots__ = ("_answer", "_budget", "_loop", "_registry", "_tasks")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, registry: dict[str, Filter], answer: Answer, budget: float
    ) -> None:
        self._loop = loop
        self._registry = registry
        self._answer = answer
        self._budget = budget
        self._tasks: dict[asyncio.Task[Verdict | None], int] = {}

    def __call__(self, upcalls: list[Upcall]) -> None:
        for upcall in upcalls:
            self._start(upcall)

    @property
    def suspended(self) -> int:
        """Upcalls whose filter waits for something."""
        return len(self._tasks)

    def cancel(self) -> None:
        """Cancel every filter that waits; their requests are answered 500."""
        for task in list(self._tasks):
            task.cancel()

    def _start(self, upcall: Upcall) -> None:
        chosen = self._registry.get(upcall.filter)
        if chosen is None:
            self._reply(upcall.id, _MISSING)
            return
        current = _FirstStep()
        try:
            coroutine = chosen(upcall)
            asyncio._enter_task(self._loop, current)  # type: ignore[arg-type]
            try:
                awaited = coroutine.send(None)
            finally:
                asyncio._leave_task(self._loop, current)  # type: ignore[arg-type]
        except StopIteration as stop:
            self._finish(upcall.id, upcall.filter, stop.value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - foreign code costs its own request only
            self._fail(upcall.id, upcall.filter, error)
        else:
            self._suspend(upcall, coroutine, awaited, current)

    def _suspend(
        self, upcall: Upcall, coroutine: Coroutine[Any, Any, Verdict | None], awaited: object, current: _FirstStep
    ) -> None:
        task = self._loop.create_task(_resume(coroutine, awaited))
        current.become(task)
        self._tasks[task] = upcall.id
        timer = self._loop.call_later(self._budget, self._expire, task)
        task.add_done_callback(functools.partial(self._done, upcall.filter, timer))

    def _expire(self, task: asyncio.Task[Verdict | None]) -> None:
        upcall = self._tasks.pop(task, None)
        if upcall is not None:
            self._reply(upcall, _LATE)
            task.cancel()

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
        logger.error("filter %s failed", name, exc_info=error)
        self._reply(upcall, _FAILED)

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


async def _resume(coroutine: Coroutine[Any, Any, Verdict | None], awaited: object) -> Verdict | None:
    return await _drive(coroutine, awaited)


@types.coroutine
def _drive(coroutine: Coroutine[Any, Any, Verdict | None], awaited: object) -> Generator[Any, Any, Verdict | None]:
    """Go on with a coroutine that has already been stepped and waits for ``awaited``."""
    while True:
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 - cancellation and errors belong to the coroutine
            thrown: BaseException | None = error
            value = None
        else:
            thrown = None
        try:
            awaited = coroutine.send(value) if thrown is None else coroutine.throw(thrown)
        except StopIteration as stop:
            result: Verdict | None = stop.value
            return result


__all__ = ["CONTINUE", "Answer", "Dispatcher", "Filter", "Verdict", "load_filters"]

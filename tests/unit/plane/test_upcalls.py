from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.plane.upcalls import Dispatcher, Filter, Limits, Verdict, load_filters

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Call:
    """What the dispatcher looks at in an upcall."""

    id: int
    filter: str


class Answers:
    """Collects answers; the status of each upcall."""

    def __init__(self) -> None:
        self.statuses: dict[int, int | None] = {}
        self.bodies: dict[int, bytes] = {}
        self.outcomes: list[str] = []
        self.arrived = asyncio.Event()

    def __call__(
        self,
        upcall: int,
        *,
        status: int | None = None,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        add_request_headers: Sequence[tuple[str, str]] = (),
        remove_request_headers: Sequence[str] = (),
    ) -> None:
        assert upcall not in self.statuses, "answered twice"
        self.statuses[upcall] = status
        self.bodies[upcall] = body
        self.arrived.set()

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.statuses) < count:
                self.arrived.clear()
                await self.arrived.wait()


def dispatch(
    answers: Answers, chosen: Filter, *ids: int, budget: float = 5.0, limits: Limits | None = None
) -> Dispatcher:
    """From a plain callback, as the engine does it: there is no current task."""
    loop = asyncio.get_running_loop()
    dispatcher = Dispatcher(
        loop, {"f": chosen}, answers, limits or Limits(budget=budget), count=answers.outcomes.append
    )
    loop.call_soon(dispatcher, cast("Any", [Call(number, "f") for number in ids or (1,)]))
    return dispatcher


async def test_a_filter_that_does_not_wait_makes_no_task() -> None:
    tasks: list[int] = []

    async def decide(upcall: Any) -> Verdict:
        tasks.append(len(asyncio.all_tasks()))
        return Verdict(403, b"no")

    answers = Answers()
    before = len(asyncio.all_tasks())
    dispatcher = dispatch(answers, decide, 1, 2)
    await answers.wait(2)
    assert answers.statuses == {1: 403, 2: 403}
    assert tasks == [before, before]
    assert dispatcher.suspended == 0


async def test_none_lets_the_request_continue() -> None:
    async def decide(upcall: Any) -> None: ...

    answers = Answers()
    dispatch(answers, decide)
    await answers.wait(1)
    assert answers.statuses == {1: None}


async def test_a_filter_may_wait_often_and_for_several_things() -> None:
    async def decide(upcall: Any) -> Verdict:
        await asyncio.sleep(0)
        await asyncio.gather(asyncio.sleep(0.001), asyncio.sleep(0.002))
        with pytest.raises(ValueError, match="expected"):
            await failing()
        return Verdict(200 + upcall.id)

    async def failing() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("expected")

    answers = Answers()
    dispatcher = dispatch(answers, decide, 1, 2, 3)
    await answers.wait(3)
    assert answers.statuses == {1: 201, 2: 202, 3: 203}
    assert dispatcher.suspended == 0


async def test_asyncio_timeout_works_in_the_first_step() -> None:
    async def decide(upcall: Any) -> Verdict:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return Verdict(202)
        return Verdict(500)

    answers = Answers()
    dispatch(answers, decide)
    await answers.wait(1)
    assert answers.statuses == {1: 202}


async def test_task_groups_work_in_the_first_step() -> None:
    async def decide(upcall: Any) -> Verdict:
        with pytest.raises(ExceptionGroup):
            await group_of_two()
        return Verdict(202)

    async def group_of_two() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            await asyncio.Event().wait()

    async def failing() -> None:
        raise ValueError("expected")

    answers = Answers()
    dispatch(answers, decide)
    await answers.wait(1)
    assert answers.statuses == {1: 202}


@pytest.mark.parametrize("waits", [False, True])
async def test_an_exception_is_500_and_does_not_leak(waits: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def decide(upcall: Any) -> Verdict:
        if waits:
            await asyncio.sleep(0)
        raise RuntimeError("canary")

    answers = Answers()
    with caplog.at_level(logging.CRITICAL):
        dispatch(answers, decide)
        await answers.wait(1)
    assert answers.statuses == {1: 500}
    assert b"canary" not in answers.bodies[1]


async def test_a_filter_over_its_budget_is_cancelled_and_504() -> None:
    cancelled = asyncio.Event()

    async def decide(upcall: Any) -> Verdict:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Verdict(200)

    answers = Answers()
    dispatcher = dispatch(answers, decide, budget=0.01)
    await answers.wait(1)
    assert answers.statuses == {1: 504}
    async with asyncio.timeout(5):
        await cancelled.wait()
    assert dispatcher.suspended == 0


async def test_a_missing_filter_never_lets_a_request_through() -> None:
    answers = Answers()
    dispatcher = Dispatcher(asyncio.get_running_loop(), {}, answers, Limits())
    dispatcher(cast("Any", [Call(1, "absent")]))
    assert answers.statuses == {1: 500}


async def test_a_wrong_result_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def decide(upcall: Any) -> Any:
        return "yes"

    answers = Answers()
    with caplog.at_level(logging.CRITICAL):
        dispatch(answers, decide)
        await answers.wait(1)
    assert answers.statuses == {1: 500}


async def test_one_bad_filter_does_not_stop_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    async def decide(upcall: Any) -> Verdict:
        if upcall.id == 1:
            raise ValueError("first")
        return Verdict(200)

    answers = Answers()
    with caplog.at_level(logging.CRITICAL):
        dispatch(answers, decide, 1, 2)
        await answers.wait(2)
    assert answers.statuses == {1: 500, 2: 200}


def test_filters_are_loaded_by_path_and_failures_are_issues() -> None:
    registry, issues = load_filters(
        [("sleep", "asyncio:sleep"), ("gone", "no_such_module:f"), ("less", "asyncio:no_such_name")]
    )
    assert list(registry) == ["sleep"]
    assert [key for key, _, _ in issues] == ["filter/gone", "filter/less"]


async def test_values_that_cannot_be_sent_are_500(caplog: pytest.LogCaptureFixture) -> None:
    class Strict(Answers):
        """Refuses as the engine does."""

        def __call__(self, upcall: int, *, status: int | None = None, **values: Any) -> None:
            if status == 99:
                raise ValueError("not a final status")
            super().__call__(upcall, status=status, **values)

    async def decide(upcall: Any) -> Verdict:
        return Verdict(99)

    answers = Strict()
    with caplog.at_level(logging.CRITICAL):
        dispatch(answers, decide)
        await answers.wait(1)
    assert answers.statuses == {1: 500}

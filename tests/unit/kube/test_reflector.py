"""One kind, followed through a server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from gateway.kube import ResourcePath, reflector
from gateway.kube.reflector import Reflector, Selection
from gateway.kube.served import FixedPlace
from tests.support.kubeapi import ScriptedApi
from tests.support.kubesource import Hurry, client_of
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.kube.events import RawObject

PATH = "/api/v1/services"


@dataclass(slots=True)
class Names:
    """A follower that keeps names."""

    known: set[str] = field(default_factory=set)

    def read(self, raw: RawObject) -> str:
        if raw["metadata"].get("labels") == {"poison": "yes"}:
            raise ZeroDivisionError
        return str(raw["metadata"]["name"])

    def replaced(self, items: list[str]) -> None:
        self.known = set(items)

    def changed(self, changes: list[tuple[str, bool]]) -> None:
        for name, gone in changes:
            (self.known.discard if gone else self.known.add)(name)


@dataclass(slots=True)
class Running:
    api: ScriptedApi
    names: Names
    hurry: Hurry
    reflector: Reflector[str]


@contextlib.asynccontextmanager
async def running(api: ScriptedApi) -> AsyncIterator[Running]:
    hurry, names = Hurry(), Names()
    async with client_of(api) as client:
        place = FixedPlace(ResourcePath("", "v1", "services"))
        one = Reflector(client, place, names, hurry.timing, selection=Selection())
        task = asyncio.create_task(one.run())
        try:
            yield Running(api, names, hurry, one)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi() as server:
        yield server


def service(name: str, **labels: str) -> RawObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {},
    }


async def watched(run: Running) -> None:
    await eventually(lambda: run.api.watchers and run.reflector.condition.phase == "followed", "a watch")


async def test_a_watch_asks_for_bookmarks_and_a_random_end(api: ScriptedApi) -> None:
    async with running(api) as run:
        await watched(run)
    (request,) = api.asked(PATH, watch=True)
    assert request.query["allowWatchBookmarks"] == "true"
    assert request.query["timeoutSeconds"] == "450"
    assert request.query["resourceVersion"] == "100"


async def test_waits_grow_and_a_server_may_ask_for_longer_ones(api: ScriptedApi) -> None:
    api.faults[PATH] = [(500, {}, "no")] * 7 + [(429, {"Retry-After": "40"}, "busy")]
    async with running(api) as run:
        await watched(run)
        assert run.hurry.rests == pytest.approx([1.2, 2.4, 4.8, 9.6, 19.2, 22.5, 22.5, 40.0])


async def test_waits_are_short_again_after_events(api: ScriptedApi) -> None:
    api.faults[PATH] = [(500, {}, "no")] * 5
    async with running(api) as run:
        await watched(run)
        api.put(service("a"))
        await eventually(lambda: run.names.known, "an event")
        run.hurry.rests.clear()
        api.cut()
        await eventually(lambda: run.hurry.rests, "a wait")
        assert run.hurry.rests[0] == pytest.approx(1.2)


async def test_a_server_that_starts_is_not_waited_for_as_if_it_were_away(api: ScriptedApi) -> None:
    api.put(service("a"))
    async with running(api) as run:
        await watched(run)
        await api.stop()
        await eventually(lambda: len(run.hurry.rests) > 5, "long waits")
        assert run.hurry.rests[-1] == pytest.approx(22.5)
        busy = (429, {"Retry-After": "1"}, "storage is (re)initializing")
        api.faults[PATH] = [busy, busy, (410, {}, "too old")]
        await api.start()
        await eventually(lambda: not api.faults[PATH], "answers")
        await eventually(lambda: run.reflector.condition.phase == "followed", "contact")
        assert run.hurry.rests[-3:] == pytest.approx([1.2, 2.4, 4.8])


async def test_a_connection_without_a_sign_of_life_is_given_up(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "SILENCE_S", 0.05)
    async with running(api) as run:
        await watched(run)
        api.watchers[0].mute = True
        api.put(service("a"))
        await eventually(lambda: run.names.known == {"a"}, "the event by another watch")
        assert run.reflector.restarts >= 1
    assert len(api.asked(PATH, watch=False)) == 1


async def test_after_a_long_absence_everything_is_listed(api: ScriptedApi) -> None:
    api.put(service("a"))
    async with running(api) as run:
        await watched(run)
        await api.stop()
        await eventually(lambda: run.reflector.condition.phase == "lost", "the loss")
        run.hurry.now += 61
        tries = len(run.hurry.rests)
        await eventually(lambda: len(run.hurry.rests) > tries + 1, "one more try")
        # The server that comes back has another history: versions of the old one mean nothing in it.
        api.dropping = True
        api.delete("Service", "default", "a")
        api._history.clear()
        api.dropping = False
        await api.start()
        await eventually(lambda: run.names.known == set(), "a new list")


async def test_a_watch_that_ends_at_once_is_not_asked_for_in_a_loop(api: ScriptedApi) -> None:
    async with running(api) as run:
        await watched(run)
        for _ in range(3):
            asked = len(api.asked(PATH, watch=True))
            await eventually(lambda: api.watchers, "a watch")
            api.end()
            await eventually(lambda asked=asked: len(api.asked(PATH, watch=True)) > asked, "the next one")  # type: ignore[misc]
        assert run.hurry.rests == pytest.approx([1.2, 2.4, 4.8])


async def test_an_answer_that_is_no_list_changes_nothing(api: ScriptedApi) -> None:
    api.put(service("a"))
    async with running(api) as run:
        await watched(run)
        api.faults[PATH] = [(410, {}, "gone"), (200, {}, "no list")]
        api.compact()
        api.cut()
        await eventually(lambda: len(api.asked(PATH, watch=False)) == 3, "a second try")
        assert run.names.known == {"a"}


async def test_a_crash_of_the_follower_costs_a_new_list(api: ScriptedApi, caplog: pytest.LogCaptureFixture) -> None:
    async with running(api) as run:
        await watched(run)
        api.put(service("a", poison="yes"))
        await eventually(lambda: "crashed" in caplog.text, "the crash")
        api.put(service("a"))
        await eventually(lambda: run.names.known == {"a"}, "a new list")


async def test_a_token_that_expired_is_no_absence(api: ScriptedApi) -> None:
    api.put(service("a"))
    async with running(api) as run:
        await watched(run)
        api.faults[PATH] = [(401, {}, "Unauthorized")] * 6
        api.cut()
        await eventually(lambda: not api.faults[PATH], "six refusals")
        await eventually(lambda: run.reflector.condition.phase == "followed", "contact again")
        assert run.names.known == {"a"}


async def test_a_short_refusal_at_start_is_no_absence(api: ScriptedApi) -> None:
    api.put(service("a"))
    api.faults[PATH] = [(403, {}, "RBAC is not there yet")] * 2
    async with running(api) as run:
        await eventually(lambda: run.reflector.listed, "a list")
        assert run.names.known == {"a"}

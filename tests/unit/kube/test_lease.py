"""Leader election against a scripted API server and a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from gateway.kube import ApiFailure, Unreachable
from gateway.kube.lease import Clock, Election
from tests.support.virtualclock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

ITEM = "/apis/coordination.k8s.io/v1/namespaces/edge/leases/sluice"


class Leases:
    """One Lease, with the optimistic locking of an API server."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.failure: Exception | None = None
        self.calls: Counter[str] = Counter()

    @property
    def spec(self) -> dict[str, Any]:
        assert self.stored is not None
        found: dict[str, Any] = self.stored["spec"]
        return found

    async def get(self, path: str) -> Any:
        await self._called("get")
        assert path == ITEM
        if self.stored is None:
            raise ApiFailure(404, "NotFound", "no lease")
        return copy.deepcopy(self.stored)

    async def create(self, path: str, body: Any) -> Any:
        await self._called("create")
        assert path == ITEM.rpartition("/")[0]
        if self.stored is not None:
            raise ApiFailure(409, "AlreadyExists", "there is one")
        return self._store(body)

    async def replace(self, path: str, body: Any) -> Any:
        await self._called("replace")
        assert path == ITEM
        if self.stored is None or body["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
            raise ApiFailure(409, "Conflict", "the object has been modified")
        return self._store(body)

    async def _called(self, verb: str) -> None:
        self.calls[verb] += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure

    def _store(self, body: Any) -> Any:
        self.version += 1
        self.stored = copy.deepcopy(body)
        self.stored["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.stored)


class Candidate:
    """An election that runs, and whether its work does."""

    def __init__(self, api: Leases, time: VirtualClock, identity: str, skew: float = 0.0) -> None:
        clock = Clock(time.now, lambda: time.skewed(skew), time.sleep, lambda: 0.5)
        self.election = Election(api, "edge", "sluice", identity, clock=clock)
        self.working = False
        self.task = asyncio.create_task(self.election.run(self._work))

    async def _work(self) -> None:
        self.working = True
        try:
            await asyncio.Event().wait()
        finally:
            self.working = False

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@contextlib.asynccontextmanager
async def candidates(api: Leases, time: VirtualClock, *skews: float) -> AsyncIterator[tuple[Candidate, ...]]:
    """Candidates a, b, … that came one after the other."""
    made: list[Candidate] = []
    try:
        for number, skew in enumerate(skews):
            made.append(Candidate(api, time, "abc"[number], skew))
            await time.advance(0.1)
        yield tuple(made)
    finally:
        for one in made:
            await one.stop()


def run(test: Awaitable[None]) -> None:
    async def whole() -> None:
        await test

    asyncio.run(whole())


def test_the_first_candidate_makes_the_lease_and_keeps_it() -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()
        async with candidates(api, time, 0, 0) as (a, b):
            await time.advance(60)
            assert (a.working, b.working) == (True, False)
            assert a.election.leading
            assert not b.election.leading
            assert api.spec["holderIdentity"] == "a"
            assert api.spec["leaseDurationSeconds"] == 15
            assert api.spec["leaseTransitions"] == 0
            for key in ("acquireTime", "renewTime"):
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", api.spec[key])
            assert api.spec["acquireTime"] < api.spec["renewTime"]

    run(story())


@pytest.mark.parametrize("skew", [0, -3600, 3600])
def test_a_dead_leader_is_replaced_after_the_duration_whatever_the_wall_clocks_say(skew: float) -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()
        async with candidates(api, time, 0, skew) as (a, b):
            await time.advance(20)
            a.task.cancel()
            api.failure = Unreachable("the leader dies with its release unsent")
            await a.stop()
            api.failure = None
            await time.advance(14)
            assert not b.working, "the lease of a had not expired yet"
            await time.advance(15 - 14 + 2 * 2.2)
            assert b.working
            assert api.spec["holderIdentity"] == "b"
            assert api.spec["leaseTransitions"] == 1

    run(story())


def test_a_leader_that_ends_gives_the_lease_up_at_once() -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()
        async with candidates(api, time, 0, 0) as (a, b):
            await time.advance(5)
            await a.stop()
            assert api.spec["holderIdentity"] == ""
            assert not a.working
            await time.advance(2 * 2.2)
            assert b.working

    run(story())


def test_a_follower_that_ends_leaves_the_lease_alone() -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()
        async with candidates(api, time, 0, 0) as (a, b):
            await time.advance(5)
            await b.stop()
            assert api.spec["holderIdentity"] == "a"
            assert a.working

    run(story())


def test_a_leader_without_the_api_server_stops_to_lead_before_anybody_else_may_begin() -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()
        async with candidates(api, time, 0) as (a,):
            await time.advance(5)
            renewed = time.now()
            api.failure = Unreachable("refused")
            await time.advance(7)
            assert a.election.leading, "a short outage costs nothing"
            while a.working:
                await time.advance(0.5)
                assert time.now() - renewed < 15, "work went on when another could lead"
            assert not a.election.leading
            api.failure = None
            await time.advance(2 * 2.2)
            assert a.working, "and it comes back by itself"

    run(story())


def test_a_lease_that_was_taken_from_us_ends_our_work_at_the_next_look() -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()
        async with candidates(api, time, 0) as (a,):
            await time.advance(5)
            await api.replace(ITEM, {**(await api.get(ITEM)), "spec": {**api.spec, "holderIdentity": "other"}})
            await time.advance(2.1)
            assert not a.working
            assert api.spec["holderIdentity"] == "other"

    run(story())


def test_of_two_that_want_an_expired_lease_one_gets_it() -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()
        await api.create(
            ITEM.rpartition("/")[0],
            {"metadata": {"name": "sluice"}, "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 15}},
        )
        async with candidates(api, time, 0, 0, 0) as everyone:
            await time.advance(15 + 2 * 2.2)
            assert sum(one.working for one in everyone) == 1

    run(story())


def test_a_renewal_that_was_seen_late_counts_from_when_it_was_seen() -> None:
    """As client-go has it: an answer that was long on its way may be about a renewal of a moment ago."""

    class Slow(Leases):
        async def get(self, path: str) -> Any:
            if not self.calls["get"]:
                await time.sleep(4)
            return await super().get(path)

    time = VirtualClock()

    async def story() -> None:
        api = Slow()
        held = {"holderIdentity": "other", "leaseDurationSeconds": 15, "renewTime": "1"}
        await api.create(ITEM.rpartition("/")[0], {"metadata": {"name": "sluice"}, "spec": held})
        async with candidates(api, time, 0) as (a,):
            await time.advance(3.8)
            await api.replace(ITEM, {**(api.stored or {}), "spec": {**held, "renewTime": "2"}})
            await time.advance(14.9)
            assert not a.working, "15 s have not passed since the renewal"
            assert api.spec["holderIdentity"] == "other"
            await time.advance(5)
            assert a.working

    run(story())


def test_a_refusal_is_told_once_and_tried_again_slowly(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()
        api.failure = ApiFailure(403, "Forbidden", "leases is forbidden")
        async with candidates(api, time, 0) as (a,):
            await time.advance(600)
            assert not a.task.done()
            assert 4 <= api.calls["get"] <= 10
            api.failure = None
            await time.advance(60 * 2.2)
            assert a.working

    with caplog.at_level(logging.WARNING):
        run(story())
    (told,) = [one.message for one in caplog.records if "cannot be had" in one.message]
    assert "403 Forbidden" in told
    assert "get, create and update of leases" in told


def test_what_the_work_raises_ends_the_election_and_frees_the_lease() -> None:
    async def story() -> None:
        api, time = Leases(), VirtualClock()

        async def broken() -> None:
            raise ValueError("a bug")

        clock = Clock(time.now, time.utc, time.sleep, lambda: 0.0)
        with pytest.raises(ValueError, match="a bug"):
            await Election(api, "edge", "sluice", "a", clock=clock).run(broken)
        assert api.spec["holderIdentity"] == ""

    run(story())

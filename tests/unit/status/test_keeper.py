"""Statuses are written by one of several replicas, only where they differ, whatever the API server answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, cast

import pytest

from gateway.base.keys import ObjectKey
from gateway.diagnostics import Diagnostic, Origin
from gateway.ir import Gateway
from gateway.kube import ApiFailure, Unreachable
from gateway.kube.lease import Clock
from gateway.resources import ResourceSet
from gateway.resources.reader import read_object
from gateway.sources.statuses import SeenStatuses
from gateway.status.keeper import Publishing, StatusKeeper
from gateway.translate import TranslateSettings, translate
from tests.support.fakeobjects import FakeObjects
from tests.support.manifests import host, mapping
from tests.support.virtualclock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.kube import KubeClient
    from tests.support.manifests import Object

GROUP = "getambassador.io"
PLURALS = {"Mapping": "mappings", "Host": "hosts"}
LEASE = "/apis/coordination.k8s.io/v1/namespaces/edge/leases/sluice-status"


def place(raw: Object) -> str:
    metadata = raw["metadata"]
    return f"/apis/{GROUP}/v3alpha1/namespaces/{metadata['namespace']}/{PLURALS[raw['kind']]}/{metadata['name']}"


class Replica:
    """A keeper that runs."""

    def __init__(
        self, api: FakeObjects, time: VirtualClock, identity: str = "a", *, address: str = "192.0.2.7"
    ) -> None:
        clock = Clock(time.now, time.utc, time.sleep, lambda: 0.5)
        addresses = (address,) if address else ()

        async def connect() -> KubeClient:
            return cast("KubeClient", api)

        self.seen = SeenStatuses(frozenset({f"Mapping.{GROUP}"}))
        self.keeper = StatusKeeper(connect, Publishing(identity, "edge", addresses=addresses), clock, self.seen)
        self._resources = ResourceSet()
        self.task = asyncio.create_task(self.keeper.run())

    def serve(self, *objects: Object, more: tuple[Diagnostic, ...] = ()) -> None:
        """As the gateway does when a configuration is in force."""
        read = [read_object(raw) for raw in objects]
        self._resources = ResourceSet.build([item for one in read for item in one.resources], previous=self._resources)
        done = translate(self._resources, TranslateSettings())
        found = (*[finding for one in read for finding in one.diagnostics], *done.diagnostics, *more)
        self.keeper.offer(done.gateway, self._resources, found)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@contextlib.asynccontextmanager
async def replicas(api: FakeObjects, time: VirtualClock, *names: str) -> AsyncIterator[list[Replica]]:
    made: list[Replica] = []
    try:
        for name in names:
            made.append(Replica(api, time, name))
            await time.advance(0.1)
        yield made
    finally:
        for one in made:
            await one.stop()


async def passing(time: VirtualClock, seconds: float) -> None:
    """Let virtual time pass."""
    await time.advance(seconds)


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a thread takes real time, of which virtual time knows nothing."""

    async def at_once(work: Callable[..., object], *arguments: object) -> object:
        return work(*arguments)

    monkeypatch.setattr("gateway.status.keeper.asyncio.to_thread", at_once)


def run(story: Awaitable[None]) -> None:
    async def whole() -> None:
        await story

    asyncio.run(whole())


def stored(api: FakeObjects, *objects: Object) -> None:
    for raw in objects:
        api.put(place(raw), raw)


def test_statuses_appear_and_follow_the_objects() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        stored(api, good, taker)
        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker)
            await passing(time, 5)
            assert api.status(place(good))["state"] == "Running"
            assert api.status(place(taker))["state"] == "Ready"
            assert [item["type"] for item in api.status(place(good))["conditions"]] == ["Accepted", "Programmed"]
            bad = mapping("m", "/", "svc")
            bad["spec"]["timeout_ms"] = "soon"
            a.serve(bad, taker)
            await passing(time, 5)
            status = api.status(place(good))
            assert status["state"] == "Inactive"
            assert "spec.timeout_ms" in status["reason"]
            a.serve(good, taker)
            await passing(time, 5)
            assert "reason" not in api.status(place(good))

    run(story())


def test_nothing_is_written_that_is_there_already() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        objects = [host("h"), *[mapping(f"m{number}", f"/{number}/", "svc") for number in range(30)]]
        stored(api, *objects)
        async with replicas(api, time, "a") as (a,):
            a.serve(*objects)
            await passing(time, 5)
            assert api.count("patch") == 31
            assert api.count("get", "/mappings/") == 0, "the list has said what each object says"
            for _ in range(3):
                a.serve(*objects)
                await passing(time, 1)
            assert api.count("patch") == 31
        async with replicas(api, time, "b") as (b,):
            b.serve(*objects)
            await passing(time, 10)
            assert b.keeper.facts().leading
            assert api.count("patch") == 31, "the next leader finds everything in place"

    run(story())


def test_an_object_whose_event_told_its_status_is_not_asked_for() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        stored(api, good, taker)
        key = ObjectKey(f"Mapping.{GROUP}", good["metadata"]["namespace"], "m")

        async def break_it(a: Replica, field: str, *, told: bool) -> Object:
            """Somebody edits the Mapping, and adds a field of their own to its status."""
            bad = mapping("m", "/", "svc")
            bad["spec"][field] = "soon"
            api.put(place(bad), {**bad, "status": {**api.status(place(bad)), "other": field}})
            if told:
                raw = api.stored[place(bad)]
                a.seen.note(key, raw["metadata"]["resourceVersion"], raw["status"])
            a.serve(bad, taker)
            await passing(time, 5)
            status: Object = api.status(place(bad))
            assert f"spec.{field}" in status["reason"]
            return status

        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker)
            await passing(time, 5)
            assert (await break_it(a, "timeout_ms", told=True))["other"] == "timeout_ms"
            assert api.count("get", "/mappings/") == 0
            # What was told before is not true any more: the write conflicts, and the object is asked.
            assert (await break_it(a, "idle_timeout_ms", told=False))["other"] == "idle_timeout_ms"
            assert api.count("get", "/mappings/") == 1
            assert a.keeper.facts().writes["conflict"] == 1

    run(story())


def test_definitions_without_conditions_cost_one_write_too_many() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        api.room = False
        objects = [host("h"), *[mapping(f"m{number}", f"/{number}/", "svc") for number in range(30)]]
        for raw in objects[1:]:
            api.put(place(raw), {**raw, "status": {"state": "Running"}})
        stored(api, objects[0])
        async with replicas(api, time, "a") as (a,):
            a.serve(*objects)
            await passing(time, 5)
            assert api.count("patch", "/mappings/") == 1
            bad = mapping("m7", "/7/", "svc")
            del bad["spec"]["prefix"]
            a.serve(*[bad if raw["metadata"]["name"] == "m7" else raw for raw in objects])
            await passing(time, 5)
            assert api.status(place(bad))["state"] == "Inactive"

    run(story())


def test_fields_and_conditions_of_others_stay() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        foreign = {"type": "Audited", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2020"}
        api.put(place(good), {**good, "status": {"other": {"key": 1}, "conditions": [foreign]}})
        stored(api, taker)
        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker)
            await passing(time, 5)
            status = api.status(place(good))
            assert status["other"] == {"key": 1}
            assert foreign in status["conditions"]
            assert {item["type"] for item in status["conditions"]} == {"Audited", "Accepted", "Programmed"}

    run(story())


def test_a_condition_keeps_its_time_until_it_turns() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        good["metadata"]["generation"] = 1
        stored(api, good, taker)
        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker)
            await passing(time, 5)
            before = api.status(place(good))["conditions"]
            newer = {**good, "metadata": {**good["metadata"], "generation": 2}}
            a.serve(newer, taker)
            await passing(time, 5)
            after = api.status(place(good))["conditions"]
            assert [item["observedGeneration"] for item in after] == [2, 2]
            assert [item["lastTransitionTime"] for item in after] == [item["lastTransitionTime"] for item in before]
            a.serve(host("h", "nobody.example.com"), {**newer, "spec": {**newer["spec"], "hostname": "x.example.com"}})
            await passing(time, 5)
            accepted, programmed = api.status(place(good))["conditions"]
            assert accepted["lastTransitionTime"] == before[0]["lastTransitionTime"]
            assert programmed["status"] == "False"
            assert programmed["lastTransitionTime"] > before[1]["lastTransitionTime"]

    run(story())


def test_one_of_two_writes_and_the_other_takes_over() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        stored(api, good, taker)
        async with replicas(api, time, "a", "b") as (a, b):
            for one in (a, b):
                one.serve(good, taker)
            await passing(time, 5)
            assert api.count("patch") == 2
            assert [one.keeper.facts().leading for one in (a, b)] == [True, False]
            # The leader dies: it neither releases its lease nor renews it.
            api.failure = lambda _verb, _path: Unreachable("dead")
            await a.stop()
            api.failure = lambda _verb, _path: None
            moved = mapping("m", "/", "svc", hostname="nobody.example.com")
            b.serve(moved, host("h", "a.example.com"))
            await passing(time, 22)
            assert b.keeper.facts().leading
            assert api.status(place(good))["state"] == "Inactive"

    run(story())


def test_a_conflict_is_read_again() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        stored(api, good, taker)
        raced: list[str] = []

        def race(verb: str, path: str) -> None:
            if verb == "patch" and path == f"{place(good)}/status" and not raced:
                raced.append(path)
                api.put(place(good), {**good, "status": {"other": "written meanwhile"}})

        api.failure = race
        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker)
            await passing(time, 5)
            assert raced
            status = api.status(place(good))
            assert status["state"] == "Running"
            assert status["other"] == "written meanwhile"
            assert a.keeper.facts().writes["conflict"] == 1

    run(story())


def test_an_object_that_is_not_there_is_let_be() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("in-an-annotation", "/", "svc"), host("h")
        stored(api, taker)
        async with replicas(api, time, "a") as (a,):
            a.serve(taker)
            await passing(time, 5)
            a.serve(good, taker)
            await passing(time, 60)
            assert a.keeper.facts().writes["missing"] == 1
            assert a.keeper.facts().pending == 0

    run(story())


def test_a_refusal_is_told_once_and_spares_the_other_kinds(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        objects = [host("h"), *[mapping(f"m{number}", f"/{number}/", "svc") for number in range(30)]]
        stored(api, *objects)
        forbidden = ApiFailure(403, "Forbidden", "mappings/status is forbidden")
        api.failure = lambda verb, path: forbidden if verb == "patch" and "mappings" in path else None
        async with replicas(api, time, "a") as (a,):
            a.serve(*objects)
            await passing(time, 60)
            assert api.status(place(objects[0]))["state"] == "Ready"
            assert api.count("patch", "mappings") == 1
            api.failure = lambda _verb, _path: None
            await passing(time, 310)
            assert all(api.status(place(raw))["state"] == "Running" for raw in objects[1:])

    with caplog.at_level(logging.WARNING):
        run(story())
    assert sum("cannot be written" in one.message for one in caplog.records) == 1


def test_what_fails_is_tried_again_with_longer_waits() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        stored(api, good, taker)
        broken = ApiFailure(500, "InternalError", "conversion webhook failed")
        api.failure = lambda verb, path: broken if verb == "patch" and "mappings" in path else None
        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker)
            await passing(time, 120)
            assert 4 <= api.count("patch", "mappings") <= 10
            assert api.status(place(taker))["state"] == "Ready", "another kind does not wait for it"
            api.failure = lambda _verb, _path: None
            await passing(time, 61)
            assert api.status(place(good))["state"] == "Running"

    run(story())


def test_the_api_server_is_not_asked_more_often_than_allowed_and_changes_come_first() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        objects = [host("h"), *[mapping(f"m{number}", f"/{number}/", "svc") for number in range(600)]]
        stored(api, *objects)
        async with replicas(api, time, "a") as (a,):
            a.serve(*objects)
            await passing(time, 4)
            assert 50 <= api.count("patch") <= 50 + 50 * 4
            bad = mapping("m599", "/599/", "svc")
            del bad["spec"]["prefix"]
            a.serve(*objects[:-1], bad)
            await passing(time, 1)
            assert api.status(place(bad)).get("state") == "Inactive"
            assert a.keeper.facts().pending > 0
            await passing(time, 12)
            assert a.keeper.facts().pending == 0

    run(story())


def test_what_is_wrong_comes_before_what_is_right() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        objects = [host("h"), *[mapping(f"m{number}", f"/{number}/", "svc") for number in range(600)]]
        bad = mapping("m600", "/600/", "svc")
        del bad["spec"]["prefix"]
        stored(api, *objects, bad)
        async with replicas(api, time, "a") as (a,):
            a.serve(objects[0])
            await passing(time, 4)
            a.serve(*objects, bad)
            await passing(time, 1)
            assert a.keeper.facts().pending > 0
            assert api.status(place(bad)).get("state") == "Inactive"

    run(story())


@pytest.mark.parametrize("labelled", [True, False])
def test_ingresses_get_what_the_service_has(labelled: bool) -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        backend = {"service": {"name": "svc", "port": {"number": 80}}}
        raw: Object = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "i", "namespace": "default"},
            "spec": {"ingressClassName": "sluice", "defaultBackend": backend},
        }
        where = "/apis/networking.k8s.io/v1/namespaces/default/ingresses/i"
        api.put(where, raw)
        labels = {"app.kubernetes.io/component": "ambassador-service"} if labelled else {}
        service: Object = {"metadata": {"name": "edge", "namespace": "edge", "labels": labels}, "status": {}}
        api.put("/api/v1/namespaces/edge/services/edge", service)
        replica = Replica(api, time, address="")
        try:
            replica.serve(raw)
            await passing(time, 15)
            assert api.status(where) == {}
            ingress = [{"ip": "192.0.2.9", "ipMode": "VIP"}, {"hostname": "lb.example.com"}]
            api.put(
                "/api/v1/namespaces/edge/services/edge", {**service, "status": {"loadBalancer": {"ingress": ingress}}}
            )
            await passing(time, 15)
            expected = {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}, {"hostname": "lb.example.com"}]}}
            assert api.status(where) == (expected if labelled else {})
        finally:
            await replica.stop()

    run(story())


@pytest.mark.parametrize("chosen", [True, False])
def test_addresses_of_another_gateway_are_replaced_if_an_operator_chose_ours(chosen: bool) -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        raw: Object = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "i", "namespace": "default"},
            "spec": {
                "ingressClassName": "sluice",
                "defaultBackend": {"service": {"name": "svc", "port": {"number": 80}}},
            },
        }
        where = "/apis/networking.k8s.io/v1/namespaces/default/ingresses/i"
        api.put(where, {**raw, "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}}})
        labels = {"app.kubernetes.io/component": "ambassador-service"}
        balancer = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
        api.put("/api/v1/namespaces/edge/services/edge", {"metadata": {"labels": labels}, "status": balancer})
        replica = Replica(api, time, address="192.0.2.7" if chosen else "")
        try:
            replica.serve(raw)
            await passing(time, 15)
            shown = api.status(where)["loadBalancer"]["ingress"]
            assert shown == [{"ip": "192.0.2.7" if chosen else "198.51.100.1"}]
            assert replica.keeper.facts().writes["foreign"] == (0 if chosen else 1)
        finally:
            await replica.stop()

    run(story())


def test_a_fault_of_ours_is_survived(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError(" ".join(("secret", "text")))

    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        monkeypatch.setattr("gateway.status.table.StatusTable.update", crash)
        async with replicas(api, time, "a") as (a,):
            a.keeper.offer(Gateway(), ResourceSet(), ())
            await passing(time, 5)
            assert api.stored[LEASE]["spec"]["holderIdentity"] == "", "another replica may try"
            assert not a.task.done()

    with caplog.at_level(logging.ERROR):
        run(story())
    (told,) = [one.getMessage() for one in caplog.records if "not written" in one.getMessage()]
    assert "secret text" not in told
    assert "RuntimeError" in told


def test_findings_of_other_objects_are_no_status() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        taker = host("h")
        stored(api, taker)
        async with replicas(api, time, "a") as (a,):
            a.serve(taker, more=(Diagnostic("error", "x", "y", Origin("Secret", "default", "s")),))
            await passing(time, 5)
            assert api.count("patch") == 1

    run(story())


def test_kinds_that_are_installed_later_are_taken_up() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        installed, api.installed = api.installed, {}
        good, taker = mapping("m", "/", "svc"), host("h")
        stored(api, good, taker)
        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker)
            await passing(time, 60)
            assert api.count("patch") == 0
            api.installed = installed
            await passing(time, 35)
            assert api.status(place(good))["state"] == "Running"
            assert api.status(place(taker))["state"] == "Ready"

    run(story())


def test_a_version_whose_conversion_fails_is_left_for_another() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        stored(api, good, taker)
        broken = ApiFailure(500, "InternalError", "conversion webhook failed")
        api.failure = lambda _verb, path: broken if "v3alpha1/" in path else None
        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker)
            await passing(time, 20)
            assert api.status(place(good))["state"] == "Running"
            assert api.count("patch", "/v3alpha1/mappings/") <= 1

    run(story())


def test_an_annotation_that_repeats_an_object_does_not_make_the_object_wrong() -> None:
    async def story() -> None:
        api, time = FakeObjects(), VirtualClock()
        good, taker = mapping("m", "/", "svc"), host("h")
        stored(api, good, taker)
        repeated = Diagnostic("error", "object-duplicate", "is declared already", Origin("Mapping", "default", "m"))
        async with replicas(api, time, "a") as (a,):
            a.serve(good, taker, more=(repeated,))
            await passing(time, 5)
            assert api.status(place(good))["state"] == "Running"
            assert "declared already" in api.status(place(good))["conditions"][0]["message"]

    run(story())

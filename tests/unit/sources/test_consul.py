"""The rules of blocking queries, and what the gateway makes of answers, against a scripted Consul."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from gateway.resources import ResourceSet
from gateway.resources.consul import ConsulInstance, ConsulPlace, ConsulService, ConsulTarget, consul_url
from gateway.resources.reader import read_object
from gateway.settings import ConsulSettings
from gateway.sources import SourceState, SourceStatus
from gateway.sources.consul import ConsulError, WithConsul
from gateway.sources.consul.answer import Answer
from gateway.sources.consul.client import ConsulClient
from gateway.sources.consul.follower import Follower, Pace
from gateway.translate import TranslateSettings, translate
from gateway.translate.ambassador.consul import consul_targets
from tests.support.manifests import GROUP, host, mapping, module, tcp_mapping
from tests.support.ports import LOOPBACK
from tests.support.virtualclock import VirtualClock
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from gateway.diagnostics import Diagnostic
    from tests.support.manifests import Object

PLACE = ConsulPlace("consul:8500", "dc1")
QUOTE = ConsulTarget(PLACE, "quote")
ONE, TWO = ConsulInstance("192.0.2.1", 80), ConsulInstance("192.0.2.2", 80)


class Script:
    """Answers in order, then none any more; ``asked`` has the indices of the queries."""

    def __init__(self, *answers: Answer | ConsulError) -> None:
        self._answers = list(answers)
        self.asked: list[int] = []
        self.closed = False

    async def healthy(self, target: ConsulTarget, index: int) -> Answer:
        assert target.place == PLACE
        self.asked.append(index)
        if not self._answers:
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if isinstance(answer, ConsulError):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


@contextlib.asynccontextmanager
async def following(script: Script, time: VirtualClock) -> AsyncIterator[Follower]:
    follower = Follower(script, QUOTE, lambda: None, Pace(time.now, time.sleep, lambda: 0.0))
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_query_waits_for_a_change_of_the_last_answer() -> None:
    script, time = Script(Answer((ONE,), 7), Answer((ONE, TWO), 9)), VirtualClock()
    async with following(script, time) as follower:
        await time.advance(1)
        assert script.asked == [0, 7, 9]
        assert follower.instances == (ONE, TWO)


async def test_an_index_that_goes_back_begins_anew() -> None:
    script, time = Script(Answer((ONE,), 700), Answer((TWO,), 12), Answer((TWO,), 12)), VirtualClock()
    async with following(script, time) as follower:
        await time.advance(60)
        assert script.asked == [0, 700, 0, 12]
        assert follower.instances == (TWO,)


async def test_without_an_index_queries_do_not_spin() -> None:
    script, time = Script(*[Answer((ONE,), 0)] * 1000), VirtualClock()
    async with following(script, time):
        await time.advance(10)
        assert len(script.asked) <= 12
        assert set(script.asked) == {0}


async def test_changes_that_mean_nothing_do_not_spin() -> None:
    script, time = Script(*[Answer((ONE,), 10 + number) for number in range(1000)]), VirtualClock()
    async with following(script, time):
        await time.advance(10)
        assert len(script.asked) <= 12


async def test_instances_that_flap_do_not_spin() -> None:
    script, time = Script(*[Answer(((ONE, TWO)[number % 2],), 10 + number) for number in range(1000)]), VirtualClock()
    async with following(script, time) as follower:
        await time.advance(10)
        assert len(script.asked) <= 51
        assert follower.instances in ((ONE,), (TWO,))


async def test_failures_keep_the_last_instances_and_wait_longer_and_longer() -> None:
    script, time = Script(Answer((ONE,), 7), *[ConsulError("refused")] * 1000), VirtualClock()
    async with following(script, time) as follower:
        await time.advance(60)
        assert follower.instances == (ONE,)
        assert follower.trouble == "refused; its last instances stay in use"
        assert 5 <= len(script.asked) <= 12
        assert set(script.asked[2:]) == {0}, "another server may have another history"


async def test_trouble_ends_with_an_answer() -> None:
    script, time = Script(ConsulError("refused"), Answer((ONE,), 7)), VirtualClock()
    async with following(script, time) as follower:
        await time.advance(0)
        assert follower.instances is None
        assert follower.asked.is_set()
        await time.advance(5)
        known = follower.instances
        assert known == (ONE,)
        assert not follower.trouble


async def test_a_token_that_was_revoked_takes_no_instances_away() -> None:
    script, time = Script(Answer((ONE,), 7), *[Answer((), 8, hidden=True)] * 100), VirtualClock()
    async with following(script, time) as follower:
        await time.advance(20)
        assert follower.instances == (ONE,)
        assert "may not read" in follower.trouble
        assert set(script.asked[2:]) == {0}
        assert len(script.asked) <= 7


async def test_instances_that_are_gone_are_gone() -> None:
    script, time = Script(Answer((ONE,), 7), Answer((), 8)), VirtualClock()
    async with following(script, time) as follower:
        await time.advance(1)
        assert follower.instances == ()


@pytest.mark.parametrize(
    ("address", "tls", "url"),
    [
        ("", False, "http://127.0.0.1:8500"),
        ("consul", False, "http://consul:8500"),
        ("consul:80", False, "http://consul:80"),
        ("consul", True, "https://consul:8501"),
        ("http://consul", True, "http://consul:8500"),
        ("https://consul.example.com/", False, "https://consul.example.com:8501"),
        ("[2001:db8::1]:8500", False, "http://[2001:db8::1]:8500"),
    ],
)
def test_addresses(address: str, tls: bool, url: str) -> None:
    assert consul_url(address, tls=tls) == url


@pytest.mark.parametrize(
    "address", ["ftp://consul", "user@consul", "consul/path", "consul:0", "consul:70000", "a b", "2001:db8::1"]
)
def test_what_is_no_address_is_told_at_the_resolver(address: str) -> None:
    result = read_object(resolver(address=address))
    assert not result.resources
    (found,) = result.diagnostics
    assert (found.severity, found.field) == ("error", "spec.address")


def resolver(name: str = "my-consul", **spec: str) -> Object:
    chosen = {"address": PLACE.address, "datacenter": PLACE.datacenter, **spec}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": GROUP, "kind": "ConsulResolver", "metadata": metadata, "spec": chosen}


def resources(*objects: Object) -> ResourceSet:
    return ResourceSet.build([item for raw in objects for item in read_object(raw).resources])


def test_a_resolver_needs_a_datacenter() -> None:
    (found,) = read_object(resolver(datacenter="")).diagnostics
    assert (found.severity, found.field) == ("error", "spec.datacenter")


def test_the_services_that_are_needed() -> None:
    found = resources(
        resolver("consul"),
        module(resolver="consul"),
        mapping("a", "/a/", "https://quote:443", resolver="consul"),
        mapping("b", "/b/", "Quote", resolver="consul-endpoint"),
        mapping("c", "/c/", "by-default"),
        mapping("d", "/d/", "elsewhere", resolver="kubernetes-service"),
        mapping("e", "/e/", "with.dots", resolver="consul"),
        mapping("f", "/f/", "192.0.2.1", resolver="consul"),
        tcp_mapping("g", 4000, "tcp", resolver="consul"),
    )
    services = sorted(target.service for target in consul_targets(found, "default"))
    assert services == ["by-default", "quote", "tcp"]


def translated(instances: tuple[ConsulInstance, ...] | None, *objects: Object) -> tuple[object, list[Diagnostic]]:
    found = resources(resolver(), host("h"), *objects)
    if instances is not None:
        found = found.joined(ConsulService, (ConsulService.of(QUOTE, instances),))
    done = translate(found, TranslateSettings())
    return done.gateway.clusters, list(done.diagnostics)


def test_instances_are_endpoints() -> None:
    weighted = ConsulInstance("192.0.2.9", 8080, 5)
    done = translate(
        resources(resolver(), host("h"), mapping("m", "/", "quote:99", resolver="my-consul")).joined(
            ConsulService, (ConsulService.of(QUOTE, (ONE, weighted)),)
        ),
        TranslateSettings(),
    )
    (cluster,) = done.gateway.clusters
    assert [(item.address, item.port, item.weight) for item in cluster.endpoints] == [
        ("192.0.2.1", 80, 1),
        ("192.0.2.9", 8080, 5),
    ]
    assert cluster.dns is None
    (ignored,) = [item for item in done.diagnostics if item.code == "service-port"]
    assert (ignored.severity, ignored.field) == ("notice", "spec.service")


@pytest.mark.parametrize("instances", [None, ()])
def test_no_instances_is_a_warning(instances: tuple[ConsulInstance, ...] | None) -> None:
    _, found = translated(instances, mapping("m", "/", "quote", resolver="my-consul"))
    (warning,) = [item for item in found if item.code == "no-endpoints"]
    assert (warning.origin.kind, warning.field) == ("Mapping", "spec.service")


def test_a_service_with_dots_is_refused() -> None:
    _, found = translated((), mapping("m", "/", "quote.shop", resolver="my-consul"))
    (error,) = [item for item in found if item.severity == "error"]
    assert error.field == "spec.resolver"
    assert "without dots" in error.message


def test_a_change_of_instances_changes_one_cluster() -> None:
    from gateway.translate import Memo

    memo = Memo()
    plain = resources(
        resolver(), host("h"), mapping("m", "/", "quote", resolver="my-consul"), mapping("n", "/n/", "other.default")
    )
    first = translate(plain.joined(ConsulService, (ConsulService.of(QUOTE, (ONE,)),)), TranslateSettings(), memo)
    second = translate(plain.joined(ConsulService, (ConsulService.of(QUOTE, (TWO,)),)), TranslateSettings(), memo)
    assert second.gateway.virtual_hosts[0] is first.gateway.virtual_hosts[0]
    pairs = list(zip(first.gateway.clusters, second.gateway.clusters, strict=True))
    assert [old is new for old, new in pairs] == [True, False] or [old is new for old, new in pairs] == [False, True]


# ------------------------------------------------------------------------------------------------------- the source


class Objects:
    """Another source, whose states a test hands out."""

    def __init__(self) -> None:
        self.states: asyncio.Queue[SourceState] = asyncio.Queue()

    async def watch(self) -> AsyncGenerator[SourceState, None]:
        while True:
            yield await self.states.get()

    def status(self) -> SourceStatus:
        return SourceStatus("scripted")

    def put(self, *objects: Object) -> None:
        self.states.put_nowait(SourceState(resources(*objects), ()))


@contextlib.asynccontextmanager
async def source(connect: Callable[[], Script]) -> AsyncIterator[tuple[Objects, list[SourceState]]]:
    objects, seen = Objects(), list[SourceState]()

    async def read() -> None:
        async with contextlib.aclosing(WithConsul(objects, "default", connect).watch()) as states:
            async for state in states:
                seen.append(state)

    task = asyncio.create_task(read())
    try:
        yield objects, seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_without_a_resolver_states_pass_as_they_are() -> None:
    def never() -> Script:
        raise AssertionError("nobody asked for Consul")

    async with source(never) as (objects, seen):
        state = SourceState(resources(host("h")), ())
        objects.states.put_nowait(state)
        await eventually(lambda: seen, "a state")
        assert seen == [state]
        assert seen[0] is state


async def test_the_first_state_has_the_instances_and_changes_follow() -> None:
    script = Script(Answer((ONE,), 7), Answer((ONE, TWO), 8))
    async with source(lambda: script) as (objects, seen):
        objects.put(resolver(), mapping("m", "/", "quote", resolver="my-consul"))
        await eventually(lambda: seen and seen[-1].resources.by_key(QUOTE.key), "a state")
        assert all(item.resources.of(ConsulService) for item in seen), "none was without an answer"
        await eventually(lambda: seen[-1].resources.of(ConsulService)[0].instances == (ONE, TWO), "the second answer")
        before = seen[-1].resources.of(ConsulService)
        objects.put(resolver(), mapping("m", "/", "quote", resolver="my-consul"), host("h"))
        await eventually(lambda: len(seen[-1].resources) == 4, "the other source goes on")
        assert seen[-1].resources.of(ConsulService) is before
    assert script.closed


async def test_a_consul_that_cannot_be_asked_is_told_at_its_resolver() -> None:
    def without_package() -> Script:
        raise ConsulError("Consul cannot be asked without the package aiohttp")

    async with source(without_package) as (objects, seen):
        objects.put(resolver(), mapping("m", "/", "quote", resolver="my-consul"))
        await eventually(lambda: seen, "a state")
        (found,) = seen[0].diagnostics
        assert (found.severity, found.origin.kind, found.origin.name) == ("error", "ConsulResolver", "my-consul")


# ------------------------------------------------------------------------------------------------------- the client


@contextlib.asynccontextmanager
async def answering(response: Callable[[web.Request], web.Response]) -> AsyncIterator[ConsulTarget]:
    async def handle(request: web.Request) -> web.Response:
        return response(request)

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield ConsulTarget(ConsulPlace(f"{LOOPBACK}:{port}", "dc1"), "quote")
    finally:
        await runner.cleanup()


async def ask(target: ConsulTarget, settings: ConsulSettings | None = None) -> Answer:
    client = ConsulClient(settings or ConsulSettings())
    try:
        return await client.healthy(target, 0)
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "unexpected end"),
        ("{}", "no list"),
        ("[1]", "an instance"),
        ('[{"Service": {"Address": "192.0.2.1"}}]', "Port"),
        ('[{"Service": {"Address": "", "Port": 1}}]', "Node"),
    ],
)
async def test_an_answer_that_is_none_is_refused_as_a_whole(body: str, says: str) -> None:
    async with answering(lambda _: web.Response(text=body)) as target:
        with pytest.raises(ConsulError, match=says):
            await ask(target)


async def test_instances_are_read() -> None:
    node = {"Address": "192.0.2.1"}
    body = [
        {"Node": node, "Service": {"Address": "", "Port": 80, "Weights": {"Passing": 3}}},
        {"Node": node, "Service": {"Address": "2001:db8::1", "Port": 81}},
        {"Node": node, "Service": {"Address": "2001:db8::1", "Port": 81}},
        {"Node": node, "Service": {"Address": "a-name", "Port": 81}},
        {"Node": node, "Service": {"Address": "192.0.2.3", "Port": 0}},
    ]
    async with answering(lambda _: web.json_response(body, headers={"X-Consul-Index": "5"})) as target:
        answer = await ask(target)
    assert answer.instances == (ConsulInstance("192.0.2.1", 80, 3), ConsulInstance("2001:db8::1", 81))
    assert (answer.index, answer.named, answer.hidden) == (5, 1, False)


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    seen: list[str] = []

    def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=302, headers={"Location": "/stolen"})

    async with answering(elsewhere) as target:
        with pytest.raises(ConsulError, match="302"):
            await ask(target, ConsulSettings(token="secret"))
    assert seen == ["/v1/health/service/quote"]

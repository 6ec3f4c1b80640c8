"""A thousand good Mappings beside bad objects of every kind, with something wrong in every field: as far as our
definitions let them in, and then as far as an API server does whose definitions say nothing about fields.

What has to be named is what the reader refuses; that the reader refuses what it should is tested without a cluster.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway.resources.crds import definitions
from gateway.resources.model import GETAMBASSADOR
from gateway.resources.reader import read_object
from gateway.resources.registry import KINDS
from tests.support.kube import edge
from tests.support.kube.client import ApiError, client
from tests.support.kube.edge import echo_server, listener, mapping, service, settled
from tests.support.kube.gateway import ClusterGateway
from tests.support.poison import CLOSING, OPTIONS, REQUIRED, fields
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from tests.support.kube.client import KubeClient, Object
    from tests.support.kube.controlplane import ControlPlane

pytestmark = [pytest.mark.native, pytest.mark.timeout(240), pytest.mark.usefixtures("node", "installed")]
GOOD = 1000
VALUES: tuple[object, ...] = (-1, "${X}", [[]], {"no": "such"})
"""A number, a text, a list and an object: for each field at least three of them are of the wrong type."""
BESIDE = [kind for group, kind in KINDS if group == GETAMBASSADOR and kind not in CLOSING | OPTIONS]
REFUSED = 422
MODULE = "Module"
AT_A_TIME = 16
GUARDS = {"ip_allow", "ip_deny"}
"""Fields of the Module that keep clients out: what cannot be understood of them keeps everybody out."""
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest_asyncio.fixture
async def open_definitions(kube: KubeClient, control_plane: ControlPlane) -> AsyncIterator[list[Object]]:
    """The definitions without a word about fields; ours are back when the test ends."""
    yield [without_schema(one) for one in definitions()]
    await kube.clear()
    async with client(control_plane.admin, kube.namespace) as one:
        await one.apply(definitions())


def without_schema(definition: Object) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": OPEN, "status": OPEN}}}
    versions = [{**version, "schema": schema} for version in definition["spec"]["versions"]]
    return {**definition, "spec": {**definition["spec"], "versions": versions}}


def poisoned(kinds: Iterable[str], prefix: str) -> list[Object]:
    """One object for each field and value."""
    return [
        edge.edge_object(kind, f"{prefix}-{kind.lower()}-{field}-{place}", {**REQUIRED.get(kind, {}), name: value})
        for kind in kinds
        for field, name in enumerate(fields(kind))
        for place, value in enumerate(VALUES)
    ]


def module(names: Iterable[str], value: object) -> Object:
    """One Module with that in each of these fields."""
    return edge.edge_object(MODULE, "ambassador", {"config": dict.fromkeys(names, value)})


def name_of(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


class Poison:
    """Puts objects into the cluster and looks what the gateway makes of it."""

    def __init__(self, kube: KubeClient, gateway: ClusterGateway) -> None:
        self._kube = kube
        self._gateway = gateway
        self.outcomes: Counter[str] = Counter()
        self.missing: set[str] = set()
        """What the last look did not find."""

    async def create(self, items: list[Object]) -> set[str]:
        """Names of those that the API server took and the reader finds fault with."""
        gate = asyncio.Semaphore(AT_A_TIME)

        async def one(item: Object) -> str:
            async with gate:
                try:
                    made = await self._kube.create(item)
                except ApiError as error:
                    if error.status != REFUSED:
                        raise
                    self.outcomes["refused by the API server"] += 1
                    return ""
            bad = any(found.severity == "error" for found in read_object(made).diagnostics)
            self.outcomes["taken, with a fault" if bad else "taken, without one"] += 1
            return name_of(item) if bad else ""

        return {name for name in await asyncio.gather(*(one(item) for item in items)) if name}

    async def put(self, where: str, items: list[Object]) -> set[str]:
        """The same, and waits until the gateway has named them all."""
        self.outcomes.clear()
        began = time.monotonic()
        bad = await self.create(items)
        assert bad
        until(lambda: self.named(bad), f"all of {len(bad)} are named", 30.0)
        print(f"\n{where}: {dict(self.outcomes)}, all named {time.monotonic() - began:.1f} s after the first")
        return bad

    def named(self, expected: set[str]) -> bool:
        """Whether the diagnostics name them."""
        found = {f"{one['kind']} {one['name']}" for one in self._gateway.findings()}
        self.missing = expected - found
        return not self.missing

    def statuses(self) -> set[int]:
        """Of a sample of the good ones."""
        return {self._gateway.status(f"/good-{number}/") for number in range(0, GOOD, 97)}


async def test_a_thousand_good_ones_are_served_and_the_bad_ones_named(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path, open_definitions: list[Object]
) -> None:
    # The wildcard is there for want of a Host only: the first one, good or bad, takes its place.
    everybody = {"hostname": "*", "requestPolicy": {"insecure": {"action": "Route"}}}
    await kube.apply([echo_server(), service(), listener(), edge.edge_object("Host", "all", everybody)])
    await settled(kube, "quote")
    place = (control_plane, kube.namespace, tmp_path, edge.HTTP_PORT, edge.ADMIN_PORT)
    with ClusterGateway(*place, "--workers", "1") as gateway:
        poison = Poison(kube, gateway)
        workers = gateway.children()
        good = [mapping(f"good-{number}", f"/good-{number}/") for number in range(GOOD)]
        # The bad ones first, because statuses are written in the order of changes, and at a bounded rate.
        admitted = await poison.put("our definitions", poisoned(BESIDE, "a"))
        assert not await poison.create(good)
        until(lambda: gateway.status(f"/good-{GOOD - 1}/") == 200, "the good ones")
        assert poison.statuses() == {200}
        await kube.apply(open_definitions)
        await poison.put("definitions that check nothing", poisoned(BESIDE, "b"))
        assert poison.statuses() == {200}
        # What protects all routes and cannot be understood closes them, and opens them when it is gone.
        await poison.put("what protects others", poisoned(sorted(CLOSING), "c"))
        assert poison.statuses() <= {200, 500}
        for kind in CLOSING:
            path = (await kube.resource(edge.GROUP, kind)).path(kube.namespace)
            await kube.request("DELETE", path)
        until(lambda: poison.statuses() == {200}, "the good ones again")
        for value, (names, answer) in itertools.product(VALUES, ((set(fields(MODULE)) - GUARDS, 200), (GUARDS, 403))):
            (bad,) = await poison.create([module(names, value)])
            until(lambda bad=bad: poison.named({bad}), "the Module is named")  # type: ignore[misc]
            assert poison.statuses() == {answer}
            await kube.delete(edge.GROUP, MODULE, "ambassador")
            until(lambda bad=bad: not poison.named({bad}), "it is gone")  # type: ignore[misc]
            assert poison.statuses() == {200}
        wrong = next(name for name in admitted if name.startswith("Mapping ")).split(" ")[1]
        path = await kube.path(edge.GROUP, "Mapping", wrong)
        await kube.wait(path, lambda item: item.get("status", {}).get("state") == "Inactive", "told so", 60.0)
        assert gateway.children() == workers
        assert gateway.metric("sluice_worker_restarts_total") == 0
        assert gateway.metric("sluice_update_failures_total") == 0

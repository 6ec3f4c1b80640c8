"""Addresses that another gateway wrote into an Ingress stay, until an operator says which ones are right."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from gateway.base.keys import ObjectKey, kind_group
from gateway.kube import ResourcePath
from gateway.kube.lease import Clock
from gateway.status.queue import WriteLimits
from gateway.status.wanted import Address, IngressStatus
from gateway.status.writer import StatusWriter
from tests.support.fakeobjects import FakeObjects
from tests.support.virtualclock import VirtualClock

if TYPE_CHECKING:
    from tests.support.manifests import Object

KIND = kind_group("Ingress", "networking.k8s.io")
KEY = ObjectKey(KIND, "shop", "cart")
PATHS = {KIND: (ResourcePath("networking.k8s.io", "v1", "ingresses"),)}
PLACE = PATHS[KIND][0].item("shop", "cart")
EMISSARY, OURS, MOVED = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def ingress(manager: str = "", *addresses: str) -> Object:
    """An Ingress that shows addresses, as ``manager`` wrote them."""
    metadata: Object = {"name": "cart", "namespace": "shop"}
    listed = [{"ip": item} for item in addresses]
    if manager:
        fields: Object = {"f:status": {"f:loadBalancer": {"f:ingress": {}}}}
        metadata["managedFields"] = [
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:rules": {}}}},
            {"manager": manager, "operation": "Update", "subresource": "status", "fieldsV1": fields},
        ]
    return {"metadata": metadata, "status": {"loadBalancer": {"ingress": listed} if listed else {}}}


def wanted(*addresses: str) -> dict[ObjectKey, Any]:
    return {KEY: IngressStatus(tuple(Address(ip=item) for item in addresses))}


async def brought(raw: Object, *steps: dict[ObjectKey, Any], takes_over: bool = False) -> tuple[list[str], FakeObjects]:
    """What an Ingress shows after a leader wanted one thing after the other."""
    api, time = FakeObjects(), VirtualClock()
    api.put(PLACE, raw)
    results: Counter[str] = Counter()
    clock = Clock(time.now, time.utc, time.sleep, lambda: 0.5)
    writer = StatusWriter(api, PATHS, (), clock, WriteLimits(), lambda: True, results, takes_over=takes_over)
    await writer.compare(steps[0])
    work = asyncio.create_task(writer.run())
    await time.advance(5)
    for step in steps[1:]:
        writer.take(step)
        await time.advance(5)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    shown = api.status(PLACE).get("loadBalancer", {}).get("ingress", [])
    return [item["ip"] for item in shown], api


@pytest.mark.parametrize("manager", ["ambassador", "entrypoint", ""])
def test_addresses_of_another_gateway_stay(manager: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        shown, api = asyncio.run(brought(ingress(manager, EMISSARY), wanted(OURS), wanted(MOVED)))
    assert shown == [EMISSARY]
    assert api.count("patch") == 0
    (said,) = [one.getMessage() for one in caplog.records]
    assert EMISSARY in said
    assert (manager or "another program") in said
    assert "--publish-service" in said


def test_ours_are_not_added_to_those_of_another_gateway() -> None:
    """Its Service has the same label, so where it is in our namespace both are found."""
    shown, _ = asyncio.run(brought(ingress("ambassador", EMISSARY), wanted(EMISSARY, OURS)))
    assert shown == [EMISSARY]


def test_an_explicit_choice_replaces_them() -> None:
    shown, _ = asyncio.run(brought(ingress("ambassador", EMISSARY), wanted(OURS), takes_over=True))
    assert shown == [OURS]


def test_what_we_wrote_before_is_replaced_also_after_a_restart() -> None:
    shown, _ = asyncio.run(brought(ingress("sluice", OURS), wanted(MOVED)))
    assert shown == [MOVED]


def test_an_ingress_without_an_address_gets_ours() -> None:
    shown, _ = asyncio.run(brought(ingress(), wanted(OURS)))
    assert shown == [OURS]


def test_the_service_of_another_gateway_that_we_took_over_is_followed() -> None:
    shown, _ = asyncio.run(brought(ingress("ambassador", EMISSARY), wanted(EMISSARY), wanted(MOVED)))
    assert shown == [MOVED]

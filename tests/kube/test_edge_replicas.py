"""Replicas of the chart: one of them writes statuses, and replacing all of them under load costs no request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.charts import BUILD_SECONDS
from tests.support.kube import edge
from tests.support.kube.edge import PREFIX, echo_server, listener, mapping, restart, service, settled
from tests.support.kube.installation import Installation
from tests.support.kube.traffic import Traffic
from tests.support.length import seconds

if TYPE_CHECKING:
    from tests.support.kube.client import KubeClient, Object

pytestmark = [
    pytest.mark.native,
    pytest.mark.timeout(BUILD_SECONDS),
    pytest.mark.usefixtures("node", "installed"),
]


async def mapping_says(kube: KubeClient, state: str) -> Object:
    path = await kube.path(edge.GROUP, "Mapping", "told")

    def said(item: dict[str, Any]) -> bool:
        return bool(item.get("status", {}).get("state") == state)

    return await kube.wait(path, said, f"state {state}", 60.0)


async def test_of_three_one_leads_and_when_it_is_killed_another_one(kube: KubeClient) -> None:
    await kube.apply([echo_server(), service(), listener(), mapping(), mapping("told", "/told/")])
    await settled(kube, "quote")
    replicas = await Installation.make(kube, 3)
    await mapping_says(kube, "Running")
    first = await replicas.leader()
    with Traffic(replicas.target, PREFIX, rate=60, kinds=("new GET",)) as traffic:
        await traffic.more(20)
        # Without grace the kubelet kills at once: no lease is given up, no connection is ended well.
        await kube.delete("v1", "Pod", first, gracePeriodSeconds=0)
        killed = time.monotonic()
        await kube.apply([mapping("told", "/told/", service="a b")])
        await mapping_says(kube, "Inactive")
        second = await replicas.leader(first)
        took_over = time.monotonic() - killed
        await kube.apply([mapping("told", "/told/")])
        await mapping_says(kube, "Running")
        await settled(kube, "edge")
        await traffic.more(20)
        assert second in await replicas.pods()
        assert len(await replicas.pods()) == 3
    print(f"\nanother one wrote {took_over:.1f} s after the leader was killed: {traffic.tally}")
    # Who connects to a pod that is dead before its endpoint is gone finds nobody. Nothing else may happen.
    assert all("Connect" in one.what or "Timeout" in one.what for one in traffic.tally.failures), traffic.tally


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(1, id="once"), pytest.param(max(1, round(seconds(0.05))), marks=pytest.mark.slow, id="repeated")],
)
async def test_a_rolling_restart_at_500_requests_per_second(kube: KubeClient, rounds: int) -> None:
    await kube.apply([echo_server(replicas=2), service(), listener(), mapping()])
    await settled(kube, "quote")
    replicas = await Installation.make(kube, 2)
    before = await replicas.pods()
    with Traffic(replicas.target, PREFIX, rate=550, clients=5) as traffic:
        await traffic.more(100)
        began = time.monotonic()
        for _ in range(rounds):
            await restart(kube, "edge")
            await settled(kube, "edge", 120.0)
        lasted = time.monotonic() - began
        await traffic.more(100)
    assert not before & await replicas.pods()
    sent = sum(traffic.tally.sent.values())
    print(f"\n{rounds} restarts of 2 replicas in {lasted:.0f} s: {traffic.tally}")
    assert traffic.tally.failures == []
    assert sent > 1000

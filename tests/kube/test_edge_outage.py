"""The API server goes away under load, and comes back without its history."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.kube import edge
from tests.support.kube.client import client
from tests.support.kube.edge import PREFIX, echo_server, listener, mapping, service, settled
from tests.support.kube.gateway import ClusterGateway, fresh_digest
from tests.support.kube.traffic import Target, Traffic
from tests.support.length import seconds
from tests.support.ports import LOOPBACK
from tests.support.waiting import eventually, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kube.client import KubeClient
    from tests.support.kube.controlplane import ControlPlane

pytestmark = [pytest.mark.native, pytest.mark.usefixtures("node", "installed")]
MAPPINGS = 20
UP = 'sluice_config_source_up{source="kubernetes"}'
SILENT = 'sluice_config_source_silent_seconds{source="kubernetes"}'
AGE = "sluice_config_age_seconds"
LONG = pytest.param(seconds(0.5), marks=[pytest.mark.slow, pytest.mark.timeout(180 + seconds(0.5))], id="long")
"""The minute that the gateway is measured by, where tests may take as long."""


def lists(gateway: ClusterGateway) -> int:
    """How often all Mappings were listed."""
    series = re.compile(r'^sluice_config_source_lists_total\{.*kind="Mapping".*\} (\S+)$', re.MULTILINE)
    (value,) = series.findall(gateway.page("/metrics")[1])
    return int(float(value))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("outage", [pytest.param(10.0, id="short"), LONG])
async def test_an_outage_costs_no_request_and_what_changed_is_taken_up(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path, outage: float
) -> None:
    await kube.apply([echo_server(replicas=2), service(), listener(), mapping()])
    await kube.apply([mapping(f"m{number}", f"/m{number}/") for number in range(MAPPINGS)])
    await settled(kube, "quote")
    place = (control_plane, kube.namespace, tmp_path, edge.HTTP_PORT, edge.ADMIN_PORT)
    with (
        ClusterGateway(*place, "--workers", "1") as gateway,
        Traffic(Target(LOOPBACK, edge.HTTP_PORT), PREFIX, rate=100) as traffic,
        contextlib.ExitStack() as server,
    ):
        await traffic.more(10)
        listed = lists(gateway)
        control_plane.kill_api_server()
        server.callback(control_plane.start_api_server)
        killed = time.monotonic()
        until(lambda: gateway.metric(UP) == 0, "the loss is noticed", 30.0)
        age, silent = gateway.metric(AGE), gateway.metric(SILENT)
        while time.monotonic() < killed + outage:
            assert gateway.page("/ready")[0] == 200
            await asyncio.sleep(0.5)
        assert gateway.metric(AGE) > age
        assert gateway.metric(SILENT) > silent
        server.close()
        back = time.monotonic()
        async with client(control_plane.admin, kube.namespace) as again:
            # Most of this happens before the gateway comes back from its back-off: it sees no event of it.
            await again.delete(edge.GROUP, "Mapping", "m3")
            await again.apply([mapping("m4", "/moved/"), mapping("new", "/new/")])
            control_plane.compact()
            until(lambda: gateway.status("/new/") == 200, "what was made since", 60.0)
            caught_up = time.monotonic() - back
            until(lambda: gateway.metric(UP) == 1, "contact again", 60.0)
            assert (gateway.status("/moved/"), gateway.status("/m3/"), gateway.status("/m4/")) == (200, 404, 404)
            assert lists(gateway) > listed
            # Whoever lists everything now has the same configuration, to the last field.
            fresh = await asyncio.to_thread(fresh_digest, control_plane, kube.namespace, edge.HTTP_PORT)
            await eventually(lambda: gateway.digest == fresh, f"the configuration of a new list, {fresh}", 30.0)
            await again.apply([mapping("newest", "/newest/")])
            until(lambda: gateway.status("/newest/") == 200, "the next event")
        await traffic.more(10)
    print(f"\naway for {back - killed:.0f} s, caught up {caught_up:.1f} s after the start: {traffic.tally}")
    assert traffic.tally.failures == []

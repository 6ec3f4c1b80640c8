"""The gateway with a cluster as its source; the API server is one that can be told to answer late."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway import Gateway
from gateway.settings import (
    AdminSettings,
    KubernetesSettings,
    ListenSettings,
    ReloadSettings,
    Settings,
    WorkerSettings,
)
from tests.support.kubeapi import ScriptedApi
from tests.support.kubesource import mapping
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.native
MAPPINGS = "/apis/getambassador.io/v3alpha1/mappings"
LISTENER = {
    "apiVersion": "getambassador.io/v3alpha1",
    "kind": "Listener",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "port": 8080,
        "protocol": "HTTP",
        "securityModel": "INSECURE",
        "hostBinding": {"namespace": {"from": "ALL"}},
    },
}


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi() as server:
        yield server


def gateway_of(api: ScriptedApi, folder: Path) -> Gateway:
    config = folder / "kubeconfig"
    named: dict[str, Any] = {
        "clusters": [{"name": "c", "cluster": {"server": api.url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "any"}}],
    }
    config.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", **named}))
    return Gateway(
        settings=Settings(
            kubernetes=KubernetesSettings(kubeconfig=str(config), state_dir=str(folder / "state")),
            listen=ListenSettings("127.0.0.1", 0, 0, ephemeral=True),
            admin=AdminSettings(port=0),
            workers=WorkerSettings(count=0),
            reload=ReloadSettings(quiet=0.05),
        )
    )


async def fetch(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(" ")[1]), answer


async def test_nothing_is_served_until_every_kind_is_listed(api: ScriptedApi, tmp_path: Path) -> None:
    api.put(LISTENER, mapping("a"))
    held = api.late[MAPPINGS] = asyncio.Event()
    gateway = gateway_of(api, tmp_path)
    await gateway.start()
    try:
        await eventually(lambda: gateway.facts().source.waiting == ("Mapping",), "everything else")
        status, page = await fetch(gateway.admin_port, "/ready")
        assert status == 503
        assert "waiting for the first configuration: Mapping not listed yet" in page
        assert (await fetch(gateway.admin_port, "/ambassador/v0/check_alive"))[0] == 200
        assert not gateway.ports
        held.set()
        async with asyncio.timeout(10):
            await gateway.until(lambda: gateway.facts().ready)
        assert (await fetch(gateway.admin_port, "/ready"))[0] == 200
        # The upstream does not exist, so the route that was listed late answers 503; without it the answer were 404.
        assert (await fetch(gateway.ports["default/web"], "/a/"))[0] == 503
    finally:
        await gateway.close()


async def test_a_server_that_is_away_leaves_the_gateway_ready_and_shows_in_the_metrics(
    api: ScriptedApi, tmp_path: Path
) -> None:
    api.put(LISTENER, mapping("a"))
    async with gateway_of(api, tmp_path) as gateway:
        _, page = await fetch(gateway.admin_port, "/metrics")
        assert 'sluice_config_source_up{source="kubernetes"} 1.0' in page
        assert 'sluice_config_source_lists_total{kind="Mapping",source="kubernetes"} 1.0' in page
        await eventually(lambda: (tmp_path / "state" / "kubernetes.json").exists(), "a copy on disk")
        await api.stop()
        await eventually(lambda: not gateway.facts().source.up, "the loss is noticed")
        _, page = await fetch(gateway.admin_port, "/metrics")
        assert 'sluice_config_source_up{source="kubernetes"} 0.0' in page
        assert (await fetch(gateway.admin_port, "/ready"))[0] == 200
        assert (await fetch(gateway.ports["default/web"], "/a/"))[0] == 503
    async with gateway_of(api, tmp_path) as gateway:
        assert gateway.facts().source.stale
        assert (await fetch(gateway.ports["default/web"], "/a/"))[0] == 503
        _, page = await fetch(gateway.admin_port, "/metrics")
        assert 'sluice_config_source_stale{source="kubernetes"} 1.0' in page
        await api.start()
        await eventually(lambda: gateway.facts().source.up and not gateway.facts().source.stale, "the server", 30.0)


async def test_changes_of_a_cluster_are_served(api: ScriptedApi, tmp_path: Path) -> None:
    api.put(LISTENER)
    async with gateway_of(api, tmp_path) as gateway:
        port = gateway.ports["default/web"]
        assert (await fetch(port, "/a/"))[0] == 404
        before = gateway.applied
        api.put(mapping("a"))
        async with asyncio.timeout(10):
            await gateway.until(lambda: gateway.applied > before)
        assert (await fetch(port, "/a/"))[0] == 503

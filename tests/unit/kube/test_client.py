"""Credentials of a client, and what it makes of odd answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gateway.kube import Access, ApiFailure, KubeClient, Unreachable
from gateway.kube.events import read_events
from tests.support.kubeapi import ScriptedApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATH = "/api/v1/services"


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi() as server:
        yield server


def write_config(path: Path, api: ScriptedApi, token: str) -> None:
    parts = {
        "clusters": [{"name": "c", "cluster": {"server": api.url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", **parts}))


async def test_credentials_are_read_again_when_the_server_refuses_them(api: ScriptedApi, tmp_path: Path) -> None:
    config = tmp_path / "config"
    write_config(config, api, "old")
    async with await KubeClient.connect(Access(str(config))) as client:
        await client.get(PATH)
        write_config(config, api, "new")
        await client.get(PATH)
        api.faults[PATH] = [(401, {}, "Unauthorized")]
        with pytest.raises(ApiFailure, match="Unauthorized"):
            await client.get(PATH)
        await client.get(PATH)
    assert [item.authorization for item in api.requests] == ["Bearer old"] * 3 + ["Bearer new"]


async def test_credentials_that_are_gone_leave_the_old_ones(api: ScriptedApi, tmp_path: Path) -> None:
    config = tmp_path / "config"
    write_config(config, api, "old")
    async with await KubeClient.connect(Access(str(config))) as client:
        config.unlink()
        api.faults[PATH] = [(401, {}, "Unauthorized")]
        with pytest.raises(ApiFailure, match="Unauthorized"):
            await client.get(PATH)
        assert (await client.get(PATH))["items"] == []


async def test_a_pod_without_a_service_account_is_told_so() -> None:
    with pytest.raises(Unreachable, match="the pod's service account"):
        await KubeClient.connect(Access(in_cluster=True))


async def test_a_server_that_is_not_there_is_unreachable(api: ScriptedApi, tmp_path: Path) -> None:
    write_config(tmp_path / "config", api, "any")
    await api.stop()
    async with await KubeClient.connect(Access(str(tmp_path / "config"))) as client:
        with pytest.raises(Unreachable, match=f"GET {PATH}"):
            await client.get(PATH)


def test_events_before_an_error_count() -> None:
    read = read_events(
        [
            b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"7"}}}',
            b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}',
            b'{"type":"ADDED","object":{"metadata":{"name":"b","resourceVersion":"8"}}}',
        ]
    )
    assert [one.object["metadata"]["name"] for one in read.events] == ["a"]
    assert (read.version, read.failure is not None and read.failure.expired) == ("7", True)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"null", b'{"type":"ADDED"}', b'{"type":"ADDED","object":null}'])
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(Unreachable, match="cannot be read"):
        read_events([line])

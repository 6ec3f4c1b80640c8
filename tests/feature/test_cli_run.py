"""What ``sluice run`` prints, and the gateway inside a program."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import uvloop

from gateway import Gateway
from tests.support import manifests
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.rawclient import ask, request
from tests.support.replies import plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.native
CLOSE = ("Connection", "close")


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend(plain(200, b"hello")) as running:
        yield running


def test_start_up_is_one_readable_block(tmp_path: Path, backend: Backend) -> None:
    ports = Ports()
    listener = manifests.listener("web", ports.http, security="INSECURE")
    with GatewayProcess(
        tmp_path, ports, [listener, manifests.mapping("all", "/", f"127.0.0.1:{backend.port}")]
    ) as gateway:
        until(lambda: "admin" in gateway.log(), "the block is printed")
        text = gateway.log()
    assert f"port {ports.http}" in text
    assert "1 routes" in text
    assert f"http://127.0.0.1:{ports.admin}/ready" in text
    assert "\x1b" not in text


def test_a_taken_admin_port_ends_with_a_message(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "gateway", "run", str(tmp_path), "--admin-address", address]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "sluice run:" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "factory", [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]
)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_gateway_inside_a_program(
    tmp_path: Path, backend: Backend, factory: Callable[[], asyncio.AbstractEventLoop], workers: int
) -> None:
    route = manifests.mapping("all", "/", f"127.0.0.1:{backend.port}")
    manifests.write(tmp_path, "main.yaml", manifests.listener("web", 8080, security="INSECURE"), route)

    async def embed() -> None:
        async with Gateway([str(tmp_path)], ephemeral=True, workers=workers, admin_port=0) as gateway:
            (port,) = gateway.ports.values()
            answer = await asyncio.to_thread(ask, port, request("GET", "/", CLOSE))
            assert (answer.status, answer.body) == (200, b"hello")
            before = gateway.facts().version
            manifests.write(tmp_path, "more.yaml", manifests.mapping("more", "/more/", "127.0.0.1:9"))
            async with asyncio.timeout(10):
                await gateway.until(lambda: gateway.applied > before)
            assert gateway.facts().ready
            page = await asyncio.to_thread(ask, gateway.admin_port, request("GET", "/metrics", CLOSE))
            assert b'code_class="2xx"' in page.body

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(embed())

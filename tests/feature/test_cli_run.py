"""What ``sluice run`` prints, and the gateway inside a program."""

from __future__ import annotations

import asyncio
import json
import os
import re
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
    assert re.search(r"objects +2: 1 virtual host, 1 route, 1 cluster\n", text)
    assert "0 errors, 0 warnings, 0 notices" in text
    assert f"http://127.0.0.1:{ports.admin}/ready" in text
    assert "\x1b" not in text


def test_standard_output_is_the_access_log_alone(tmp_path: Path, backend: Backend) -> None:
    ports = Ports()
    folder = tmp_path / "manifests"
    folder.mkdir()
    listener = manifests.listener("web", ports.http, security="INSECURE")
    manifests.write(folder, "main.yaml", listener, manifests.mapping("all", "/", f"127.0.0.1:{backend.port}"))
    command = [sys.executable, "-m", "gateway", "run", str(folder), "--workers", "1", "--access-log", "json"]
    command += ["--bind-address", "127.0.0.1", "--admin-address", f"127.0.0.1:{ports.admin}"]
    out, err = tmp_path / "out", folder / "err.log"
    with out.open("wb") as output, err.open("wb") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
    try:
        until(lambda: "admin" in err.read_text(), "the block is printed", deadline=30.0)
        assert ask(ports.http, request("GET", "/", CLOSE)).status == 200
        until(lambda: out.read_text().endswith("\n"), "the request is logged")
    finally:
        process.terminate()
        process.wait(30)
    (line,) = out.read_text().splitlines()
    assert json.loads(line)["response_flags"] == "-"
    assert "detected" not in err.read_text(), "the log lies in the watched folder"


def test_each_configuration_and_each_end_of_a_finding_is_one_line(tmp_path: Path, backend: Backend) -> None:
    ports = Ports()
    listener = manifests.listener("web", ports.http, security="INSECURE")
    route = manifests.mapping("all", "/", f"127.0.0.1:{backend.port}")
    with GatewayProcess(tmp_path, ports, [listener, route], workers=2) as gateway:

        def lines(text: str) -> list[str]:
            found = [line for line in gateway.log().splitlines() if text in line]
            return [line.partition("ms: ")[2] or line for line in found]

        first = "objects 2 added; listeners 1 added; virtual hosts 1 added; routes 1 added; clusters 1 added"
        until(lambda: lines("configuration 1 ("), "the first configuration is told")
        assert lines("configuration 1 (") == [first]
        wrong = manifests.mapping("wrong", "/a(", "127.0.0.1:9", prefix_regex=True)
        gateway.configure(manifests.mapping("more", "/more", "127.0.0.1:9", surprise=1), wrong, file="more.yaml")
        until(lambda: lines("configuration 2 ("), "the second configuration is told")
        assert lines("configuration 2 (") == [
            "objects 2 added; virtual hosts 1 changed; routes 2 added; clusters 1 added; findings 2 new"
        ]
        until(lambda: lines("[compile]"), "what cannot be compiled is told")
        (told,) = lines("[compile]")
        text = (gateway.folder / "more.yaml").read_text()
        line = text[: text.index("---\n", text.index("more"))].count("\n") + 2
        assert f"{gateway.folder}/more.yaml:{line}: error: Mapping default/wrong: spec.prefix: regex" in told
        page = json.loads(gateway.admin_page("/ambassador/v0/diag/").body)
        (shown,) = [one for one in page["diagnostics"] if one["code"] == "compile"]
        assert (shown["name"], shown["field"], shown["line"]) == ("wrong", "spec.prefix", line)
        gateway.configure(file="more.yaml")
        (gateway.folder / "more.yaml").unlink()
        until(lambda: lines("configuration 3 ("), "the third configuration is told")
        assert lines("configuration 3 (") == [
            "objects 2 removed; virtual hosts 1 changed; routes 2 removed; clusters 1 removed; findings 2 gone"
        ]
        assert len(lines("no longer: ")) == 2


def test_a_folder_that_is_swapped_is_served_throughout(tmp_path: Path, backend: Backend) -> None:
    ports = Ports()
    listener = manifests.listener("web", ports.http, security="INSECURE")
    route = manifests.mapping("all", "/", f"127.0.0.1:{backend.port}")
    with GatewayProcess(tmp_path, ports, [listener, route]) as gateway:
        os.rename(gateway.folder, tmp_path / "old")
        until(lambda: "path-missing" in gateway.log(), "the missing folder is told")
        assert ask(ports.http, request("GET", "/", CLOSE)).status == 200
        page = json.loads(gateway.admin_page("/ambassador/v0/diag/").body)
        (found,) = page["diagnostics"]
        assert (found["severity"], found["code"]) == ("error", "path-missing")
        assert "last good objects stay in use" in found["message"]
        os.rename(tmp_path / "old", gateway.folder)
        until(lambda: "no longer: " in gateway.log(), "the folder is back")
        gateway.configure(manifests.mapping("more", "/more", "127.0.0.1:9"), file="more.yaml")
        until(lambda: "configuration 2 " in gateway.log(), "the folder is watched again")


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

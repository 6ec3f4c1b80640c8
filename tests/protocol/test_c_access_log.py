"""One line per request whatever the client sent (behaviour row 38)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.site import Edge, site
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.rawclient import RawClient, ask, request
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backend import Backend

FORMAT = {
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "agent": "%REQ(USER-AGENT)%",
    "status": "%RESPONSE_CODE%",
    "marker": "%REQ(X-MARKER)%",
}


@pytest.fixture(scope="module")
def shared(upstream: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    ports = Ports()
    objects = site(ports, upstream.port, envoy_log_type="json", envoy_log_format=FORMAT)
    with GatewayProcess(tmp_path_factory.mktemp("log"), ports, objects) as gateway:
        yield Edge(gateway, upstream)


def lines(edge: Edge, marker: str) -> list[dict[str, Any]]:
    """Log lines that belong to a request with this marker, and nothing that is not a line of its own."""
    found: list[dict[str, Any]] = []
    for line in edge.gateway.log().splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry.get("marker") == marker:
                found.append(entry)
    return found


@pytest.mark.parametrize(
    ("name", "agent"),
    [
        pytest.param("plain", "curl/8", id="plain"),
        pytest.param("quotes", 'a" } {"status": "999', id="quotes"),
        pytest.param("backslash", "a\\", id="backslash"),
        pytest.param("escape", "\\n\\u0000\\x0a", id="literal-escapes"),
        pytest.param("tab", "a\tb", id="tab"),
        pytest.param("latin", "\xe4\x85\xa0", id="latin-1"),
        pytest.param("html", "<script>", id="html"),
        pytest.param("percent", "%REQ(AUTHORIZATION)%", id="format-operator"),
        pytest.param("long", "x" * 50_000, id="long"),
        pytest.param("empty", "", id="empty"),
    ],
)
def test_one_line_per_request(shared: Edge, name: str, agent: str) -> None:
    assert ask(shared.port, request("GET", "/x?q", ("X-Marker", name), ("User-Agent", agent))).status == 200
    (entry,) = until(lambda: lines(shared, name), f"the line of {name}")
    assert (entry["method"], entry["path"], int(entry["status"])) == ("GET", "/x?q", 200)
    assert len(json.dumps(entry)) < 70_000
    if agent and len(agent) < 100 and agent.isascii():
        assert entry["agent"] == agent


def test_refused_requests_forge_no_line(shared: Edge) -> None:
    before = len(shared.gateway.log().splitlines())
    forged = b'GET /x HTTP/1.1\r\nHost: site.example\r\nUser-Agent: a\n{"marker":"forged"}\r\n\r\n'
    with RawClient(shared.port) as client:
        assert client.ask(forged).status == 400
    assert ask(shared.port, request("GET", "/", ("X-Marker", "after"))).status == 200
    until(lambda: lines(shared, "after"), "the line behind it")
    assert lines(shared, "forged") == []
    assert len(shared.gateway.log().splitlines()) - before <= 2


def test_the_log_shows_the_forwarded_path(shared: Edge) -> None:
    assert ask(shared.port, request("GET", "/a/%2e%2e/adm%69n", ("X-Marker", "path"))).status == 200
    (entry,) = until(lambda: lines(shared, "path"), "the line")
    assert entry["path"] == shared.backend.requests[-1].head.target == "/admin"


def test_pipelined_requests_have_their_own_lines(shared: Edge) -> None:
    with RawClient(shared.port) as client:
        client.send(b"".join(request("GET", f"/{n}", ("X-Marker", "pipelined")) for n in range(10)))
        for _ in range(10):
            assert client.response().status == 200
    until(lambda: len(lines(shared, "pipelined")) >= 10, "ten lines")
    assert [entry["path"] for entry in lines(shared, "pipelined")] == [f"/{n}" for n in range(10)]

"""Limits on what a client may send and on how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import assert_only_new_requests_arrive, probe, refused
from tests.support.rawclient import RawClient, ask, request
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.backend import Exchange


def too_large(edge: Edge, data: bytes, status: int) -> None:
    """The answer arrives although the client is still sending; then the connection ends."""
    with RawClient(edge.port) as client:
        response = client.offer(data).response()
        assert response.status == status
        assert client.ended()
    assert_only_new_requests_arrive(edge)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("X-Big", "a" * 62_000)], id="one-large-field"),
        pytest.param([(f"X-{number}", "a" * 6500) for number in range(10)], id="ten-fields"),
        pytest.param([("X-" + "a" * 62_000, "1")], id="large-name"),
        pytest.param([("X-Big", "a" * 2_000_000)], id="two-megabytes"),
    ],
)
def test_header_bytes(edge: Edge, fields: list[tuple[str, str]]) -> None:
    too_large(edge, request("GET", "/bad", *fields), 431)


def test_header_count(edge: Edge) -> None:
    too_large(edge, request("GET", "/bad", *((f"X-{number}", "a") for number in range(101))), 431)


def test_header_bytes_without_an_end(edge: Edge) -> None:
    too_large(edge, b"GET /bad HTTP/1.1\r\nHost: site.example\r\nX: " + b"a" * 100_000, 431)


@pytest.mark.parametrize("size", [17_000, 50_000, 1_000_000])
def test_target_length(edge: Edge, size: int) -> None:
    too_large(edge, request("GET", "/" + "a" * size), 414)


def test_target_without_an_end(edge: Edge) -> None:
    too_large(edge, b"GET /" + b"a" * 100_000, 414)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request("GET", "/" + "a" * 16_000), id="target"),
        pytest.param(request("GET", "/", ("X-Big", "a" * 50_000)), id="field"),
        pytest.param(request("GET", "/", *((f"X-{n}", "a") for n in range(90))), id="count"),
    ],
)
def test_what_is_within_the_limits(edge: Edge, data: bytes) -> None:
    assert ask(edge.port, data).status == 200


def test_a_large_answer_head(edge: Edge) -> None:
    """Responses may have large heads too (cookies)."""

    def many_cookies(exchange: Exchange) -> None:
        exchange.read_body()
        lines = b"".join(b"Set-Cookie: c%d=%s\r\n" % (number, b"x" * 500) for number in range(40))
        exchange.send(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")

    edge.backend.on("/cookies", many_cookies)
    assert len(ask(edge.port, request("GET", "/cookies")).fields.all("set-cookie")) == 40


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: site.example\r\n", id="unfinished-head"),
    ],
)
def test_a_head_that_does_not_come(edge: Edge, data: bytes) -> None:
    """The connection ends; a client that started a request is told why."""
    with RawClient(edge.port, timeout=50) as client:
        client.send(data)
        rest = client.rest()
    assert rest.startswith(b"HTTP/1.1 408 ") if data else rest == b"" or rest.startswith(b"HTTP/1.1 408 ")
    probe(edge)


@pytest.mark.slow
def test_a_head_that_trickles(edge: Edge) -> None:
    """The limit is on the whole head: a byte now and then does not extend it."""
    with RawClient(edge.port, timeout=50) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: site.example\r\n")
        client.sock.settimeout(1.0)
        sent = 0
        while not client.stream.pending:
            client.send(b"X: a\r\n")
            sent += 1
            assert sent < 50, "not limited"
            try:
                client.stream.has_more()
            except TimeoutError:
                continue
        assert client.stream.line().startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_a_body_that_does_not_come(edge: Edge) -> None:
    with RawClient(edge.port, timeout=55) as client:
        response = client.ask(request("POST", "/patient", ("Content-Length", "10")) + b"hello", "POST")
        assert response.status == 408
        assert client.ended()
    until(lambda: all(connection.closed for connection in edge.backend.connections), "the upstream to be released")
    assert edge.backend.requests == []


def test_refusals_have_a_body_for_people(edge: Edge) -> None:
    response = refused(edge, request("GET", "/%00"), 400)
    assert response.fields.one("content-type").startswith("text/plain")
    assert response.fields.one("server") == "sluice"
    assert b"%00" not in response.body

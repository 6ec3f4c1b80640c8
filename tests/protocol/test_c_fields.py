"""Which header and trailer fields cross the gateway (behaviour rows 33 to 35, 37, 39 and 40)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import refused
from tests.protocol.site import ABSENT
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, chunked, request
from tests.support.replies import plain, raw

if TYPE_CHECKING:
    from tests.protocol.site import Edge

SECRET = "from-the-client"


def test_nominated_fields_are_dropped(edge: Edge) -> None:
    fields = (("Connection", "X-Custom, x-other"), ("X-Custom", SECRET), ("X-Other", SECRET), ("X-Kept", SECRET))
    assert ask(edge.port, request("GET", "/", *fields)).status == 200
    arrived = edge.backend.heads()[-1].fields
    assert "x-custom" not in arrived
    assert "x-other" not in arrived
    assert arrived.one("x-kept") == SECRET


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "X-Auth-User", "Host"])
def test_what_the_gateway_says_cannot_be_nominated_away(edge: Edge, name: str) -> None:
    """Nominated fields go before the gateway adds its own (the route adds X-Auth-User)."""
    response = ask(edge.port, request("GET", "/edited", ("Connection", name), ("X-Auth-User", SECRET)))
    assert response.status in (200, 400)
    for head in edge.backend.heads():
        assert head.fields.get(name)
        assert "gateway" in head.fields.all("x-auth-user")


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Connection", "close", "Host", "Content-Type"])
def test_framing_cannot_be_nominated_away(edge: Edge, name: str) -> None:
    data = request(
        "POST", "/", ("Connection", name), ("Content-Type", "text/plain"), body=b"GET /smuggled HTTP/1.1\r\n\r\n"
    )
    response = ask(edge.port, data, "POST")
    assert response.status in (200, 400)
    for recorded in edge.backend.requests:
        assert recorded.body == b"GET /smuggled HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("Keep-Alive", "timeout=5", id="keep-alive"),
        pytest.param("Proxy-Connection", "keep-alive", id="proxy-connection"),
        pytest.param("Proxy-Authorization", "Basic x", id="proxy-authorization"),
        pytest.param("Proxy-Authenticate", "Basic", id="proxy-authenticate"),
        pytest.param("TE", "gzip", id="te"),
        pytest.param("TE", "gzip, deflate;q=0.5", id="te-list"),
        pytest.param("Upgrade", "foo", id="upgrade"),
        pytest.param("Trailer", "X-Sum", id="trailer"),
        pytest.param("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA", id="http2-settings"),
    ],
)
def test_hop_by_hop_request_fields_stop_here(edge: Edge, name: str, value: str) -> None:
    assert ask(edge.port, request("GET", "/", (name, value))).status == 200
    assert value not in edge.backend.heads()[-1].fields.all(name)


@pytest.mark.parametrize("value", ["close", "keep-alive", "Keep-Alive, X-A"])
def test_connection_belongs_to_one_hop(edge: Edge, value: str) -> None:
    assert ask(edge.port, request("GET", "/", ("Connection", value))).status == 200
    arrived = edge.backend.heads()[-1].fields
    assert "x-a" not in (arrived.get("connection") or "").lower()
    assert "close" not in (arrived.get("connection") or "").lower()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("Keep-Alive", "timeout=99", id="keep-alive"),
        pytest.param("Proxy-Connection", "close", id="proxy-connection"),
        pytest.param("X-Hop", SECRET, id="nominated"),
        pytest.param("Upgrade", "h2c", id="upgrade"),
    ],
)
def test_hop_by_hop_response_fields_stop_here(edge: Edge, name: str, value: str) -> None:
    edge.backend.on("/hop", plain(200, b"ok", ("Connection", "X-Hop"), (name, value), ("X-Kept", "1")))
    response = ask(edge.port, request("GET", "/hop"))
    assert value not in response.fields.all(name)
    assert response.fields.one("x-kept") == "1"


@pytest.mark.parametrize("name", ["X_Auth_User", "x_forwarded_for", "Content_Length", "_", "A_"])
def test_underscores_are_refused(edge: Edge, name: str) -> None:
    refused(edge, request("GET", "/", (name, "x")), 400)


def test_underscores_can_be_allowed(relaxed_edge: Edge) -> None:
    assert ask(relaxed_edge.port, request("GET", "/", ("X_Auth_User", SECRET))).status == 200
    assert relaxed_edge.backend.heads()[-1].fields.one("x_auth_user") == SECRET


def test_routes_edit_headers(edge: Edge) -> None:
    assert ask(edge.port, request("GET", "/edited", ("X-Gone", SECRET))).status == 200
    arrived = edge.backend.heads()[-1].fields
    assert arrived.one("x-auth-user") == "gateway"
    assert "x-gone" not in arrived


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "X-Forwarded-For", "Cookie", "TE", "X_Sum"],
)
def test_request_trailers_cannot_become_headers(edge: Edge, name: str) -> None:
    data = request("POST", "/", ("Transfer-Encoding", "chunked")) + chunked(b"hello", trailers=[(name, SECRET)])
    response = ask(edge.port, data, "POST")
    assert response.status in (200, 400)
    for recorded in edge.backend.requests:
        assert SECRET not in recorded.head.fields.all(name)
        assert name.lower() not in {key.lower() for key, _ in recorded.trailers.items}


def test_a_trailer_cannot_repeat_a_header_of_the_gateway(edge: Edge) -> None:
    """The route sets X-Auth-User: an upstream that merges trailers into headers must not find another one."""
    data = request("POST", "/edited", ("Transfer-Encoding", "chunked")) + chunked(
        b"x", trailers=[("X-Auth-User", SECRET)]
    )
    assert ask(edge.port, data, "POST").status in (200, 400)
    for recorded in edge.backend.requests:
        assert recorded.head.fields.all("x-auth-user") == ["gateway"]
        assert "X-Auth-User" not in recorded.trailers


def test_harmless_request_trailers_arrive_or_are_dropped(edge: Edge) -> None:
    data = request("POST", "/", ("Trailer", "X-Sum"), ("Transfer-Encoding", "chunked"))
    with RawClient(edge.port) as client:
        assert client.ask(data + chunked(b"hello", trailers=[("X-Sum", "1")]), "POST").status == 200
        assert client.ask(request("GET", "/next")).status == 200
    recorded = edge.backend.requests[0]
    assert recorded.body == b"hello"
    assert recorded.trailers.items in ((), (("X-Sum", "1"),))
    assert "x-sum" not in recorded.head.fields


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Set-Cookie", "X-Sum"])
def test_response_trailers(edge: Edge, name: str) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + name.encode() + b": 1\r\n\r\n"
    )
    edge.backend.on("/trailers", raw(answer))
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/trailers", ("TE", "trailers")))
        assert response.status in (200, 502)
        assert client.ask(request("GET", "/next")).status == 200
    if response.status == 200:
        assert response.body == b"hello"
        assert response.fields.all(name) in ([], ["chunked"])
        assert name == "X-Sum" or response.trailers.items == ()


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"PROXY TCP4 9.9.9.1 127.0.0.1 4711 80\r\n", id="v1"),
        pytest.param(b"PROXY UNKNOWN\r\n", id="v1-unknown"),
        pytest.param(
            b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([9, 9, 9, 1, 127, 0, 0, 1, 18, 103, 0, 80]), id="v2"
        ),
    ],
)
def test_proxy_protocol_is_off_unless_asked_for(edge: Edge, line: bytes) -> None:
    refused(edge, line + request("GET", "/bad"), 400, 505)


def test_expect_continue(edge: Edge) -> None:
    """The body is asked for, then answered; the upstream gets it once."""
    data = request("POST", "/", ("Expect", "100-continue"), ("Content-Length", "5"))
    with RawClient(edge.port) as client:
        client.send(data)
        assert client.stream.line() == b"HTTP/1.1 100 Continue"
        while client.stream.line():
            pass
        response = client.ask(b"hello", "POST")
        assert (response.status, response.json()["body"]) == (200, "hello")
        assert client.ask(request("GET", "/next")).status == 200


def test_expect_without_waiting(edge: Edge) -> None:
    data = request("POST", "/", ("Expect", "100-continue"), body=b"hello")
    with RawClient(edge.port) as client:
        response = client.ask(data + request("GET", "/next"), "POST")
        assert (response.status, response.json()["body"]) == (200, "hello")
        assert client.response().json()["target"] == "/next"


def test_expect_is_not_answered_with_continue_when_refused(edge: Edge) -> None:
    """The answer is known before the body: no 100, and the connection is not left half read."""
    with RawClient(edge.port) as client:
        response = client.ask(
            request("POST", "/", ("Expect", "100-continue"), ("Content-Length", "5"), host=ABSENT), "POST"
        )
        assert (response.status, response.interim) == (404, ())
        assert response.announces_close
        assert client.ended()


@pytest.mark.parametrize("value", ["100-continue, x", "x", "200-ok"])
def test_unknown_expectations(edge: Edge, value: str) -> None:
    """417 is allowed, not required (RFC 9110, 10.1.1); without it the request is served as any other."""
    with RawClient(edge.port) as client:
        response = client.ask(request("POST", "/", ("Expect", value), body=b"hello"), "POST")
        assert response.status in (200, 417)
        assert [recorded.body for recorded in edge.backend.requests] in ([], [b"hello"])
        if not response.announces_close:
            assert client.ask(request("GET", "/next")).status == 200


def test_the_peer_is_the_peer(edge: Edge) -> None:
    assert ask(edge.port, request()).status == 200
    assert edge.backend.heads()[-1].fields.one("x-forwarded-for") == LOOPBACK

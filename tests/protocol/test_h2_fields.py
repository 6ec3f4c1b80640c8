"""Which fields cross the gateway from HTTP/2 (behaviour rows 31 to 37), and how large a head may be (row 41)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.protocol.h2_oracle import assert_refusal, refused_h2
from tests.protocol.oracle import assert_only_new_requests_arrive
from tests.support.h2client import H2Client, h2_ask, pseudo
from tests.support.messages import Response
from tests.support.ports import LOOPBACK
from tests.support.rawclient import HOST
from tests.support.replies import plain, raw

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.wire import Fields

SECRET = "from-the-client"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def seen(edge: Edge, *fields: tuple[str, str], hops: int = 0, target: str = "/") -> Fields:
    """The fields that arrive upstream."""
    assert h2_ask(edge.port_with_hops(hops), "GET", target, *fields).status == 200
    return edge.backend.heads()[-1].fields


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("x-forwarded-proto", "https", id="proto"),
        pytest.param("x-forwarded-host", "evil.example", id="host"),
        pytest.param("x-forwarded-port", "1", id="port"),
        pytest.param("x-forwarded-prefix", "/evil", id="prefix"),
        pytest.param("x-forwarded-client-cert", "Hash=evil", id="client-cert"),
        pytest.param("forwarded", "for=1.2.3.4", id="forwarded"),
        pytest.param("x-real-ip", "1.2.3.4", id="real-ip"),
        pytest.param("x-envoy-external-address", "1.2.3.4", id="external-address"),
        pytest.param("x-envoy-internal", "true", id="internal"),
        pytest.param("x-envoy-original-path", "/evil", id="original-path"),
        pytest.param("x-envoy-retry-on", "5xx", id="retry-on"),
        pytest.param("x-request-id", "evil", id="request-id"),
    ],
)
def test_strangers_cannot_describe_themselves(edge: Edge, name: str, value: str) -> None:
    for fields in (((name, value),), ((name, value), (name, value))):
        arrived = seen(edge, ("x-forwarded-for", "8.8.8.8"), *fields)
        assert value not in arrived.all(name), arrived


def test_what_the_gateway_says_instead(edge: Edge) -> None:
    arrived = seen(edge, ("x-forwarded-for", "8.8.8.8"), ("x-request-id", "evil"))
    assert arrived.one("x-forwarded-for").split(",")[-1].strip() == LOOPBACK
    assert arrived.one("x-forwarded-proto") == "http"
    assert arrived.one("x-envoy-external-address") == LOOPBACK
    assert UUID.fullmatch(arrived.one("x-request-id"))
    assert arrived.one("host") == HOST


@pytest.mark.parametrize(("hops", "address"), [(1, "9.9.9.9"), (2, "8.8.8.8")])
def test_trusted_hops(edge: Edge, hops: int, address: str) -> None:
    arrived = seen(edge, ("x-forwarded-for", "7.7.7.7, 8.8.8.8"), ("x-forwarded-for", "9.9.9.9"), hops=hops)
    assert arrived.one("x-envoy-external-address") == address
    assert [part.strip() for part in arrived.one("x-forwarded-for").split(",")][:3] == ["7.7.7.7", "8.8.8.8", "9.9.9.9"]


def test_the_scheme_of_a_client_is_not_believed(edge: Edge) -> None:
    with H2Client(edge.port) as client:
        for scheme in ("https", "ftp"):
            outcome = client.outcome(client.start(pseudo(scheme=scheme)))
            assert not isinstance(outcome, Response) or outcome.status in (200, 400)
    assert {head.fields.one("x-forwarded-proto") for head in edge.backend.heads()} <= {"http"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("proxy-authorization", "Basic x", id="proxy-authorization"),
        pytest.param("proxy-authenticate", "Basic", id="proxy-authenticate"),
        pytest.param("trailer", "X-Sum", id="trailer"),
        pytest.param("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA", id="http2-settings"),
    ],
)
def test_hop_by_hop_request_fields_stop_here(edge: Edge, name: str, value: str) -> None:
    with H2Client(edge.port) as client:
        outcome = client.ask("GET", "/", (name, value))
    if not isinstance(outcome, Response):
        assert_refusal(outcome, ())
    for head in edge.backend.heads():
        assert value not in head.fields.all(name)


def test_te_is_for_trailers(edge: Edge) -> None:
    assert seen(edge, ("te", "trailers")).one("te") == "trailers"
    assert "te" not in seen(edge)


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
    response = h2_ask(edge.port, "GET", "/hop")
    assert not {"connection", "transfer-encoding", name.lower()} & {key for key, _ in response.fields.items}
    assert response.fields.one("x-kept") == "1"


@pytest.mark.parametrize("name", [b"x_auth_user", b"x_forwarded_for", b"content_length", b"_", b"a_"])
def test_underscores_are_refused(edge: Edge, name: bytes) -> None:
    refused_h2(edge, [*pseudo(), (name, b"x")])


def test_underscores_can_be_allowed(relaxed_edge: Edge) -> None:
    assert seen(relaxed_edge, ("x_auth_user", SECRET)).one("x_auth_user") == SECRET


def test_routes_edit_headers(edge: Edge) -> None:
    """What the gateway sets replaces or follows what a client claims; what it removes is gone."""
    arrived = seen(edge, ("x-gone", SECRET), target="/edited")
    assert arrived.one("x-auth-user") == "gateway"
    assert "x-gone" not in arrived


@pytest.mark.parametrize(
    "name", ["host", "content-length", "transfer-encoding", "authorization", "x-forwarded-for", "cookie", "te", "x_sum"]
)
def test_request_trailers_cannot_become_headers(edge: Edge, name: str) -> None:
    with H2Client(edge.port) as client:
        outcome = client.ask("POST", "/", body=b"hello", trailers=[(name, SECRET)])
    if not isinstance(outcome, Response):
        assert_refusal(outcome, ())
    for recorded in edge.backend.requests:
        assert SECRET not in recorded.head.fields.all(name)
        assert name not in recorded.trailers


def test_trailers_pass_both_ways(edge: Edge) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\nContent-Type: a/b\r\n\r\n"
    )
    edge.backend.on("/trailers", raw(answer))
    with H2Client(edge.port) as client:
        response = client.ask("POST", "/trailers", body=b"hello", trailers=[("x-sum", "43")])
    assert isinstance(response, Response)
    assert (response.body, response.trailers.get("x-sum"), response.trailers.get("content-type")) == (b"ok", "42", None)
    assert edge.backend.requests[-1].trailers.one("x-sum") == "43"


def too_large(edge: Edge, status: int, *fields: tuple[str, str], target: str = "/bad") -> None:
    """Answered, broken off, or the connection ended: nothing arrives, the next connection is served."""
    with H2Client(edge.port) as client:
        outcome = client.ask("GET", target, *fields)
    if isinstance(outcome, Response):
        assert outcome.status == status
    assert_only_new_requests_arrive(edge)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("x-big", "a" * 62_000)], id="one-large-field"),
        pytest.param([(f"x-{number}", "a" * 6500) for number in range(10)], id="ten-fields"),
        pytest.param([("x-" + "a" * 62_000, "1")], id="large-name"),
        pytest.param([("x-big", "a" * 150_000)], id="beyond-all-limits"),
        pytest.param([(f"x-{number}", "a") for number in range(101)], id="many-fields"),
        pytest.param([("cookie", "a=1")] * 40_000, id="many-crumbs"),
    ],
)
def test_large_heads(edge: Edge, fields: list[tuple[str, str]]) -> None:
    too_large(edge, 431, *fields)


@pytest.mark.parametrize("size", [17_000, 50_000, 60_000])
def test_large_targets(edge: Edge, size: int) -> None:
    too_large(edge, 414, target="/" + "a" * size)


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        pytest.param("/" + "a" * 16_000, [], id="target"),
        pytest.param("/", [("x-big", "a" * 50_000)], id="field"),
        pytest.param("/", [(f"x-{n}", "a") for n in range(90)], id="count"),
    ],
)
def test_what_is_within_the_limits(edge: Edge, target: str, fields: list[tuple[str, str]]) -> None:
    assert h2_ask(edge.port, "GET", target, *fields).status == 200

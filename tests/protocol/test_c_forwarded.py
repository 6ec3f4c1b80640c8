"""Who the client is: forwarding headers with 0, 1 and 2 trusted hops (behaviour rows 31 and 32)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, request

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.wire import Fields

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
XFF = "X-Forwarded-For"


def seen(edge: Edge, *fields: tuple[str, str], hops: int = 0, target: str = "/") -> Fields:
    """The fields that arrive upstream."""
    assert ask(edge.port_with_hops(hops), request("GET", target, *fields)).status == 200
    return edge.backend.heads()[-1].fields


def addresses(fields: Fields) -> list[str]:
    return [element.strip() for line in fields.all(XFF) for element in line.split(",")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("X-Forwarded-Proto", "https", id="proto"),
        pytest.param("X-Forwarded-Host", "evil.example", id="host"),
        pytest.param("X-Forwarded-Port", "1", id="port"),
        pytest.param("X-Forwarded-Prefix", "/evil", id="prefix"),
        pytest.param("X-Forwarded-Client-Cert", "Hash=evil", id="client-cert"),
        pytest.param("Forwarded", "for=1.2.3.4", id="forwarded"),
        pytest.param("X-Real-IP", "1.2.3.4", id="real-ip"),
        pytest.param("X-Envoy-External-Address", "1.2.3.4", id="external-address"),
        pytest.param("X-Envoy-Internal", "true", id="internal"),
        pytest.param("X-Envoy-Original-Path", "/evil", id="original-path"),
        pytest.param("X-Envoy-Expected-Rq-Timeout-Ms", "1", id="timeout"),
        pytest.param("X-Envoy-Upstream-Rq-Timeout-Ms", "1", id="upstream-timeout"),
        pytest.param("X-Envoy-Retry-On", "5xx", id="retry-on"),
        pytest.param("X-Envoy-Decorator-Operation", "evil", id="decorator"),
        pytest.param("X-Request-Id", "evil", id="request-id"),
    ],
)
def test_strangers_cannot_describe_themselves(edge: Edge, name: str, value: str) -> None:
    """Spelled as sent, in lower case, twice: the client's own value never arrives."""
    for fields in (((name, value),), ((name.lower(), value),), ((name, value), (name.upper(), value))):
        arrived = seen(edge, (XFF, "8.8.8.8"), *fields)
        assert value not in arrived.all(name), arrived


def test_what_the_gateway_says_instead(edge: Edge) -> None:
    fields = seen(edge, (XFF, "8.8.8.8"), ("X-Request-Id", "evil"))
    assert addresses(fields)[-1] == LOOPBACK
    assert fields.one("x-forwarded-proto") == "http"
    assert fields.one("x-envoy-external-address") == LOOPBACK
    assert UUID.fullmatch(fields.one("x-request-id"))


def test_a_request_without_claims(edge: Edge) -> None:
    fields = seen(edge)
    assert addresses(fields) == [LOOPBACK]
    assert fields.one("x-forwarded-proto") == "http"
    assert UUID.fullmatch(fields.one("x-request-id"))
    assert fields.one("host") == "site.example"


def test_request_ids_differ(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        for _ in range(50):
            client.ask(request())
    ids = {head.fields.one("x-request-id") for head in edge.backend.heads()}
    assert len(ids) == 50


@pytest.mark.parametrize(
    ("lines", "one", "two"),
    [
        pytest.param((), LOOPBACK, LOOPBACK, id="absent"),
        pytest.param(("9.9.9.1",), "9.9.9.1", LOOPBACK, id="one-address"),
        pytest.param(("9.9.9.1, 9.9.9.2",), "9.9.9.2", "9.9.9.1", id="two-addresses"),
        pytest.param(("9.9.9.1,9.9.9.2,9.9.9.3",), "9.9.9.3", "9.9.9.2", id="three-addresses"),
        pytest.param(("9.9.9.1", "9.9.9.2"), "9.9.9.2", "9.9.9.1", id="two-lines"),
        pytest.param(("9.9.9.1, 9.9.9.2", "9.9.9.3"), "9.9.9.3", "9.9.9.2", id="uneven-lines"),
        pytest.param(("9.9.9.1", ""), "9.9.9.1", LOOPBACK, id="empty-second-line"),
        pytest.param(("2001:db8::1",), "2001:db8::1", LOOPBACK, id="ipv6"),
        pytest.param(("[2001:db8::1]",), "2001:db8::1", LOOPBACK, id="ipv6-brackets"),
        pytest.param(("[2001:db8::1]:443",), "2001:db8::1", LOOPBACK, id="ipv6-port"),
        pytest.param(("2001:DB8:0::1, 9.9.9.2",), "9.9.9.2", "2001:db8::1", id="ipv6-not-canonical"),
        pytest.param(("9.9.9.1:4711",), "9.9.9.1", LOOPBACK, id="port"),
        pytest.param(("9.9.9.1\t,\t9.9.9.2",), "9.9.9.2", "9.9.9.1", id="tabs"),
        pytest.param(("junk",), LOOPBACK, LOOPBACK, id="junk"),
        pytest.param(("9.9.9.1, junk",), LOOPBACK, "9.9.9.1", id="junk-last"),
        pytest.param(("junk, 9.9.9.2",), "9.9.9.2", LOOPBACK, id="junk-first"),
        pytest.param(("9.9.9.256",), LOOPBACK, LOOPBACK, id="out-of-range"),
        pytest.param(("9.9.9",), LOOPBACK, LOOPBACK, id="short"),
        pytest.param(("09.9.9.1",), LOOPBACK, LOOPBACK, id="octal"),
        pytest.param(("unknown",), LOOPBACK, LOOPBACK, id="unknown"),
        pytest.param((",",), LOOPBACK, LOOPBACK, id="comma"),
        pytest.param(("9.9.9.1, ",), LOOPBACK, "9.9.9.1", id="empty-last"),
    ],
)
def test_trusted_hops_choose_the_client(edge: Edge, lines: tuple[str, ...], one: str, two: str) -> None:
    """The last proxy appended what it saw; each trusted hop goes one to the left, junk falls back to the peer."""
    fields = tuple((XFF, line) for line in lines)
    for hops, expected in ((1, one), (2, two)):
        arrived = seen(edge, *fields, hops=hops)
        # An internal client (RFC 1918, loopback, no X-Forwarded-For) has no external address.
        external = arrived.get("x-envoy-external-address")
        assert external == expected or (external is None and expected == LOOPBACK)
        assert addresses(arrived)[-1] == LOOPBACK


def test_a_stranger_with_a_long_list_is_still_the_peer(edge: Edge) -> None:
    arrived = seen(edge, (XFF, ", ".join(f"9.9.9.{number}" for number in range(200))))
    assert arrived.one("x-envoy-external-address") == LOOPBACK


@pytest.mark.parametrize(
    ("value", "expected"),
    [("https", "https"), ("http", "http"), ("HTTPS", "http"), ("https, http", "http"), ("ftp", "http"), ("", "http")],
)
def test_a_trusted_proxy_states_the_scheme(edge: Edge, value: str, expected: str) -> None:
    fields = ((XFF, "9.9.9.1"), ("X-Forwarded-Proto", value))
    assert seen(edge, *fields, hops=1).one("x-forwarded-proto") == expected
    assert seen(edge, *fields, hops=0).one("x-forwarded-proto") == "http"


def test_external_request_ids_can_be_preserved(relaxed_edge: Edge) -> None:
    assert seen(relaxed_edge, (XFF, "8.8.8.8"), ("X-Request-Id", "mine")).one("x-request-id") == "mine"


def test_envoy_headers_can_be_suppressed(edge: Edge, relaxed_edge: Edge) -> None:
    """Responses carry the upstream's time unless the Module suppresses it."""
    plain = ask(edge.port, request())
    assert plain.fields.one("x-envoy-upstream-service-time").isdigit()
    assert plain.fields.one("server") == "sluice"
    suppressed = ask(relaxed_edge.port, request())
    assert [name for name, _ in suppressed.fields.items if name.lower().startswith("x-envoy-")] == []

"""The PROXY protocol where a Listener asks for it (behaviour row 39): exact, or the connection ends."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

import pytest

from tests.protocol.site import SITE, Edge
from tests.support import manifests as m
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backend import Backend

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def binary(
    source: str, *, command: int = 0x21, family: int | None = None, tail: bytes = b"", length: int | None = None
) -> bytes:
    """A version 2 header."""
    address = ipaddress.ip_address(source)
    other = ipaddress.ip_address(LOOPBACK if address.version == 4 else "::1")
    body = address.packed + other.packed + struct.pack("!HH", 4711, 80) + tail
    kind = family if family is not None else (0x11 if address.version == 4 else 0x21)
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body) if length is None else length) + body


@pytest.fixture(scope="module")
def edge(upstream: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    ports = Ports()
    objects = [
        m.listener("http", ports.http, "HTTPPROXY"),
        m.host("any"),
        m.mapping("all", "/", f"{LOOPBACK}:{upstream.port}", SITE),
    ]
    with GatewayProcess(tmp_path_factory.mktemp("proxy"), ports, objects) as gateway:
        yield Edge(gateway, upstream)


@pytest.fixture(autouse=True)
def clean(upstream: Backend) -> Iterator[None]:
    upstream.reset()
    yield
    assert upstream.faults() == []


@pytest.mark.parametrize(
    ("header", "client"),
    [
        pytest.param(b"PROXY TCP4 9.9.9.1 127.0.0.1 4711 80\r\n", "9.9.9.1", id="v1-ipv4"),
        pytest.param(b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", "2001:db8::1", id="v1-ipv6"),
        pytest.param(b"PROXY UNKNOWN\r\n", LOOPBACK, id="v1-unknown"),
        pytest.param(b"PROXY UNKNOWN ff:ff ::1 1 2\r\n", LOOPBACK, id="v1-unknown-with-text"),
        pytest.param(binary("9.9.9.2"), "9.9.9.2", id="v2-ipv4"),
        pytest.param(binary("2001:db8::2"), "2001:db8::2", id="v2-ipv6"),
        pytest.param(binary("9.9.9.3", tail=b"\x04\x00\x03abc"), "9.9.9.3", id="v2-extension"),
        pytest.param(SIGNATURE + b"\x20\x00\x00\x00", LOOPBACK, id="v2-local"),
        pytest.param(binary("9.9.9.4", command=0x20), LOOPBACK, id="v2-local-with-address"),
    ],
)
def test_the_header_states_the_client(edge: Edge, header: bytes, client: str) -> None:
    with RawClient(edge.port) as connection:
        assert connection.ask(header + request()).status == 200
        assert connection.ask(request("GET", "/second")).status == 200
    for head in edge.backend.heads():
        assert head.fields.one("x-forwarded-for") == client


@pytest.mark.parametrize("cut", range(1, len(binary("9.9.9.2")), 5))
def test_the_header_may_arrive_in_pieces(edge: Edge, cut: int) -> None:
    data = binary("9.9.9.2") + request()
    with RawClient(edge.port) as connection:
        assert connection.send(data, [cut]).response().status == 200
    assert edge.backend.heads()[0].fields.one("x-forwarded-for") == "9.9.9.2"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"", id="absent"),
        pytest.param(b"PROXY TCP4 9.9.9.1 127.0.0.1 4711 80\n", id="v1-bare-lf"),
        pytest.param(b"PROXY TCP4 9.9.9.256 127.0.0.1 4711 80\r\n", id="v1-bad-address"),
        pytest.param(b"PROXY TCP4 9.9.9.01 127.0.0.1 4711 80\r\n", id="v1-octal-address"),
        pytest.param(b"PROXY TCP4 2001:db8::1 ::1 4711 80\r\n", id="v1-other-family"),
        pytest.param(b"PROXY TCP4 9.9.9.1 127.0.0.1 70000 80\r\n", id="v1-bad-port"),
        pytest.param(b"PROXY TCP4 9.9.9.1 127.0.0.1 +1 80\r\n", id="v1-signed-port"),
        pytest.param(b"PROXY TCP4 9.9.9.1 127.0.0.1 4711\r\n", id="v1-short"),
        pytest.param(b"PROXY TCP4 9.9.9.1 127.0.0.1 4711 80 x\r\n", id="v1-long"),
        pytest.param(b"PROXY  TCP4 9.9.9.1 127.0.0.1 4711 80\r\n", id="v1-two-spaces"),
        pytest.param(b"proxy TCP4 9.9.9.1 127.0.0.1 4711 80\r\n", id="v1-lower-case"),
        pytest.param(b"PROXY UDP4 9.9.9.1 127.0.0.1 4711 80\r\n", id="v1-other-protocol"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n", id="v1-endless"),
        pytest.param(binary("9.9.9.1", command=0x11), id="v2-version-1"),
        pytest.param(binary("9.9.9.1", command=0x22), id="v2-unknown-command"),
        pytest.param(binary("9.9.9.1", length=4), id="v2-too-short-for-its-family"),
        pytest.param(binary("9.9.9.1", family=0x21), id="v2-ipv4-as-ipv6"),
        pytest.param(SIGNATURE[:-1] + b"X" + binary("9.9.9.1")[12:], id="v2-bad-signature"),
    ],
)
def test_a_bad_header_ends_the_connection(edge: Edge, header: bytes) -> None:
    with RawClient(edge.port) as connection:
        connection.offer(header + request())
        try:
            rest = connection.rest()
        except ConnectionResetError:
            rest = bytes(connection.stream.log)
    assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
    assert edge.backend.heads() == []

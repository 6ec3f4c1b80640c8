"""Lines, field syntax and versions (behaviour rows 7, 8, 9 and 15)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import refused
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, request

if TYPE_CHECKING:
    from tests.protocol.site import Edge

HEAD = b"GET /bad HTTP/1.1\r\nHost: site.example\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /bad HTTP/1.1\nHost: site.example\n\n", id="bare-lf-everywhere"),
        pytest.param(b"GET /bad HTTP/1.1\nHost: site.example\r\n\r\n", id="bare-lf-request-line"),
        pytest.param(HEAD + b"A: b\nC: d\r\n\r\n", id="bare-lf-field"),
        pytest.param(HEAD + b"A: b\r\n\n", id="bare-lf-last"),
        pytest.param(HEAD + b"A: b\n\r\n", id="bare-lf-before-end"),
        pytest.param(b"GET /bad HTTP/1.1\rHost: site.example\r\r", id="bare-cr-everywhere"),
        pytest.param(b"GET /bad HTTP/1.1\rHost: site.example\r\n\r\n", id="bare-cr-request-line"),
        pytest.param(HEAD + b"A: b\rC: d\r\n\r\n", id="bare-cr-field"),
        pytest.param(HEAD + b"A: b\rX\nC: d\r\n\r\n", id="cr-x-lf"),
        pytest.param(HEAD + b"A: b\r\r\n\r\n", id="cr-cr-lf"),
        pytest.param(HEAD + b"\rA: b\r\n\r\n", id="cr-before-name"),
        pytest.param(HEAD + b"A: b\n\rC: d\r\n\r\n", id="lf-cr"),
    ],
)
def test_line_ends(edge: Edge, data: bytes) -> None:
    refused(edge, data, 400)


@pytest.mark.parametrize("byte", [*range(0x09), 0x0A, 0x0B, 0x0C, 0x0D, *range(0x0E, 0x20), 0x7F], ids=hex)
@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_control_bytes_in_a_field_value(edge: Edge, byte: int, place: str) -> None:
    value = {"start": b"%cab", "middle": b"a%cb", "end": b"ab%c"}[place] % byte
    refused(edge, HEAD + b"X-Value: " + value + b"\r\n\r\n", 400)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"A : b", id="space-before-colon"),
        pytest.param(b"A\t: b", id="tab-before-colon"),
        pytest.param(b": b", id="empty-name"),
        pytest.param(b"A b: c", id="space-in-name"),
        pytest.param(b"A", id="no-colon"),
        pytest.param(b"A\r\n b", id="no-colon-folded"),
        pytest.param(b"A: b\r\n c", id="obs-fold"),
        pytest.param(b"A: b\r\n\tc", id="obs-fold-tab"),
        pytest.param(b"A: b\r\n Content-Length: 5", id="folded-length"),
        pytest.param(b" A: b", id="leading-space"),
        pytest.param(b"\x85A: b", id="nel-first"),
        pytest.param(b"A\x85: b", id="nel-in-name"),
        pytest.param(b"A\xa0: b", id="nbsp-in-name"),
        pytest.param(b"\xc3\xa4: b", id="utf8-name"),
        pytest.param(b"A\x00: b", id="nul-in-name"),
        pytest.param(b"A(b): c", id="parentheses"),
        pytest.param(b"A/b: c", id="slash"),
        pytest.param(b"A[0]: c", id="brackets"),
        pytest.param(b'"A": c', id="quoted-name"),
        pytest.param(b"A,B: c", id="comma"),
        pytest.param(b"A=b: c", id="equals"),
        pytest.param(b"{A}: c", id="braces"),
        pytest.param(b"A@b: c", id="at"),
        pytest.param(b"A\\b: c", id="backslash"),
    ],
)
def test_field_lines(edge: Edge, line: bytes) -> None:
    refused(edge, HEAD + line + b"\r\n\r\n", 400)


def test_first_field_line_with_white_space(edge: Edge) -> None:
    """White space between the request line and the first field hides a field from some parsers (RFC 9112, 2.2)."""
    refused(edge, b"GET /bad HTTP/1.1\r\n Host: site.example\r\nHost: site.example\r\n\r\n", 400)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"GET /bad", id="http-0.9"),
        pytest.param(b"GET /bad ", id="empty-version"),
        pytest.param(b"GET /bad HTTP/0.9", id="named-0.9"),
        pytest.param(b"GET /bad HTTP/1.32", id="two-digit-minor"),
        pytest.param(b"GET /bad HTTP/1.2", id="unknown-minor"),
        pytest.param(b"GET /bad HTTP/2.0", id="http-2-text"),
        pytest.param(b"GET /bad HTTP/3", id="http-3"),
        pytest.param(b"GET /bad HTTP/ 1.1", id="space-in-version"),
        pytest.param(b"GET /bad HTTP/1.1 ", id="trailing-space"),
        pytest.param(b"GET /bad HTTP/1.1x", id="trailing-letter"),
        pytest.param(b"GET /bad HTTP/01.1", id="leading-zero"),
        pytest.param(b"GET /bad HTTP/1", id="no-minor"),
        pytest.param(b"GET /bad HTTP/1.", id="empty-minor"),
        pytest.param(b"GET /bad HTTP/1,1", id="comma"),
        pytest.param(b"GET /bad HTTP 1.1", id="no-slash"),
        pytest.param(b"GET /bad http/1.1", id="lower-case"),
        pytest.param(b"GET /bad HTTPS/1.1", id="https"),
        pytest.param(b"GET /bad ICY/1.1", id="other-protocol"),
        pytest.param(b"GET  /bad HTTP/1.1", id="two-spaces"),
        pytest.param(b"GET /bad  HTTP/1.1", id="two-spaces-before-version"),
        pytest.param(b"GET\t/bad\tHTTP/1.1", id="tabs"),
        pytest.param(b"GET\x0b/bad\x0bHTTP/1.1", id="vertical-tabs"),
        pytest.param(b" GET /bad HTTP/1.1", id="leading-space"),
        pytest.param(b"GET /bad HTTP/1.1 HTTP/1.1", id="four-words"),
        pytest.param(b"GET /b ad HTTP/1.1", id="space-in-target"),
        pytest.param(b"GET HTTP/1.1", id="no-target"),
        pytest.param(b"HTTP/1.1 200 OK", id="a-response"),
        pytest.param(b"GET", id="method-only"),
    ],
)
def test_request_lines(edge: Edge, line: bytes) -> None:
    refused(edge, line + b"\r\nHost: site.example\r\n\r\n", 400, 505)


def test_the_preface_of_http2_is_answered_in_http2(edge: Edge) -> None:
    """RFC 9113, 3.4: the first frame of a server is SETTINGS (type 4), on stream 0."""
    with socket.create_connection((LOOPBACK, edge.port), timeout=10) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
        header = b""
        while len(header) < 9 and (more := client.recv(9 - len(header))):
            header += more
    assert header[3] == 4
    assert header[5:] == bytes(4)


def test_what_only_begins_like_the_preface_is_refused(edge: Edge) -> None:
    refused(edge, b"PRI * HTTP/2.0\r\nHost: site.example\r\n\r\n", 400, 505)


def test_tls_hello_on_a_cleartext_port(edge: Edge) -> None:
    refused(edge, bytes.fromhex("16030100c8010000c40303") + b"\r\n\r\n", 400)


def test_an_empty_line_before_a_request_is_skipped(edge: Edge) -> None:
    """RFC 9112, 2.2: at least one CRLF before the request line is ignored."""
    with RawClient(edge.port) as client:
        assert client.ask(b"\r\n" + request(target="/good")).json()["target"] == "/good"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        pytest.param(b"X-Value:a", "a", id="no-space"),
        pytest.param(b"X-Value: \t a \t ", "a", id="white-space-around"),
        pytest.param(b"X-Value:", "", id="empty"),
        pytest.param(b"X-Value: a:b", "a:b", id="colon"),
        pytest.param(b"X-Value: a\tb", "a\tb", id="inner-tab"),
        pytest.param(b"X-Value: \xe4\xf6", "\xe4\xf6", id="latin-1"),
        pytest.param(b'X-Value: "a, b"; c', '"a, b"; c', id="punctuation"),
        pytest.param(b"x-vALUE: a", "a", id="mixed-case"),
    ],
)
def test_good_values_arrive_unchanged(edge: Edge, line: bytes, value: str) -> None:
    with RawClient(edge.port) as client:
        assert client.ask(b"GET /good HTTP/1.1\r\nHost: site.example\r\n" + line + b"\r\n\r\n").status == 200
    assert edge.backend.heads()[0].fields.one("x-value") == value


@pytest.mark.parametrize("name", [b"!#$%&'*+-.^`|~09azAZ", b"X-1", b"a"])
def test_every_token_character_is_allowed_in_a_name(edge: Edge, name: bytes) -> None:
    with RawClient(edge.port) as client:
        assert client.ask(b"GET /good HTTP/1.1\r\nHost: site.example\r\n" + name + b": v\r\n\r\n").status == 200
    assert edge.backend.heads()[0].fields.one(name.decode()) == "v"

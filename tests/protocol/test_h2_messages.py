"""Requests over HTTP/2 that HTTP/1 could misread: broken off or refused, and nothing is forwarded (row 19)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.h2_oracle import assert_refusal, refused_h2, refused_in_body_h2
from tests.protocol.oracle import probe
from tests.support.h2client import H2Client, h2_ask, pseudo
from tests.support.messages import Response
from tests.support.rawclient import ask, request

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.h2client import RawField

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: site.example\r\n\r\n"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"x-a\r\nx-b", id="crlf"),
        pytest.param(b"x-a: b\r\n\r\nGET /smuggled HTTP/1.1\r\nhost", id="a-whole-request"),
        pytest.param(b"x-a\r", id="cr"),
        pytest.param(b"x-a\n", id="lf"),
        pytest.param(b"x-a\x00", id="nul"),
        pytest.param(b"x a", id="space"),
        pytest.param(b" x-a", id="leading-space"),
        pytest.param(b"x-a ", id="trailing-space"),
        pytest.param(b"x-a\t", id="tab"),
        pytest.param(b"x-a:", id="colon"),
        pytest.param(b"x:a", id="inner-colon"),
        pytest.param(b"", id="empty"),
        pytest.param(b"X-A", id="upper-case"),
        pytest.param(b"x-A", id="one-upper-case-letter"),
        pytest.param(b"x\xe9", id="latin-1"),
        pytest.param(b"x\x7f", id="delete"),
        pytest.param(b"x(a)", id="delimiters"),
        pytest.param(b'x"a', id="quote"),
    ],
)
def test_names(edge: Edge, name: bytes) -> None:
    refused_h2(edge, [*pseudo(target="/bad"), (name, b"value")])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"a\r\nx-injected: 1", id="crlf"),
        pytest.param(b"a\r\n\r\n" + SMUGGLED, id="a-whole-request"),
        pytest.param(b"a\rb", id="cr"),
        pytest.param(b"a\nb", id="lf"),
        pytest.param(b"a\x00b", id="nul"),
        pytest.param(b"a\n", id="trailing-lf"),
        pytest.param(b"\r\na", id="leading-crlf"),
        pytest.param(b"a\x01", id="control"),
        pytest.param(b"a\x7f", id="delete"),
    ],
)
def test_values(edge: Edge, value: bytes) -> None:
    for name in (b"x-a", b"cookie", b"host", b"content-type"):
        refused_h2(edge, [*pseudo(target="/bad"), (name, value)])


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param((b":method", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET"), id="method-request"),
        pytest.param((b":method", b"GET\r\n"), id="method-crlf"),
        pytest.param((b":method", b"GET\x00"), id="method-nul"),
        pytest.param((b":method", b"GET "), id="method-space"),
        pytest.param((b":method", b"G T"), id="method-inner-space"),
        pytest.param((b":method", b""), id="method-empty"),
        pytest.param((b":method", b"get"), id="method-lower-case"),
        pytest.param((b":authority", b"site.example\r\nx-injected: 1"), id="authority-crlf"),
        pytest.param((b":authority", b"site.example\x00"), id="authority-nul"),
        pytest.param((b":authority", b"site.example "), id="authority-space"),
        pytest.param((b":authority", b"user@site.example"), id="authority-userinfo"),
        pytest.param((b":authority", b"site.example/admin"), id="authority-path"),
        pytest.param((b":authority", b"site.example:99999"), id="authority-port"),
        pytest.param((b":authority", b"site.example,named.example"), id="authority-list"),
        pytest.param((b":authority", b""), id="authority-empty"),
        pytest.param((b":scheme", b"http\r\nx: y"), id="scheme-crlf"),
        pytest.param((b":scheme", b"http://other/"), id="scheme-url"),
    ],
)
def test_pseudo_header_fields(edge: Edge, pair: RawField) -> None:
    refused_h2(edge, [pair if field[0] == pair[0] else field for field in pseudo(target="/bad")], statuses=(400, 501))


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_that_are_not_served(edge: Edge, method: str) -> None:
    statuses = (405, 501)
    refused_h2(edge, pseudo(method, "/bad"), statuses=(400, *statuses))
    if method == "CONNECT":
        refused_h2(edge, [(b":method", b"CONNECT"), (b":authority", b"site.example:80")], statuses=statuses)


GOOD = pseudo(target="/bad")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([*GOOD, GOOD[0]], id="method-twice"),
        pytest.param([*GOOD, GOOD[3]], id="path-twice"),
        pytest.param([*GOOD, (b":path", b"/other")], id="two-paths"),
        pytest.param([*GOOD, GOOD[1]], id="scheme-twice"),
        pytest.param([*GOOD, (b":authority", b"named.example")], id="two-authorities"),
        pytest.param([*GOOD[:3], (b"x-a", b"b"), GOOD[3]], id="behind-a-field"),
        pytest.param([*GOOD, (b":status", b"200")], id="of-an-answer"),
        pytest.param([*GOOD, (b":x", b"y")], id="unknown"),
        pytest.param([*GOOD, (b":", b"y")], id="nameless"),
        pytest.param([*GOOD, (b":protocol", b"websocket")], id="protocol"),
        pytest.param(GOOD[1:], id="no-method"),
        pytest.param([GOOD[0], *GOOD[2:]], id="no-scheme"),
        pytest.param([GOOD[0], GOOD[1], GOOD[3]], id="no-authority-and-no-host"),
        pytest.param([*GOOD, (b"host", b"named.example")], id="another-host"),
        pytest.param([*GOOD, (b"host", b"site.example"), (b"host", b"named.example")], id="two-hosts"),
    ],
)
def test_sets_of_pseudo_header_fields(edge: Edge, fields: list[RawField]) -> None:
    refused_h2(edge, fields)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param((b"connection", b"close"), id="connection"),
        pytest.param((b"connection", b"x-a"), id="connection-names"),
        pytest.param((b"transfer-encoding", b"chunked"), id="transfer-encoding"),
        pytest.param((b"transfer-encoding", b"identity"), id="transfer-encoding-identity"),
        pytest.param((b"keep-alive", b"timeout=5"), id="keep-alive"),
        pytest.param((b"proxy-connection", b"keep-alive"), id="proxy-connection"),
        pytest.param((b"upgrade", b"websocket"), id="upgrade"),
        pytest.param((b"te", b"gzip"), id="te"),
        pytest.param((b"te", b"trailers, gzip"), id="te-list"),
    ],
)
def test_fields_of_a_connection(edge: Edge, field: RawField) -> None:
    refused_h2(edge, [*pseudo("POST", "/bad"), field], body=b"0\r\n\r\n" + SMUGGLED)


@pytest.mark.parametrize(
    ("length", "body"),
    [
        pytest.param(b"+4", b"abcd", id="sign"),
        pytest.param(b"0x4", b"abcd", id="hex"),
        pytest.param(b"4, 4", b"abcd", id="list"),
        pytest.param(b"", b"abcd", id="empty"),
        pytest.param(b"18446744073709551620", b"abcd", id="overflow"),
    ],
)
def test_lengths_that_are_no_numbers(edge: Edge, length: bytes, body: bytes) -> None:
    refused_h2(edge, [*pseudo("POST", "/bad"), (b"content-length", length)], body)


@pytest.mark.parametrize(
    ("length", "body"),
    [
        pytest.param(b"4", b"ab", id="too-few"),
        pytest.param(b"4", b"abcd" + SMUGGLED, id="too-many"),
        pytest.param(b"1", b"", id="nothing"),
    ],
)
def test_lengths_that_differ(edge: Edge, length: bytes, body: bytes) -> None:
    refused_in_body_h2(edge, [*pseudo("POST", "/bad"), (b"content-length", length)], body)


def test_more_than_nothing(edge: Edge) -> None:
    """The request is complete before its body comes; the body is not taken for another request."""
    with H2Client(edge.port) as client:
        stream = client.start([*pseudo("POST", "/bad"), (b"content-length", b"0")], end=False)
        client.data(stream, SMUGGLED)
        outcome = client.outcome(stream)
        # The answer may be there before the body is: then there is nothing left to refuse.
        if not (isinstance(outcome, Response) and outcome.status == 200):
            assert_refusal(outcome, (400,))
    probe(edge)
    assert all(recorded.body == b"" for recorded in edge.backend.requests)
    assert not [head for head in edge.backend.heads() if head.target == "/smuggled"]


def test_two_lengths(edge: Edge) -> None:
    for second in (b"4", b"5"):
        fields = [*pseudo("POST", "/bad"), (b"content-length", b"4"), (b"content-length", second)]
        refused_h2(edge, fields, b"abcd")


def test_a_length_without_a_body(edge: Edge) -> None:
    """The head ends the stream and announces a body."""
    refused_h2(edge, [*pseudo("POST", "/bad"), (b"content-length", b"4")])


def test_good_requests_are_served(edge: Edge) -> None:
    for body in (None, b"", b"hello", b"x" * 200_000):
        response = h2_ask(edge.port, "POST", "/good", ("X-One", "1"), body=body)
        assert response.status == 200
        seen = response.json()
        assert (seen["method"], seen["target"], seen["version"]) == ("POST", "/good", "1.1")
        assert seen["body"].encode("latin-1") == (body or b"")
        names = [name for name, _ in seen["headers"]]
        assert names.count("host") == 1
        assert not [name for name in names if name.startswith(":")]


def test_answers_are_the_same_as_over_http1(edge: Edge) -> None:
    """Byte for byte what HTTP/1 says, but for what differs by nature."""

    def stable(response: Response) -> list[tuple[str, str]]:
        changing = ("date", "x-envoy-upstream-service-time", "content-length")
        return sorted((name.lower(), value) for name, value in response.fields.items if name.lower() not in changing)

    one, two = ask(edge.port, request("GET", "/x")), h2_ask(edge.port, "GET", "/x")
    assert (one.status, stable(one)) == (two.status, stable(two))


def test_many_streams_at_once(edge: Edge) -> None:
    with H2Client(edge.port) as client:
        streams = [client.start(pseudo("GET", f"/n/{number}")) for number in range(100)]
        for number, stream in enumerate(streams):
            assert client.response(stream).json()["target"] == f"/n/{number}"


def test_one_bad_stream_leaves_the_others_alone(edge: Edge) -> None:
    with H2Client(edge.port) as client:
        first = client.start(pseudo("POST", "/first"), end=False)
        bad = client.start([*pseudo(target="/bad"), (b"connection", b"close")])
        after = client.start(pseudo(target="/after"))
        assert not isinstance(client.outcome(bad), Response)
        assert client.response(after).status == 200
        client.data(first, b"whole")
        assert client.response(first).json()["body"] == "whole"
    assert sorted(head.target for head in edge.backend.heads()) == ["/after", "/first"]

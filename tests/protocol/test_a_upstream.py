"""Upstreams that answer badly or not at all (behaviour row 20)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.rawclient import RawClient, ask, request
from tests.support.replies import cut, raw
from tests.support.wire import EndOfStreamError, WireError

if TYPE_CHECKING:
    from tests.protocol.site import Edge

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            id="length-and-chunked",
        ),
        pytest.param(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", id="two-lengths"),
        pytest.param(OK + b"Content-Length: 5, 6\r\n\r\nhello!", id="length-list"),
        pytest.param(OK + b"Content-Length: +5\r\n\r\nhello", id="length-plus"),
        pytest.param(OK + b"Content-Length: -5\r\n\r\nhello", id="length-minus"),
        pytest.param(OK + b"Content-Length: 18446744073709551621\r\n\r\nhello", id="length-overflow"),
        pytest.param(OK + b"Transfer-Encoding: gzip\r\n\r\nhello", id="not-chunked"),
        pytest.param(OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nhello", id="chunked-not-last"),
        pytest.param(OK + b"Transfer-Encoding: xchunked\r\n\r\nhello", id="unknown-coding"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", id="chunked-in-1.0"
        ),
        pytest.param(OK + b"A: \0\r\n\r\n", id="nul-in-value"),
        pytest.param(OK + b"A: a\rb\r\nContent-Length: 0\r\n\r\n", id="cr-in-value"),
        pytest.param(OK + b"A b: c\r\nContent-Length: 0\r\n\r\n", id="space-in-name"),
        pytest.param(OK + b": c\r\nContent-Length: 0\r\n\r\n", id="empty-name"),
        pytest.param(OK + b"A\r\nContent-Length: 0\r\n\r\n", id="no-colon"),
        pytest.param(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", id="four-digit-status"),
        pytest.param(b"HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n", id="two-digit-status"),
        pytest.param(b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", id="status-zero"),
        pytest.param(b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", id="status-letters"),
        pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="version-2"),
        pytest.param(b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n", id="other-protocol"),
        pytest.param(b"hello\r\n\r\n", id="not-http"),
        pytest.param(b"<html>hello</html>", id="http-0.9"),
        pytest.param(OK + b"Content-Le", id="cut-in-the-head"),
        pytest.param(OK[:8], id="cut-in-the-status-line"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, id="flood-of-100"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 2000, id="flood-of-103"),
        pytest.param(OK + b"".join(b"A%d: b\r\n" % number for number in range(5000)) + b"\r\n", id="many-fields"),
        pytest.param(OK + b"A: " + b"b" * 2_000_000 + b"\r\n\r\n", id="huge-field"),
    ],
)
def test_bad_heads_become_502(edge: Edge, answer: bytes) -> None:
    edge.backend.on("/bad", raw(answer, close=True))
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/bad")).status == 502
    assert ask(edge.port, request("GET", "/good")).status == 200
    by_target = {recorded.head.target: recorded.connection for recorded in edge.backend.requests}
    assert by_target["/bad"] != by_target["/good"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", id="two-lengths"),
        pytest.param(OK + b"A: \0\r\n\r\n", id="nul-in-value"),
        pytest.param(b"hello\r\n\r\n", id="not-http"),
    ],
)
def test_a_bad_answer_ends_the_upstream_connection(edge: Edge, answer: bytes) -> None:
    """The upstream keeps the connection open; the gateway must not keep it."""
    edge.backend.on("/bad", raw(answer))
    assert ask(edge.port, request("GET", "/bad")).status == 502
    assert ask(edge.port, request("GET", "/good")).json()["number"] == 1


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(OK + b"Content-Length: 8\r\n\r\npoisoned", id="a-response"),
        pytest.param(b"x", id="one-byte"),
        pytest.param(b"\r\n", id="line-end"),
    ],
)
def test_bytes_behind_an_answer_poison_nobody(edge: Edge, extra: bytes) -> None:
    edge.backend.on("/bad", raw(OK + b"Content-Length: 2\r\n\r\nok" + extra))
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/bad")).body == b"ok"
        reply = client.ask(request("GET", "/good")).json()
    assert (reply["target"], reply["number"]) == ("/good", 1)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"Content-Length: 10\r\n\r\nhello", id="short-length"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", id="no-last-chunk"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", id="bad-chunk"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA : b\r\n\r\n", id="bad-trailer"),
    ],
)
def test_a_broken_body_is_visible_to_the_client(edge: Edge, answer: bytes) -> None:
    """Either 502, when nothing was sent yet, or an answer that is visibly incomplete; never one that looks whole."""
    edge.backend.on("/bad", raw(answer, close=True))
    with RawClient(edge.port) as client:
        client.send(request("GET", "/bad"))
        try:
            response = client.response()
        except (EndOfStreamError, ConnectionResetError):
            pass
        else:
            assert response.status == 502, response


def test_a_message_that_ends_with_the_connection(edge: Edge) -> None:
    """An answer without length ends with its connection, and is framed again for the client."""
    edge.backend.on("/until-close", raw(OK + b"\r\nhello", close=True))
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/until-close")).body == b"hello"
        assert client.ask(request("GET", "/next")).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_closes_without_answer(edge: Edge, method: str) -> None:
    edge.backend.on("/cut", cut)
    response = ask(edge.port, request(method, "/cut", body=b"x"), method)
    assert response.status in (502, 503)


def test_what_the_client_gets_is_always_well_formed(edge: Edge) -> None:
    """A space before the colon is either refused or repaired (RFC 9112, 5.1), never passed on."""
    edge.backend.on("/bad", raw(OK + b"Content-Length : 2\r\n\r\nok", close=True))
    with RawClient(edge.port) as client:
        client.send(request("GET", "/bad"))
        try:
            assert client.response().status in (200, 502)
        except WireError as error:
            pytest.fail(f"passed on: {error}")

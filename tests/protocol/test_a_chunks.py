"""Chunked request bodies: bad chunk syntax never completes a request (behaviour rows 6 to 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import probe, refused_in_body
from tests.support.rawclient import RawClient, chunked, request
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.protocol.site import Edge

HEAD = request("POST", "/bad", ("Transfer-Encoding", "chunked"))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"0x1\r\na\r\n0\r\n\r\n", id="hex-prefix"),
        pytest.param(b"+1\r\na\r\n0\r\n\r\n", id="plus"),
        pytest.param(b"-1\r\na\r\n0\r\n\r\n", id="minus"),
        pytest.param(b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n", id="underscore"),
        pytest.param(b"\r\na\r\n0\r\n\r\n", id="empty-size"),
        pytest.param(b";x\r\n\r\n", id="empty-size-with-extension"),
        pytest.param(b" 1\r\na\r\n0\r\n\r\n", id="space-before-size"),
        pytest.param(b"1 \r\na\r\n0\r\n\r\n", id="space-after-size"),
        pytest.param(b"1\t\r\na\r\n0\r\n\r\n", id="tab-after-size"),
        pytest.param(b"1 ;\r\na\r\n0\r\n\r\n", id="space-then-empty-extension"),
        pytest.param(b"00000000000000001\r\na\r\n0\r\n\r\n", id="17-digits"),
        pytest.param(b"ffffffffffffffff1\r\na\r\n0\r\n\r\n", id="overflow"),
        pytest.param(b"10000000000000000\r\n\r\n", id="two-to-64-is-not-zero"),
        pytest.param(b"1g\r\na\r\n0\r\n\r\n", id="not-hex"),
        pytest.param(b"1,\r\na\r\n0\r\n\r\n", id="comma"),
        pytest.param(b"1\x00\r\na\r\n0\r\n\r\n", id="nul-after-size"),
        pytest.param(b"1\na\r\n0\r\n\r\n", id="bare-lf-after-size"),
        pytest.param(b"1\ra\r\n0\r\n\r\n", id="bare-cr-after-size"),
        pytest.param(b"1\rX\na\r\n0\r\n\r\n", id="cr-x-after-size"),
        pytest.param(b"1\r\r\na\r\n0\r\n\r\n", id="cr-cr-lf-after-size"),
        pytest.param(b"1\r\na\n0\r\n\r\n", id="bare-lf-after-data"),
        pytest.param(b"1\r\na\r0\r\n\r\n", id="bare-cr-after-data"),
        pytest.param(b"1\r\naXX0\r\n\r\n", id="two-bytes-after-data"),
        pytest.param(b"1\r\nab\r\n0\r\n\r\n", id="data-too-long"),
        pytest.param(b"2\r\na\r\n0\r\n\r\n", id="data-too-short"),
        pytest.param(b"1;a\nb\r\na\r\n0\r\n\r\n", id="lf-in-extension"),
        pytest.param(b"1;a\rb\r\na\r\n0\r\n\r\n", id="cr-in-extension"),
        pytest.param(b"1;a\x00b\r\na\r\n0\r\n\r\n", id="nul-in-extension"),
        pytest.param(b'1;a="\n"\r\na\r\n0\r\n\r\n', id="lf-in-quoted-extension"),
        pytest.param(b"0\n\r\n", id="bare-lf-after-last"),
        pytest.param(b"0\r\n\n", id="bare-lf-at-end"),
        pytest.param(b"0\r\nX: a\n\r\n", id="bare-lf-in-trailer"),
        pytest.param(b"0\r\nX : a\r\n\r\n", id="space-before-colon-in-trailer"),
        pytest.param(b"0\r\nX\r\n\r\n", id="no-colon-in-trailer"),
        pytest.param(b"0\r\nX: a\x00b\r\n\r\n", id="nul-in-trailer"),
        pytest.param(b"0\r\nX: a\r\n b\r\n\r\n", id="folded-trailer"),
    ],
)
def test_bad_chunks(edge: Edge, body: bytes) -> None:
    refused_in_body(edge, HEAD + body, 400)


def test_bad_chunk_after_good_ones(edge: Edge) -> None:
    refused_in_body(edge, HEAD + b"4\r\nwiki\r\n5\r\npedia\r\nzz\r\n", 400)


def test_endless_extension_is_bounded(edge: Edge) -> None:
    refused_in_body(edge, HEAD + b"1;" + b"a" * 100_000 + b"\r\na\r\n0\r\n\r\n", 400, 413, 431)


def test_many_extensions_are_bounded(edge: Edge) -> None:
    """One byte of data per kilobyte of extension is not a body but an attack."""
    pieces = (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 20_000
    with RawClient(edge.port) as client, pytest.raises((BrokenPipeError, ConnectionResetError)):
        client.send(HEAD).send(pieces)
    probe(edge)
    assert [recorded for recorded in edge.backend.requests if recorded.head.target == "/bad"] == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"0\r\n\r\n", "", id="empty"),
        pytest.param(b"5\r\nhello\r\n0\r\n\r\n", "hello", id="one"),
        pytest.param(b"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", id="upper-case-hex"),
        pytest.param(b"0005\r\nhello\r\n000\r\n\r\n", "hello", id="leading-zeros"),
        pytest.param(b"5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello", id="extensions"),
        pytest.param(b'5;a="b;c"\r\nhello\r\n0\r\n\r\n', "hello", id="quoted-extension"),
        pytest.param(b"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", id="data-is-a-line-end"),
        pytest.param(b"3\r\n0\r\n\r\n0\r\n\r\n", "0\r\n", id="data-looks-like-the-end"),
        pytest.param(chunked(b"x" * 70_000, b"y" * 70_000), "x" * 70_000 + "y" * 70_000, id="large"),
    ],
)
def test_good_chunks(edge: Edge, body: bytes, expected: str) -> None:
    with RawClient(edge.port) as client:
        assert client.ask(request("POST", "/good", ("Transfer-Encoding", "chunked")) + body).json()["body"] == expected
        assert client.ask(request(target="/next")).json()["target"] == "/next"


def test_extensions_are_not_forwarded(edge: Edge) -> None:
    """Extensions are hop-by-hop (RFC 9112, 7.1.1)."""
    with RawClient(edge.port) as client:
        assert client.ask(HEAD + b"5;secret=1\r\nhello\r\n0;secret=2\r\n\r\n").status == 200
    assert b"secret" not in edge.backend.received()


@pytest.mark.parametrize("cut", range(len(HEAD) - 3, len(HEAD) + 26))
def test_chunks_cut_anywhere(edge: Edge, cut: int) -> None:
    data = HEAD + b"4;e=1\r\nwiki\r\n5\r\npedia\r\n0\r\n\r\n"
    with RawClient(edge.port) as client:
        assert client.send(data, [cut]).response().json()["body"] == "wikipedia"


def test_an_unfinished_body_is_given_up_with_its_client(edge: Edge) -> None:
    """When the client leaves, the upstream must not take the part for the whole."""
    with RawClient(edge.port) as client:
        client.send(HEAD + b"5\r\nhello\r\n")
        until(lambda: edge.backend.heads(), "the head to arrive upstream")
    until(lambda: all(connection.closed for connection in edge.backend.connections), "the upstream connection to close")
    assert edge.backend.requests == []

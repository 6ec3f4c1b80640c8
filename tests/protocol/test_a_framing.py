"""Message framing of requests: every ambiguity ends the connection (behaviour rows 1 to 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import refused
from tests.support.rawclient import RawClient, chunked, request

if TYPE_CHECKING:
    from tests.protocol.site import Edge

CHUNKED = ("Transfer-Encoding", "chunked")
BODY = b"5\r\nhello\r\n0\r\n\r\n"


def post(*fields: tuple[str, str], version: str = "1.1") -> bytes:
    return request("POST", "/bad", *fields, version=version)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((("Content-Length", "15"), CHUNKED), id="length-first"),
        pytest.param((CHUNKED, ("Content-Length", "15")), id="chunked-first"),
        pytest.param((("Content-Length", "0"), CHUNKED), id="zero-length"),
        pytest.param((("content-length", "6"), ("transfer-encoding", "chunked")), id="lower-case"),
        pytest.param((("Content-Length", "6"), ("Transfer-Encoding", "identity")), id="identity"),
        pytest.param((("Content-Length", "x"), CHUNKED), id="bad-length"),
    ],
)
def test_length_and_transfer_encoding(edge: Edge, fields: tuple[tuple[str, str], ...]) -> None:
    refused(edge, post(*fields) + BODY, 400, 501)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(("5", "6"), id="different"),
        pytest.param(("6", "5"), id="different-descending"),
        pytest.param(("5", "5"), id="identical"),
        pytest.param(("5,6",), id="list"),
        pytest.param(("5, 5",), id="list-identical"),
        pytest.param(("5", "05"), id="leading-zero"),
        pytest.param(("0", "5"), id="zero-first"),
        pytest.param(("5", ""), id="second-empty"),
        pytest.param(("5,",), id="trailing-comma"),
        pytest.param((",5",), id="leading-comma"),
    ],
)
def test_several_lengths(edge: Edge, values: tuple[str, ...]) -> None:
    refused(edge, post(*(("Content-Length", value) for value in values)) + b"hello", 400)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("+5", id="plus"),
        pytest.param("-5", id="minus"),
        pytest.param("-0", id="minus-zero"),
        pytest.param("0x5", id="hex"),
        pytest.param("1_0", id="underscore"),
        pytest.param("1 1", id="inner-space"),
        pytest.param("1\t1", id="inner-tab"),
        pytest.param("", id="empty"),
        pytest.param("5.0", id="fraction"),
        pytest.param("5e0", id="exponent"),
        pytest.param("5;", id="semicolon"),
        pytest.param('"5"', id="quoted"),
        pytest.param("five", id="word"),
        pytest.param("\xb2", id="superscript-two"),
        pytest.param("18446744073709551616", id="two-to-64"),
        pytest.param("18446744073709551621", id="five-plus-two-to-64"),
        pytest.param("9" * 400, id="400-digits"),
    ],
)
def test_length_is_digits(edge: Edge, value: str) -> None:
    refused(edge, post(("Content-Length", value)) + b"hello", 400)


def test_leading_zeros_are_decimal(edge: Edge) -> None:
    with RawClient(edge.port) as client:
        response = client.ask(request("POST", "/zeros", ("Content-Length", "010")) + b"0123456789", "POST")
        if response.status == 400:
            assert client.ended()
            assert edge.backend.heads() == []
        else:
            assert response.json()["body"] == "0123456789"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((",chunked",), id="empty-element-first"),
        pytest.param(("chunked,",), id="empty-element-last"),
        pytest.param(("xchunked",), id="prefixed"),
        pytest.param(("chunkedx",), id="suffixed"),
        pytest.param(("chunked, identity",), id="chunked-then-identity"),
        pytest.param(("identity, chunked",), id="identity-then-chunked"),
        pytest.param(("identity",), id="identity"),
        pytest.param(("gzip",), id="gzip"),
        pytest.param(("gzip, chunked",), id="gzip-then-chunked"),
        pytest.param(("chunked, gzip",), id="chunked-then-gzip"),
        pytest.param(("chunked, chunked",), id="twice-in-one"),
        pytest.param(("chunked", "chunked"), id="two-fields"),
        pytest.param(("chunked", "identity"), id="two-fields-identity"),
        pytest.param(("identity", "chunked"), id="two-fields-identity-first"),
        pytest.param(("\x0bchunked",), id="vertical-tab"),
        pytest.param(("\x0cchunked",), id="form-feed"),
        pytest.param(("\xa0chunked",), id="no-break-space"),
        pytest.param(("chunked;q=1",), id="parameter"),
        pytest.param(('"chunked"',), id="quoted"),
        pytest.param(("'chunked'",), id="single-quoted"),
        pytest.param(("chun\tked",), id="inner-tab"),
        pytest.param(("",), id="empty"),
        pytest.param(("ch\u00fcnked",), id="non-ascii"),
    ],
)
def test_transfer_encoding_is_exactly_chunked(edge: Edge, values: tuple[str, ...]) -> None:
    refused(edge, post(*(("Transfer-Encoding", value) for value in values)) + BODY, 400, 501)


@pytest.mark.parametrize(
    "name", ["Transfer_Encoding", "Transfer-Encoding ", "Transfer Encoding", "Transfer-Encoding\t"]
)
def test_look_alike_transfer_encoding(edge: Edge, name: str) -> None:
    refused(edge, post((name, "chunked")) + BODY, 400)


@pytest.mark.parametrize("value", ["chunked", "identity", "gzip, chunked"])
def test_transfer_encoding_in_http_1_0(edge: Edge, value: str) -> None:
    refused(edge, post(("Transfer-Encoding", value), version="1.0") + BODY, 400, 501)


@pytest.mark.parametrize("value", ["chunked", "Chunked", "CHUNKED", "chunked ", "\tchunked"])
def test_chunked_in_every_legal_spelling(edge: Edge, value: str) -> None:
    """Coding names are case-insensitive and values may have white space around them (RFC 9112, 5.1 and 7)."""
    with RawClient(edge.port) as client:
        response = client.ask(request("POST", "/good", ("Transfer-Encoding", value)) + chunked(b"hello"), "POST")
    assert (response.status, response.json()["body"]) == (200, "hello")

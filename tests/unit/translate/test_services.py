"""The service syntax of Mappings."""

from __future__ import annotations

import pytest

from gateway.translate.services import ServiceError, parse_service, qualify, service_key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("quote", ("", "quote", None), id="name"),
        pytest.param("quote:8080", ("", "quote", 8080), id="port"),
        pytest.param("Quote.Demo:80", ("", "quote.demo", 80), id="lower case"),
        pytest.param("https://quote.demo", ("https", "quote.demo", None), id="scheme"),
        pytest.param("HTTP://quote:1", ("http", "quote", 1), id="scheme in capitals"),
        pytest.param("//quote", ("", "quote", None), id="authority marker"),
        pytest.param("192.0.2.1:80", ("", "192.0.2.1", 80), id="IPv4"),
        pytest.param("[2001:db8::1]:80", ("", "2001:db8::1", 80), id="IPv6"),
        pytest.param("https://[::1]", ("https", "::1", None), id="IPv6 without port"),
        pytest.param("::1", ("", "::1", None), id="bare IPv6"),
        pytest.param("example.com.", ("", "example.com", None), id="root dot"),
    ],
)
def test_parse(text: str, expected: tuple[str, str, int | None]) -> None:
    address = parse_service(text)
    assert (address.scheme, address.host, address.port) == expected
    assert not address.remark


@pytest.mark.parametrize("text", ["quote/path", "https://quote:8080/x?y", "ftp://quote"])
def test_what_is_ignored_is_remarked(text: str) -> None:
    address = parse_service(text)
    assert address.host == "quote"
    assert address.remark


@pytest.mark.parametrize(
    "text",
    ["", "https://", ":80", "quote:", "quote:0", "quote:65536", "quote:http", "[::1", "[::1]x", "a b", "u@h", "a..!"],
)
def test_refused(text: str) -> None:
    with pytest.raises(ServiceError):
        parse_service(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("quote", "quote.demo"), ("quote.other", "quote.other"), ("localhost", "localhost"), ("::1", "::1")],
)
def test_qualify(host: str, expected: str) -> None:
    assert qualify(host, "demo") == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("quote.demo", ("demo", "quote")),
        ("quote.demo.svc.cluster.local", ("demo", "quote")),
        ("quote.demo.svc", ("demo", "quote")),
        ("api.example.com", None),
        ("localhost", None),
        ("192.0.2.1", None),
        ("::1", None),
    ],
)
def test_service_key(host: str, expected: tuple[str, str] | None) -> None:
    assert service_key(host) == expected

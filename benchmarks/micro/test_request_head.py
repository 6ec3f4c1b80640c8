"""``parse_request_head`` beside a parser of a dozen lines in Python that checks far less."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from gateway._native import parse_request_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

SMALL = b"GET /quote/today?n=1 HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
BROWSER = (
    b"GET /shop/cart/7?tab=items&sort=price HTTP/1.1\r\n"
    b"Host: www.bench.example\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Referer: https://www.bench.example/shop/\r\n"
    b"Connection: keep-alive\r\n"
    b"Cookie: session=4c1c63b5e2f84d6f9f3c; theme=dark; consent=1; basket=7f2a9c; experiment=b\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"Sec-Fetch-Dest: document\r\n"
    b"Sec-Fetch-Mode: navigate\r\n"
    b"Sec-Fetch-Site: same-origin\r\n"
    b"Priority: u=0, i\r\n"
    b"\r\n"
)


class Head(NamedTuple):
    method: str
    path: str
    host: str
    headers: list[tuple[str, str]]


def native(data: bytes) -> Head:
    head = parse_request_head(data)
    assert head is not None
    return Head(head.method, head.path, head.host, head.headers)


def naive(data: bytes) -> Head:
    request_line, *lines = data[: data.index(b"\r\n\r\n")].decode("ascii").split("\r\n")
    method, target, version = request_line.split(" ")
    if version != "HTTP/1.1" or not target.startswith("/"):
        raise ValueError(request_line)
    headers = []
    host = ""
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError(line)
        headers.append((name.lower(), value.strip()))
        if headers[-1][0] == "host":
            host = headers[-1][1]
    return Head(method, target.partition("?")[0], host, headers)


@pytest.mark.parametrize("data", [pytest.param(SMALL, id="small"), pytest.param(BROWSER, id="browser")])
@pytest.mark.parametrize("parse", [native, naive])
def test_parse(benchmark: BenchmarkFixture, parse: Callable[[bytes], Head], data: bytes) -> None:
    benchmark.group = f"request head of {len(data)} bytes"

    head = benchmark(parse, data)

    rival = naive(data)
    assert head[:3] == rival[:3]
    assert [(name.lower(), value) for name, value in head.headers] == rival.headers

"""``RouteTable.match`` beside the first thing one would write in Python: look at every route in order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
import pytest

from benchmarks.micro.sites import HOST, Request, requests, virtual_host
from gateway._native import RouteTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    from gateway.ir.model import VirtualHost

    Match = Callable[[Request], str | None]


class Linear:
    """The rival: compiled regular expressions, but a loop over the routes."""

    def __init__(self, host: VirtualHost) -> None:
        self.routes = [
            (
                route.name,
                route.match.path.value,
                re.compile(route.match.path.value) if route.match.path.kind == "regex" else None,
                [(header.name, header.match.value) for header in route.match.headers],
            )
            for route in host.routes
        ]

    def match(self, request: Request) -> str | None:
        headers = dict(request.headers)
        for name, prefix, pattern, wanted in self.routes:
            fits = pattern.fullmatch(request.path) if pattern else request.path.startswith(prefix)
            if fits and all(headers.get(header) == value for header, value in wanted):
                return name
        return None


def native(host: VirtualHost) -> Match:
    table = RouteTable(orjson.dumps(host))

    def match(request: Request) -> str | None:
        return table.match(request.method, HOST, request.path, headers=request.headers)

    return match


def naive(host: VirtualHost) -> Match:
    return Linear(host).match


@pytest.mark.parametrize("count", [10, 1_000, 10_000])
@pytest.mark.parametrize("build", [native, naive])
def test_match(benchmark: BenchmarkFixture, build: Callable[[VirtualHost], Match], count: int) -> None:
    benchmark.group = f"100 matches among {count:,} routes"
    host, asked = virtual_host(count), requests(count)
    match = build(host)

    found = benchmark(lambda: [match(request) for request in asked])

    oracle = Linear(host)
    assert found == [oracle.match(request) for request in asked]

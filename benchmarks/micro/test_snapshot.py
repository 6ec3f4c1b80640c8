"""``Snapshot.compile`` beside reading the same JSON in Python and compiling its regular expressions, no more."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.micro.sites import delta, delta_of_one_section
from gateway._native import Snapshot

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


def naive(data: bytes) -> list[tuple[str, Any]]:
    routes = []
    for section in json.loads(data)["upsert"]:
        for route in section["body"].get("routes", ()):
            path = route["match"]["path"]
            routes.append((route["name"], re.compile(path["value"]) if path["kind"] == "regex" else path["value"]))
    return routes


@pytest.mark.parametrize("count", [10, 1_000, 10_000])
def test_compile(benchmark: BenchmarkFixture, count: int) -> None:
    benchmark.group = f"compile {count:,} routes"
    snapshot = benchmark(Snapshot.compile, delta(count))
    assert snapshot.issues == []


@pytest.mark.parametrize("count", [10, 1_000, 10_000])
def test_compile_naive(benchmark: BenchmarkFixture, count: int) -> None:
    benchmark.group = f"compile {count:,} routes"
    data = delta(count)

    def fresh() -> int:
        re.purge()
        return len(naive(data))

    assert benchmark(fresh) == count


@pytest.mark.parametrize("count", [10, 10_000])
def test_compile_one_changed_section(benchmark: BenchmarkFixture, count: int) -> None:
    """What a change costs where it costs least: a cluster that all routes point to."""
    benchmark.group = "compile one changed section"
    base = Snapshot.compile(delta(count))
    snapshot = benchmark(Snapshot.compile, delta_of_one_section(), base)
    assert snapshot.version == 2

"""``TokenBucket.take`` beside the usual token bucket in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from gateway._native import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

RATE, PERIOD, BURST = 100, 1.0, 50
TIMES = [index * 0.004 for index in range(1000)]
"""250 requests a second against a limit of 100: first the burst passes, then two of five."""


class Bucket(Protocol):
    def take(self, now: float, n: int = 1) -> bool:
        """Take ``n`` tokens if they are there."""


class Naive:
    """The rival: tokens and the time of the last visit."""

    def __init__(self, rate: int, period: float, burst: int) -> None:
        self.per_second = rate / period
        self.burst = burst
        self.tokens = float(burst)
        self.last: float | None = None

    def take(self, now: float, n: int = 1) -> bool:
        if self.last is not None:
            self.tokens = min(self.burst, self.tokens + (now - self.last) * self.per_second)
        self.last = now
        if self.tokens < n:
            return False
        self.tokens -= n
        return True


@pytest.mark.parametrize("kind", [TokenBucket, Naive], ids=["native", "naive"])
def test_take(benchmark: BenchmarkFixture, kind: Callable[[int, float, int], Bucket]) -> None:
    benchmark.group = "1,000 takes"

    def takes() -> int:
        bucket = kind(RATE, PERIOD, BURST)
        return sum(bucket.take(1000.0 + now) for now in TIMES)

    passed = benchmark(takes)

    expected = BURST + RATE * TIMES[-1]
    assert abs(passed - expected) <= 2

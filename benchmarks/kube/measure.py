"""How long a change takes from the API server to an answer that shows it."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.kube.objects import GROUP, NAMESPACE, VERSION_HEADER, host_name, mapping_name, prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.kube.client import KubeClient

TIMEOUT_S = 60.0
_POLL_S = 0.0005


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds."""

    count: int
    median: float
    p90: float
    p99: float
    maximum: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        ordered = sorted(1000 * item for item in seconds)
        at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.9, 0.99)]
        return cls(len(ordered), round(statistics.median(ordered), 1), *(round(x, 1) for x in (*at, ordered[-1])))


class Prober:
    """Asks the gateway on one connection of its own."""

    def __init__(self, port: int, hosts: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        self._hosts = hosts
        self.failures = 0
        """Answers other than 200."""

    def version(self, number: int) -> str:
        """What the Mapping adds to its answers now."""
        self._connection.request("GET", prefix(number), headers={"Host": host_name(number % self._hosts)})
        answer = self._connection.getresponse()
        answer.read()
        self.failures += answer.status != 200
        return answer.getheader(VERSION_HEADER) or ""

    def until(self, number: int, version: str) -> float:
        """The moment at which the version was seen first."""
        limit = time.monotonic() + TIMEOUT_S
        while self.version(number) != version:
            if time.monotonic() > limit:
                raise TimeoutError(f"version {version} of Mapping {number} was not live after {TIMEOUT_S:g} s")
            time.sleep(_POLL_S)
        return time.monotonic()


async def change(kube: KubeClient, number: int, version: str) -> float:
    """Write another version; the moment at which the API server confirmed it."""
    spec = {"spec": {"add_response_headers": {VERSION_HEADER: {"value": version, "append": False}}}}
    await kube.patch(GROUP, "Mapping", mapping_name(number), spec, NAMESPACE)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Single:
    """One change at a time. The watch may be quicker than the confirmation, so ``confirmed`` may be below zero."""

    written: Spread
    """From the beginning of the request to the API server."""
    confirmed: Spread
    """From its answer."""
    failures: int


async def single_changes(kube: KubeClient, prober: Prober, numbers: Sequence[int]) -> Single:
    written, confirmed = [], []
    for turn, number in enumerate(numbers, 1):
        await asyncio.sleep(0.1)
        began = time.monotonic()
        # The prober begins with the write, in a thread: it must not wait for the confirmation.
        seen = asyncio.create_task(asyncio.to_thread(prober.until, number, f"single-{turn}"))
        answered = await change(kube, number, f"single-{turn}")
        live = await seen
        written.append(live - began)
        confirmed.append(live - answered)
    return Single(Spread.of(written), Spread.of(confirmed), prober.failures)


@dataclass(frozen=True, slots=True)
class Many:
    """Many changes at once, milliseconds."""

    count: int
    written_ms: float
    """From the first write to the last confirmation: the API server's own time."""
    after_last_ms: float
    """From the last confirmation until all of them are live."""


async def changes_at_once(kube: KubeClient, prober: Prober, numbers: Sequence[int], version: str) -> Many:
    began = time.monotonic()
    answered = max(await asyncio.gather(*(change(kube, number, version) for number in numbers)))
    for number in numbers:
        await asyncio.to_thread(prober.until, number, version)
    live = time.monotonic()
    return Many(len(numbers), round(1000 * (answered - began), 1), round(1000 * (live - answered), 1))

"""What goes wrong between the gateway and its endpoints, and which requests may then be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.load import KINDS, REPLAYABLE
from tests.chaos.rig import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.toxiproxy import Toxiproxy


@dataclass(frozen=True, slots=True)
class Scenario:
    """``spared`` are the kinds of requests of which none may be lost; ``retried`` says that some are made again."""

    name: str
    begin: Callable[[Toxiproxy], None]
    spared: tuple[str, ...]
    retried: bool


def _latency(toxi: Toxiproxy) -> None:
    for name in NAMES:
        toxi.toxic(name, "latency", latency=40, jitter=30)


def _bandwidth(toxi: Toxiproxy) -> None:
    for name in NAMES:
        toxi.toxic(name, "bandwidth", rate=300)
        toxi.toxic(name, "bandwidth", "upstream", rate=300)


def _slow_close(toxi: Toxiproxy) -> None:
    for name in NAMES:
        toxi.toxic(name, "slow_close", delay=500)


def _reset_answers(toxi: Toxiproxy) -> None:
    toxi.toxic("b", "reset_peer", timeout=0)


def _reset_requests(toxi: Toxiproxy) -> None:
    toxi.toxic("b", "reset_peer", "upstream", timeout=0)


def _black_hole(toxi: Toxiproxy) -> None:
    toxi.toxic("b", "timeout", timeout=0)


def _refused(toxi: Toxiproxy) -> None:
    toxi.enable("b", enabled=False)


def _cut_short(toxi: Toxiproxy) -> None:
    for name in NAMES:
        toxi.toxic(name, "limit_data", bytes=30_000)


SCENARIOS = (
    Scenario("latency", _latency, KINDS, retried=False),
    Scenario("bandwidth", _bandwidth, REPLAYABLE, retried=False),
    Scenario("slow-close", _slow_close, KINDS, retried=False),
    Scenario("reset-of-answers", _reset_answers, REPLAYABLE, retried=True),
    Scenario("reset-of-requests", _reset_requests, REPLAYABLE, retried=True),
    Scenario("black-hole", _black_hole, REPLAYABLE, retried=True),
    Scenario("refused", _refused, REPLAYABLE, retried=True),
    # The limit falls inside of any answer, small ones included: what was passed on cannot be taken back.
    Scenario("limit-data", _cut_short, (), retried=False),
)

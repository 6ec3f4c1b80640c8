"""Fault after fault for minutes: nothing is lost that can be sent again, and nothing grows."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos.load import KINDS, REPLAYABLE, Load
from tests.chaos.rig import NAMES, Rig, rig
from tests.chaos.scenarios import SCENARIOS
from tests.support.length import seconds
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LENGTH = seconds(0.5)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LENGTH + 900)]

CLIENTS = ("get",) * 6 + ("put",) * 3 + ("large-get",) * 2 + ("large-put",) * 2
OUTAGE_S = 2.0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path, workers=2) as running:
        yield running


def settle(rig: Rig, load: Load) -> None:
    """All is well again, and the last request that met a fault is over."""
    rig.toxi.heal()
    rig.all_serve(load)
    goal = time.monotonic() + 1.0
    load.progress_well(50, *KINDS)
    until(lambda: time.monotonic() > goal, "a second without faults")


def outage(rig: Rig, load: Load) -> None:
    """No endpoint for two seconds; meanwhile every request is answered."""
    for name in NAMES:
        rig.toxi.enable(name, enabled=False)
    end = time.monotonic() + OUTAGE_S
    until(lambda: load.wrong or time.monotonic() > end, "the end of the outage")
    load.progress(1, *KINDS)
    settle(rig, load)
    assert {result for _, result in load.lost(*REPLAYABLE)} <= {"503", "cut"}


def test_fault_after_fault(running: Rig) -> None:
    choose = random.Random(20261126)
    outages = faults = 0
    with Load(running.port, *CLIENTS) as load:
        settle(running, load)
    before, end = running.rest(), time.monotonic() + LENGTH
    with Load(running.port, *CLIENTS) as load:
        running.all_serve(load)
        while time.monotonic() < end:
            scenario = choose.choice(SCENARIOS)
            lost = load.lost(*scenario.spared)
            scenario.begin(running.toxi)
            load.progress(40, *REPLAYABLE)
            load.progress(10, *KINDS, deadline=60)
            settle(running, load)
            assert load.lost(*scenario.spared) == lost, scenario.name
            faults += 1
            if faults % 5 == 0:
                outage(running, load)
                outages += 1
    running.assert_well_formed(load)
    running.assert_calm(before)
    print(f"{faults} faults, {outages} outages, {dict(load.results)}; held before {before}, after {running.held()}")

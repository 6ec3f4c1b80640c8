"""Endpoints that misbehave under load (behaviour rows 68 and 79): what can be sent again is not lost, nothing that is
cut short looks complete, and what was taken is given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.load import KINDS, LARGE, REPLAYABLE, Load
from tests.chaos.rig import NAMES, Rig, rig
from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.support.h2client import H2Client, Reset, pseudo

if TYPE_CHECKING:
    from collections.abc import Iterator

# The time is for the compiler of a machine that has nothing yet.
pytestmark = pytest.mark.timeout(900)

CLIENTS = ("get",) * 4 + ("put",) * 2 + ("large-get", "large-put")
REQUESTS = 80
"""Requests of each kind that has to be spared, while a scenario lasts."""
OUTAGE_REQUESTS = 15
"""Each takes all of its retries and the pauses before them: together more than two seconds."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("chaos")) as running:
        with Load(running.port, *CLIENTS) as load:
            running.all_serve(load)
            load.progress_well(500, *REPLAYABLE)
        yield running


@pytest.fixture
def calm(shared: Rig) -> Iterator[Rig]:
    """Whatever a test does: afterwards all is as before."""
    before = shared.rest()
    yield shared
    shared.toxi.heal()
    shared.assert_calm(before)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_load_during(calm: Rig, scenario: Scenario) -> None:
    with Load(calm.port, *CLIENTS) as load:
        calm.all_serve(load)
        retries = calm.retries()
        scenario.begin(calm.toxi)
        load.progress(REQUESTS, *REPLAYABLE)
        load.progress(5, *KINDS)
        retried = calm.retries() > retries
        calm.toxi.heal()
        calm.all_serve(load)
        load.progress_well(20, *KINDS)
    calm.assert_well_formed(load)
    assert load.lost(*scenario.spared) == {}
    assert retried == scenario.retried, "the scenario did not reach the endpoints"


def test_all_endpoints_down_and_back(calm: Rig) -> None:
    """Meanwhile every request is answered, by the gateway and at once; afterwards none is lost."""
    with Load(calm.port, *CLIENTS) as load:
        calm.all_serve(load)
        for name in NAMES:
            calm.toxi.enable(name, enabled=False)
        load.progress(OUTAGE_REQUESTS, *KINDS)
        assert {result for _, result in load.lost(*REPLAYABLE)} == {"503"}
        calm.toxi.heal()
        load.progress_well(1, *KINDS)
        calm.all_serve(load)
        lost = load.lost(*REPLAYABLE)
        load.progress_well(REQUESTS, *REPLAYABLE)
        assert load.lost(*REPLAYABLE) == lost
    calm.assert_well_formed(load)


@pytest.mark.parametrize("seed", [pytest.param(1, id="chunked"), pytest.param(2, id="length")])
def test_answers_that_are_cut_short_over_http2(calm: Rig, seed: int) -> None:
    """The stream is reset and does not end as a whole answer would."""
    for name in NAMES:
        calm.toxi.toxic(name, "limit_data", bytes=30_000)
    with H2Client(calm.port) as client:
        stream = client.start(pseudo(target=f"/get/{LARGE}/{seed}"))
        outcome = client.outcome(stream)
        assert isinstance(outcome, Reset)
        assert not outcome.connection
        assert len(client.streams[stream].body) < LARGE

"""What opens and closes: circuit breakers, active checks, outlier detection. The order of events is asserted; how long
they took is printed (``pytest -rP``)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos.load import SMALL, Load
from tests.chaos.rig import CONSECUTIVE, NAMES, Rig, rig
from tests.support.rawclient import RawClient, request
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(900)

CLIENTS = ("get",) * 4
QUIET = 300
"""Requests in a row of which none needed a retry: the endpoint is out."""
PATIENCE = 10.0
"""Seconds that a change may take on a machine that does other things: ten times what is promised."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("breakers")) as running:
        yield running


@pytest.fixture
def calm(shared: Rig) -> Iterator[Rig]:
    with Load(shared.port, *CLIENTS, prefix="/active") as load:
        shared.all_serve(load)
    before = shared.rest()
    yield shared
    shared.toxi.heal()
    shared.assert_calm(before)


def quiet(rig: Rig, load: Load) -> float:
    """Wait until requests need no retry any more; returns when the last one was seen."""
    last, retries, since = time.monotonic(), rig.retries(), load.served("get")

    def done() -> bool:
        nonlocal last, retries, since
        now = rig.retries()
        if now != retries:
            last, retries, since = time.monotonic(), now, load.served("get")
        return load.served("get") >= since + QUIET

    until(done, "no more retries", 30)
    return last


def test_a_circuit_breaker(calm: Rig) -> None:
    """Beyond four requests at once there is an answer at once; as soon as one has ended there is room again."""
    for name in NAMES:
        calm.toxi.toxic(name, "latency", latency=1500)
    order: list[str] = []
    data = request("GET", f"/narrow/get/{SMALL}/1", ("Connection", "close"))

    def hold() -> None:
        with RawClient(calm.port, timeout=30) as client:
            assert client.ask(data).status == 200
        order.append("served")

    holders = [threading.Thread(target=hold) for _ in range(4)]
    for holder in holders:
        holder.start()
    until(lambda: calm.gateway.metric("sluice_requests_in_flight") == 4, "four requests are held")
    with RawClient(calm.port) as client:
        refused = client.ask(data)
    assert (refused.status, refused.body) == (503, b"too many requests to the upstream\n")
    order.append("refused")
    until(lambda: "served" in order, "the first one ends")
    ended = time.monotonic()
    calm.toxi.heal()

    def admitted() -> bool:
        with RawClient(calm.port) as client:
            return client.ask(data).status == 200

    until(admitted, "room again", PATIENCE)
    print(f"closed after {time.monotonic() - ended:.3f} s")
    for holder in holders:
        holder.join()
    assert order == ["refused", *["served"] * 4]


def test_outlier_detection(calm: Rig) -> None:
    """So many failures in a row put an endpoint out, and no more; it comes back when its time is over."""
    with Load(calm.port, *CLIENTS, prefix="/passive") as load:
        calm.all_serve(load)
        before, began = calm.retries(), time.monotonic()
        calm.toxi.toxic("b", "reset_peer", timeout=0)
        print(f"opened after {quiet(calm, load) - began:.3f} s")
        assert CONSECUTIVE <= calm.retries() - before <= CONSECUTIVE + len(CLIENTS)
        out, began = load.endpoints["b"], time.monotonic()
        calm.toxi.heal()
        until(lambda: load.endpoints["b"] > out, "it is back", PATIENCE)
        print(f"closed after {time.monotonic() - began:.3f} s")
    calm.assert_well_formed(load)
    assert load.lost("get") == {}


def test_active_checks(calm: Rig) -> None:
    """Two checks without an answer put an endpoint out, one good answer brings it back."""
    with Load(calm.port, *CLIENTS, prefix="/active") as load:
        calm.all_serve(load)
        before, began = calm.retries(), time.monotonic()
        calm.toxi.toxic("b", "timeout", timeout=0)
        until(lambda: calm.out("health"), "it is out", PATIENCE)
        print(f"opened after {time.monotonic() - began:.3f} s")
        # Those that had been sent before wait for the time of their attempt.
        print(f"last retry after {quiet(calm, load) - began:.3f} s")
        assert calm.retries() > before
        out, began = load.endpoints["b"], time.monotonic()
        calm.toxi.heal()
        until(lambda: load.endpoints["b"] > out, "it is back", PATIENCE)
        print(f"closed after {time.monotonic() - began:.3f} s")
    calm.assert_well_formed(load)
    assert load.lost("get") == {}

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.plane.stalls import INTERVAL, LEND_AFTER, StallWatch, TurnCounter

if TYPE_CHECKING:
    import pytest

GIVE_UP = LEND_AFTER + 4
NOBODY: frozenset[int] = frozenset()


def looks(
    counter: TurnCounter, times: int, turns: list[int], serving: tuple[int, ...] = (0, 1)
) -> tuple[object, object]:
    found = [counter.look(turns, serving) for _ in range(times)][-1]
    return found.stalled, found.hopeless


def test_a_worker_that_does_not_turn_is_noticed_and_later_given_up() -> None:
    counter = TurnCounter(GIVE_UP)
    assert looks(counter, 1, [5, 5]) == (NOBODY, NOBODY)
    for turn in range(LEND_AFTER - 1):
        assert looks(counter, 1, [5, 6 + turn]) == (NOBODY, NOBODY)
    assert looks(counter, 1, [5, 50]) == ({0}, NOBODY)
    for turn in range(GIVE_UP - LEND_AFTER - 1):
        assert looks(counter, 1, [5, 51 + turn]) == ({0}, NOBODY)
    assert looks(counter, 1, [5, 99]) == ({0}, {0})


def test_one_turn_is_enough_to_be_trusted_again() -> None:
    counter = TurnCounter(GIVE_UP)
    assert looks(counter, LEND_AFTER + 1, [5]) == ({0}, NOBODY)
    assert looks(counter, 1, [6]) == (NOBODY, NOBODY)


def test_a_worker_that_does_not_serve_yet_is_not_accused() -> None:
    assert looks(TurnCounter(GIVE_UP), 2 * GIVE_UP, [0, 0], serving=()) == (NOBODY, NOBODY)


def test_the_watch_tells_once_and_replaces(caplog: pytest.LogCaptureFixture) -> None:
    turns, changes, replaced = [0, 0], list[frozenset[int]](), list[tuple[int, str]]()
    watch = StallWatch(
        (LEND_AFTER + 2) * INTERVAL,
        lambda: turns,
        lambda: (0, 1),
        lambda: changes.append(watch.stalled),
        lambda slot, reason: replaced.append((slot, reason)),
    )
    with caplog.at_level(logging.CRITICAL):
        for _ in range(LEND_AFTER + 2):
            turns[1] += 1
            watch.look()
        assert watch.stalled == frozenset({0})
        assert watch.count == 1
        assert not replaced
        watch.look()
    assert replaced == [(0, "it has not turned for 2.5 s")]
    turns[0] += 1
    watch.look()
    assert watch.stalled == NOBODY
    assert watch.count == 1
    assert changes == [{0}, NOBODY]

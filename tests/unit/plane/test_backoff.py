from __future__ import annotations

from gateway.plane.backoff import CrashBackoff


def make(random: float = 1.0) -> CrashBackoff:
    return CrashBackoff(limit=3, window=10.0, initial=0.5, maximum=4.0, random=lambda: random)


def test_few_crashes_are_replaced_at_once() -> None:
    backoff = make()
    assert [backoff.crashed(now) for now in (0.0, 1.0, 2.0)] == [0.0, 0.0, 0.0]


def test_a_loop_waits_twice_as_long_each_time_up_to_the_maximum() -> None:
    backoff = make()
    waits, now = [], 0.0
    for _ in range(8):
        waits.append(backoff.crashed(now))
        now += waits[-1] + 0.1
    assert waits == [0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 4.0]


def test_jitter_takes_up_to_half_of_the_wait() -> None:
    backoff = make(random=0.0)
    assert [backoff.crashed(0.1 * now) for now in range(5)][-2:] == [0.25, 0.5]


def test_crashes_far_apart_are_never_a_loop() -> None:
    backoff = make()
    assert [backoff.crashed(now * 4.0) for now in range(20)] == [0.0] * 20


def test_a_calm_window_forgives() -> None:
    backoff = make()
    for now in range(6):
        backoff.crashed(now * 0.1)
    assert backoff.crashed(60.0) == 0.0

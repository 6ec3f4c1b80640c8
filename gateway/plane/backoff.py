"""When a crashed worker may be started again. No clock inside: times are parameters."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class CrashBackoff:
    """At once for the first ``limit`` crashes of ``window`` seconds, then doubling waits with jitter.

    The wait starts over after a window without a crash. ``random`` gives a number in [0, 1): the wait is between half
    and the whole of the nominal one, so that the workers of many pods do not restart in step.
    """

    __slots__ = ("_crashes", "_initial", "_limit", "_maximum", "_random", "_streak", "_window")

    def __init__(self, limit: int, window: float, initial: float, maximum: float, random: Callable[[], float]) -> None:
        self._limit = limit
        self._window = window
        self._initial = initial
        self._maximum = maximum
        self._random = random
        self._crashes: deque[float] = deque(maxlen=limit + 1)
        self._streak = 0

    def crashed(self, now: float) -> float:
        """Note a crash at ``now`` (monotonic seconds); seconds to wait before the next start."""
        if self._crashes and now - self._crashes[-1] > self._window + self._nominal():
            self._streak = 0
            self._crashes.clear()
        self._crashes.append(now)
        few = len(self._crashes) <= self._limit or now - self._crashes[0] > self._window
        if few and self._streak == 0:
            return 0.0
        self._streak += 1
        return self._nominal() * (0.5 + self._random() / 2)

    def _nominal(self) -> float:
        if self._streak == 0:
            return 0.0
        return min(self._maximum, self._initial * 2.0 ** min(self._streak - 1, 30))

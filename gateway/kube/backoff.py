"""How long to wait before the API server is asked again. No clock inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_S, LONGEST_S = 0.8, 30.0


class Backoff:
    """Doubling waits from 0.8 s to 30 s, each with up to the same again of jitter below the longest one.

    ``random`` gives a number in [0, 1): many gateways that lost one API server must not come back in step.
    """

    __slots__ = ("_failures", "_random")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0

    def failed(self, retry_after: float | None = None) -> float:
        """Note a failure; seconds to wait. ``retry_after``: what the server asked for, which is the least."""
        nominal = min(SHORTEST_S * 2.0 ** min(self._failures, 10), LONGEST_S / 2)
        self._failures += 1
        wait = nominal * (1.0 + self._random())
        return max(wait, retry_after) if retry_after is not None else wait

    def succeeded(self) -> None:
        """Begin with short waits again."""
        self._failures = 0

"""Workers whose loop does not turn: a sibling takes their connections, and in the end they are replaced.

Whatever keeps a loop shows here, also what no thread of the worker could notice: native code that holds the
interpreter, a stopped process. An engine turns at least once a second, also when nobody asks for anything.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

logger = logging.getLogger(__name__)

INTERVAL = 0.25
"""Seconds between two looks."""
LEND_AFTER = 8
"""Looks without a turn after which connections go to a sibling: two seconds, twice the longest pause of an engine."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Worker slots by what a look found."""

    stalled: frozenset[int]
    """They do not turn."""
    hopeless: frozenset[int]
    """They have not turned for so long that they are replaced."""


class TurnCounter:
    """Counts looks instead of seconds: a machine that slept, or a master that was stopped, accuses nobody."""

    def __init__(self, give_up_after: int) -> None:
        """``give_up_after``: looks without a turn after which a worker is hopeless."""
        self._give_up_after = give_up_after
        self._turns: dict[int, int] = {}
        self._looks: dict[int, int] = {}

    def look(self, turns: Sequence[int], serving: Collection[int]) -> Verdicts:
        """``turns``: turns of each slot so far; ``serving``: slots whose worker has begun to serve."""
        for slot, count in enumerate(turns):
            same = slot in serving and self._turns.get(slot) == count
            self._looks[slot] = self._looks.get(slot, 0) + 1 if same else 0
            self._turns[slot] = count
        return Verdicts(self._since(LEND_AFTER), self._since(self._give_up_after))

    def _since(self, looks: int) -> frozenset[int]:
        return frozenset(slot for slot, count in self._looks.items() if count >= looks)


class StallWatch:
    """Looks at all workers of a master until it is cancelled."""

    def __init__(
        self,
        limit: float,
        turns: Callable[[], Sequence[int]],
        serving: Callable[[], Collection[int]],
        on_change: Callable[[], None],
        replace: Callable[[int, str], None],
    ) -> None:
        """``limit``: seconds without a turn after which a worker is replaced."""
        self._limit = limit
        self._counter = TurnCounter(max(LEND_AFTER + 1, math.ceil(limit / INTERVAL)))
        self._turns = turns
        self._serving = serving
        self._on_change = on_change
        self._replace = replace
        self.stalled: frozenset[int] = frozenset()
        """Slots whose worker does not turn now."""
        self.count = 0
        """How often a worker stopped turning."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(INTERVAL)

    def look(self) -> None:
        """One look."""
        found = self._counter.look(self._turns(), self._serving())
        if found.stalled != self.stalled:
            for slot in sorted(found.stalled - self.stalled):
                logger.error("worker %d does not turn; a sibling takes its connections", slot)
            for slot in sorted(self.stalled - found.stalled):
                logger.warning("worker %d turns again", slot)
            self.count += len(found.stalled - self.stalled)
            self.stalled = found.stalled
            self._on_change()
        for slot in sorted(found.hopeless):
            self._replace(slot, f"it has not turned for {self._limit:g} s")

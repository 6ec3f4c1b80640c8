"""Notices a Python filter that keeps the loop's thread, and interrupts it.

A filter runs on the loop of its worker, so one that blocks (``time.sleep``, a busy loop) would keep everything else of
that worker waiting. A thread looks now and then whether the same step of a filter is still running. If it is, a signal
goes to the loop's thread, whose handler raises :class:`FilterStalledError` inside the filter: a system call that waits
is left, too (PEP 475), which an exception set from another thread would not do. Imported by workers: standard library
only.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

logger = logging.getLogger(__name__)

SIGNAL = signal.SIGRTMIN
"""Interrupts a step: a real-time signal, because libraries that filters use take the others for themselves."""
_PARK_AFTER = 40
"""Looks in a row without a step, after which the thread sleeps until there is one."""
_STACK_DEPTH = 30
"""Innermost calls of a filter that are logged."""


class FilterStalledError(BaseException):
    """Raised inside a filter that keeps the loop. No :class:`Exception`: a filter's own error handling must not keep
    it."""


class Watchdog:
    """Looks at the steps of filters on one loop. All but its thread runs on the loop's thread.

    The dispatcher writes :attr:`serial` and :attr:`running` before each step and then looks at :attr:`parked`, in this
    order: plain stores, because calls would cost more than all the rest.
    """

    __slots__ = (
        "_condemned",
        "_interrupts",
        "_limit",
        "_loop_thread",
        "_on_stall",
        "_stalled",
        "_stopped",
        "_thread",
        "_wake",
        "parked",
        "running",
        "serial",
    )

    def __init__(self, limit: float, on_stall: Callable[[str], None], *, interrupts: bool) -> None:
        """``limit``: seconds that one step may keep the loop. ``on_stall`` is told the name of each filter that is
        caught, once, on the watchdog's thread. ``interrupts``: whether signals may be used, which only the owner of a
        process can say; without it a step that takes too long is only reported."""
        self._limit = limit
        self._on_stall = on_stall
        self._interrupts = interrupts
        self._loop_thread = threading.get_ident()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopped = False
        self._condemned = 0
        self._stalled: set[str] = set()
        self.serial = 0
        """Number of the current or last step."""
        self.running: str | None = None
        """Filter whose step runs now."""
        self.parked = True
        """The thread sleeps: :meth:`wake` is needed."""

    def wake(self) -> None:
        """Start looking."""
        self.parked = False
        if self._thread is None:
            if self._interrupts:
                signal.signal(SIGNAL, self._interrupt)
            self._thread = threading.Thread(target=self._look, name="filter-watchdog", daemon=True)
            self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """End the thread at its next look."""
        self._stopped = True
        self._wake.set()

    def _look(self) -> None:
        pause, idle = self._limit / 4, 0
        serial, since = 0, 0.0
        while not self._stopped:
            name = self.running
            if name is None or self.serial != serial:
                idle = idle + 1 if self.serial == serial else 0
                serial, since = self.serial, time.monotonic()
            elif time.monotonic() - since >= self._limit:
                self._catch(name, serial, time.monotonic() - since)
            if idle < _PARK_AFTER:
                time.sleep(pause)
                continue
            idle = 0
            self._wake.clear()
            self.parked = True
            # A step that began before the flag was up shows here; a later one sees the flag.
            if self.running is None and self.serial == serial:
                self._wake.wait()
            self.parked = False

    def _catch(self, name: str, serial: int, seconds: float) -> None:
        self._condemned = serial
        if name not in self._stalled:
            self._stalled.add(name)
            self._on_stall(name)
            frame = sys._current_frames().get(self._loop_thread)
            stack = "".join(traceback.format_stack(frame)[-_STACK_DEPTH:]) if frame is not None else ""
            logger.error(
                "filter %s has kept its worker from serving for %.2f s; from now on it runs in threads. Its stack:\n%s",
                name,
                seconds,
                stack.rstrip(),
            )
        if self._interrupts:
            signal.pthread_kill(self._loop_thread, SIGNAL)

    def _interrupt(self, _signal: int, frame: FrameType | None) -> None:
        """Runs on the loop's thread, between two instructions of whatever is there."""
        if self.running is None or self._condemned != self.serial or frame is None:
            return  # The step has ended by itself.
        if frame.f_globals.get("__name__") in _OWN_MODULES:
            return  # It has just ended or not yet begun; if not, the next look finds it again.
        raise FilterStalledError(self.running)


_OWN_MODULES = frozenset({__name__, "gateway.plane.upcalls"})

__all__ = ["FilterStalledError", "Watchdog"]

"""One worker slot: start a worker, feed it until it ends, start the next one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from gateway.plane.channel import Channel, ChannelFullError, pair
from gateway.plane.control import Failed
from gateway.plane.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.plane.backoff import CrashBackoff
    from gateway.plane.control import Configure, Message
    from gateway.plane.launch import Launcher, Running
    from gateway.plane.link import Plan

logger = logging.getLogger(__name__)

_LAST_WORDS = 1.0
"""Seconds that the last messages of an ended worker may take to arrive."""
_REPORT_TIME = 0.2
"""Seconds in which a worker that hangs may write where it hangs."""


class Slot:
    """Keeps one worker running until ``ending`` is set."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        launcher: Launcher,
        backoff: CrashBackoff,
        ending: asyncio.Event,
        on_change: Callable[[Slot], None],
    ) -> None:
        """``on_change`` is called after each message and after each end of a worker."""
        self.number = number
        self._plan = plan
        self._launcher = launcher
        self._backoff = backoff
        self._ending = ending
        self._on_change = on_change
        self._running: Running | None = None
        self._condemned: Running | None = None
        self._halted = False
        self.link: Link | None = None
        self.restarts = 0
        self.waiting = False
        """In a crash loop: from a crash that is not replaced at once until a worker serves again."""

    async def keep(self, configuration: Configure) -> None:
        """Until the end: start a worker, wait for its end, wait as the back-off says."""
        loop = asyncio.get_running_loop()
        while not self._ending.is_set():
            try:
                code = await self._live(configuration)
            except OSError as error:
                logger.error("worker %d cannot be started: %s", self.number, error)
                code = -1
            if self._ending.is_set():
                return
            self.restarts += 1
            delay = self._backoff.crashed(loop.time())
            self.waiting = self.waiting or delay > 0
            logger.error(
                "worker %d ended with %d; next one %s", self.number, code, f"in {delay:.1f} s" if delay else "now"
            )
            self._on_change(self)
            if delay:
                await within(self._ending, delay)

    @property
    def pid(self) -> int | None:
        """Process id, 0 for a worker in this process, ``None`` without a worker."""
        return None if self._running is None else self._running.pid

    @property
    def serving(self) -> bool:
        """Whether a complete configuration is in force in the worker."""
        return self.link is not None and self.link.report is not None and self.link.report.version > 0

    @property
    def current(self) -> bool:
        """Whether the newest configuration is in force in the worker."""
        return self.link is not None and self.link.current

    def sync(self, sockets: dict[str, dict[int, int]]) -> None:
        """See :meth:`gateway.plane.link.Link.sync`. A worker that does not read any more is replaced."""
        if self.link is None:
            return
        try:
            self.link.sync(sockets)
        except ChannelFullError as error:
            self._give_up(str(error))
        except OSError as error:
            # Out of descriptors or memory: what is missing is sent with the next change of anything.
            logger.error("worker %d misses a part of its configuration: %s", self.number, error)

    def halt(self) -> None:
        """Kill the worker, also one that is just being started."""
        self._halted = True
        if self._running is not None:
            self._running.kill()

    def replace(self, reason: str) -> None:
        """End a worker that cannot end by itself; where it hangs is written to standard error first."""
        running = self._running
        if running is not None and running is not self._condemned:
            self._condemned = running
            logger.error("worker %d is replaced: %s", self.number, reason)
            running.report()
            asyncio.get_running_loop().call_later(_REPORT_TIME, running.kill)

    async def _live(self, configuration: Configure) -> int:
        loop = asyncio.get_running_loop()
        ours, theirs = pair()
        closed = asyncio.Event()

        def lost(reason: str) -> None:
            closed.set()
            if reason != Channel.GONE:
                self._give_up(reason)

        channel = Channel(loop, ours, lambda message: self._received(link, message), lost)
        link = Link(channel.send, self._plan)
        try:
            self._running = await self._launcher(theirs)
            channel.start()
            if self._halted:
                self._running.kill()
            link.configure(configuration)
            self.link = link
            self._on_change(self)
            code = await self._running.wait()
            await within(closed, _LAST_WORDS)
        finally:
            channel.close()
            self.link = self._running = None
            self._on_change(self)
        return code

    def _received(self, link: Link, message: Message) -> None:
        if not link.received(message):
            return
        if isinstance(message, Failed):
            logger.error("worker %d: %s", self.number, message.message)
        if link.current:
            self.waiting = False
        self._on_change(self)

    def _give_up(self, reason: str) -> None:
        """A worker that cannot be talked to cannot be told to end either."""
        if self._running is not None:
            logger.error("worker %d is replaced: %s", self.number, reason)
            self._running.kill()


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event at most this long; whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()

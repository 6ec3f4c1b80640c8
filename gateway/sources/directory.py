"""The folder source: manifests from files and folders, followed live."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from gateway.resources.reader import DEFAULT_SETTINGS, ReadSettings
from gateway.sources.loader import Loader
from gateway.sources.status import SourceStatus
from gateway.sources.watcher import RESCAN_S, Watcher, WatchPlan

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from gateway.sources.assembly import SourceState


SETTLE_S = 0.05
"""Seconds until a file that is missing in a folder is looked for once more: longer than a program that removes a whole
folder rests between two files, short beside what people notice."""
SHORT_S = 1.0
"""A watch that lives for less than this was set too early; when that happens in a row, the next one waits."""


class DirectorySource:
    """Objects from files and folders; see :func:`~gateway.sources.tree.find_files` for what is loaded.

    A file that cannot be parsed or read keeps its last good objects, and so do a path that goes away and an object
    whose newer version is refused; the diagnostics say so. ``polling`` is for file systems without change events.
    """

    __slots__ = ("_loader", "_paths", "_polling")

    def __init__(
        self, paths: Iterable[str | Path], settings: ReadSettings = DEFAULT_SETTINGS, *, polling: bool = False
    ) -> None:
        self._paths = tuple(os.path.normpath(os.fspath(path)) for path in paths)
        self._polling = polling
        self._loader = Loader(self._paths, settings)

    def load(self) -> SourceState:
        """Read everything now, in the calling thread. Not to be mixed with a running :meth:`watch`."""
        state = self._loader.scan()
        while self._loader.unsure:
            state = self._loader.scan()
        return state

    def status(self) -> SourceStatus:
        """A folder is always there; what is wrong with its files is said by diagnostics."""
        return SourceStatus("folder")

    async def watch(self) -> AsyncGenerator[SourceState, None]:
        """Yield the state at once and after every change that matters; ends only when it is closed or cancelled.

        Reading happens in a thread. Watches are set before files are read, so that no change falls between.
        """
        last: SourceState | None = None
        loop = asyncio.get_running_loop()
        short = 0
        while True:
            started = loop.time()
            plan = await asyncio.to_thread(WatchPlan.of, self._paths, self._loader.tree.targets)
            async with Watcher(plan, polling=self._polling) as watcher:
                while watcher.running:
                    state = await asyncio.to_thread(self._loader.scan)
                    if self._loader.unsure:
                        await asyncio.sleep(SETTLE_S)
                        continue
                    if state is not last:
                        last = state
                        yield state
                    if plan != await asyncio.to_thread(WatchPlan.of, self._paths, self._loader.tree.targets):
                        break
                    await watcher.wait()
            short = short + 1 if loop.time() - started < SHORT_S else 0
            if short > 1:
                await asyncio.sleep(min(0.01 * 2**short, RESCAN_S))

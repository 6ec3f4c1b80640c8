"""How much of the memory that the kernel allows this pod is in use, and what the workers do about it (row D52).

What counts is what the kernel cannot take back: usage without file pages that are inactive, as the kubelet counts it
(Kubernetes documentation, "Node-pressure Eviction", ``memory.available``). Above a first mark connections end with
their next answer, above a second one requests are refused, which costs little memory and is over when the mark is
passed again; the alternative is the kernel's killer, which takes all connections at once.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.settings import OverloadSettings

logger = logging.getLogger(__name__)

Level = Literal[0, 1, 2]
"""0: enough memory. 1: connections end with their next answer. 2: requests are refused."""

_UNLIMITED: Final = 1 << 60
"""Bytes from which a limit is none; version 1 of the interface has no word for that."""
_MARGIN: Final = 0.02
"""Share of the limit by which usage must fall below a mark before it counts as passed: no flapping at the mark."""
_DOES: Final = ("connections are kept again", "connections end with their next answer", "requests are refused")


@dataclass(frozen=True, slots=True)
class MemoryFiles:
    """The files of a control group that say what it may use and uses, in bytes."""

    limit: Path
    usage: Path
    stat: Path
    inactive: str
    """Key in ``stat`` of file pages that can be taken back."""

    def read(self) -> float | None:
        """Used share of the limit; ``None`` without a limit. Raises :class:`OSError`, :class:`ValueError`."""
        limit = _bytes(self.limit)
        if limit is None:
            return None
        used = int(self.usage.read_text("ascii"))
        for line in self.stat.read_text("ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == self.inactive:
                used -= int(value)
        return max(used, 0) / limit


def find_memory_files(root: Path, membership: Path = Path("/proc/self/cgroup")) -> MemoryFiles | None:
    """The innermost control group around this process that has a limit, below ``root`` (``/sys/fs/cgroup``).

    Both versions of the interface are known (cgroups(7)). Inside a container the path that the process has for itself
    may not exist there; then the root is the container's own group.
    """
    try:
        lines = membership.read_text("utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            candidates = [_version2(folder) for folder in _upwards(root, path)]
        elif "memory" in controllers.split(","):
            candidates = [_version1(folder) for folder in _upwards(root / "memory", path)]
        else:
            continue
        found = next(filter(None, candidates), None)
        if found is not None:
            return found
    return None


class MemoryWatch:
    """Looks at the memory every now and then and tells the workers what it means."""

    def __init__(self, settings: OverloadSettings, files: MemoryFiles, tell: Callable[[Level], None]) -> None:
        self._settings = settings
        self._files = files
        self._tell = tell
        self._broken = False
        self.used: float | None = None
        """Share of the limit at the last look."""
        self.level: Level = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self._settings.interval)

    def look(self) -> None:
        """One look. What cannot be read is no reason to refuse anybody."""
        try:
            self.used = self._files.read()
            self._broken = False
        except (OSError, ValueError) as error:
            if not self._broken:
                logger.warning("cannot read how much memory is in use, so its limits are not applied: %s", error)
            self._broken, self.used = True, None
        level = self._judge(self.used or 0.0)
        if level != self.level:
            log = logger.warning if level else logger.info
            log("%.0f %% of the memory is in use: %s", 100 * (self.used or 0.0), _DOES[level])
            self.level = level
            self._tell(level)

    def _judge(self, used: float) -> Level:
        level: Level = 0
        marks: tuple[tuple[Level, float], ...] = ((1, self._settings.close_at), (2, self._settings.refuse_at))
        for reached, mark in marks:
            if used >= (mark - _MARGIN if self.level >= reached else mark):
                level = reached
        return level


def _upwards(root: Path, path: str) -> Iterable[Path]:
    folder = root / path.strip("/")
    while folder != root and root in folder.parents:
        yield folder
        folder = folder.parent
    yield root


def _version2(folder: Path) -> MemoryFiles | None:
    files = MemoryFiles(
        folder / "memory.max", folder / "memory.current", folder / "memory.stat", inactive="inactive_file"
    )
    return files if _limited(files) else None


def _version1(folder: Path) -> MemoryFiles | None:
    files = MemoryFiles(
        folder / "memory.limit_in_bytes",
        folder / "memory.usage_in_bytes",
        folder / "memory.stat",
        inactive="total_inactive_file",
    )
    return files if _limited(files) else None


def _limited(files: MemoryFiles) -> bool:
    try:
        return _bytes(files.limit) is not None
    except (OSError, ValueError):
        return False


def _bytes(path: Path) -> int | None:
    text = path.read_text("ascii").strip()
    if text == "max":
        return None
    value = int(text)
    return value if 0 < value < _UNLIMITED else None

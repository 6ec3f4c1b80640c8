"""A stand-in for ``gateway._native`` that remembers what it was told; compiling only parses."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any, ClassVar


class NativeError(Exception):
    """Base of errors."""


class SnapshotError(NativeError):
    """A delta that cannot be read."""


class Snapshot:
    """Bodies by section key. A body with ``"broken": true`` keeps its last good version and is an issue until it is
    replaced by one that compiles."""

    def __init__(self, version: int, sections: dict[str, Any], issues: list[tuple[str, str, str]]) -> None:
        self.version = version
        self.sections = sections
        self.issues = issues

    @staticmethod
    def compile(delta: bytes, base: Snapshot | None = None) -> Snapshot:
        data = json.loads(delta)
        if data["base"] != (base.version if base is not None and data["base"] is not None else None):
            raise SnapshotError(f"base {data['base']}")
        sections = dict(base.sections) if base is not None and data["base"] is not None else {}
        touched = {*data["remove"], *(entry["key"] for entry in data["upsert"])}
        issues = (
            [issue for issue in base.issues if issue[0] not in touched]
            if base is not None and data["base"] is not None
            else []
        )
        for key in data["remove"]:
            sections.pop(key, None)
        for entry in data["upsert"]:
            if entry["body"].get("broken"):
                issues.append((entry["key"], "body", "broken"))
            else:
                sections[entry["key"]] = entry["body"]
        return Snapshot(data["version"], sections, issues)


class SharedMemory:
    """Counts resets. ``pressures``: levels that were told, each with how many engines drained by then. The master's is
    the first one made."""

    made: ClassVar[list[SharedMemory]] = []

    def __init__(self, fd: int, workers: int) -> None:
        SharedMemory.made.append(self)
        self.resets: list[int] = []
        self.pressures: list[tuple[int, int]] = []
        self.workers = workers
        self.looks = 0
        self.stalled: set[int] = set()

    def reset_gauges(self, worker: int) -> None:
        self.resets.append(worker)

    def set_pressure(self, level: int) -> None:
        self.pressures.append((level, sum(("drain", "") in engine.log for engine in Engine.made)))

    def read(self) -> dict[str, Any]:
        return {}

    def turns(self) -> list[int]:
        self.looks += 1
        return [0 if slot in self.stalled else self.looks for slot in range(self.workers)]


class Engine:
    """Remembers; ``busy`` connections keep it from being idle."""

    made: ClassVar[list[Engine]] = []

    def __init__(self, worker: int, memory: object, on_upcalls: Any, access_log_fd: int | None, timeout: float) -> None:
        self.worker = worker
        self.on_upcalls = on_upcalls
        self.applied: list[Snapshot] = []
        self.log: list[tuple[str, str]] = []
        self.busy = 0
        self._ends = os.pipe()
        Engine.made.append(self)

    def fileno(self) -> int:
        return self._ends[0]

    def turn(self) -> None: ...

    def apply(self, snapshot: Snapshot) -> None:
        self.applied.append(snapshot)

    def listen(self, listener: str, fd: int) -> None:
        os.fstat(fd)
        self.log.append(("listen", listener))

    def listen_udp(self, listener: str, fd: int) -> None:
        os.fstat(fd)
        self.log.append(("listen_udp", listener))

    def unlisten(self, listener: str) -> None:
        self.log.append(("unlisten", listener))

    def answer(self, upcall: int, **values: object) -> None: ...

    def count_filter(self, outcome: str) -> None: ...

    def drain(self) -> None:
        self.log.append(("drain", ""))

    def connections(self) -> int:
        return self.busy

    def in_flight(self) -> int:
        return 0

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


def module() -> SimpleNamespace:
    """The names of the compiled module that the plane uses."""
    Engine.made = []
    SharedMemory.made = []
    return SimpleNamespace(
        Engine=Engine,
        NativeError=NativeError,
        SharedMemory=SharedMemory,
        Snapshot=Snapshot,
        SnapshotError=SnapshotError,
    )

"""Messages between master and worker, and their wire form.

One message is one SOCK_SEQPACKET datagram: a small JSON object, with descriptors beside it (SCM_RIGHTS). A message that
grows past ``INLINE_LIMIT`` travels in a memory file whose descriptor comes last. Imported by workers: standard library
only.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from gateway.plane import memfd

INLINE_LIMIT = 32 * 1024
"""Bytes of JSON in one datagram: far below the smallest default socket buffer (208 KiB)."""
MAX_DESCRIPTORS = 4
"""Descriptors beside one message; the kernel allows 253."""

REPORT_SIGNAL = signal.SIGRTMIN + 1
"""Makes a worker write the stacks of its threads to standard error, also one whose interpreter hangs."""

Issue = tuple[str, str, str]
"""(section key, field path, message) of something that could not be compiled."""


class ProtocolError(Exception):
    """The other side sent something that is no message of this protocol."""


@dataclass(frozen=True, slots=True)
class Configure:
    """Master → worker, first message. ``drain_timeout``, ``filter_budget`` and ``filter_block`` are seconds."""

    descriptors: ClassVar[tuple[str, ...]] = ("memory_fd", "access_log_fd")
    slot: int
    workers: int
    drain_timeout: float
    handover: float
    filter_budget: float
    filters: tuple[tuple[str, str], ...] = ()
    filter_block: float = 0.5
    filter_threads: int = 8
    memory_fd: int | None = None
    access_log_fd: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Master → worker: compile the delta in ``fd`` on top of what you have and apply it."""

    descriptors: ClassVar[tuple[str, ...]] = ("fd",)
    version: int
    fd: int


@dataclass(frozen=True, slots=True)
class Listen:
    """Master → worker: accept from ``fd`` for listener section ``name``, beside what it accepts from already.

    A datagram socket is one for HTTP/3.
    """

    descriptors: ClassVar[tuple[str, ...]] = ("fd",)
    name: str
    fd: int


@dataclass(frozen=True, slots=True)
class Unlisten:
    """Master → worker: stop accepting for listener section ``name``; connections stay."""

    descriptors: ClassVar[tuple[str, ...]] = ()
    name: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Master → worker: finish what runs and exit, after ``deadline`` seconds in any case."""

    descriptors: ClassVar[tuple[str, ...]] = ()
    deadline: float


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker → master: the loop runs. ``version`` is 0; ``issues`` name filters that could not be loaded."""

    descriptors: ClassVar[tuple[str, ...]] = ()
    version: int
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """Worker → master: new requests use ``version``."""

    descriptors: ClassVar[tuple[str, ...]] = ()
    version: int
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """Worker → master: a step failed; the worker keeps what it had. ``version``: the snapshot's, or 0."""

    descriptors: ClassVar[tuple[str, ...]] = ()
    message: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Bye:
    """Worker → master: about to exit on purpose. ``cut``: connections that were still open at its deadline."""

    descriptors: ClassVar[tuple[str, ...]] = ()
    cut: int = 0


Message = Configure | Snapshot | Listen | Unlisten | Drain | Ready | Applied | Failed | Bye
_TYPES: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Configure, Snapshot, Listen, Unlisten, Drain, Ready, Applied, Failed, Bye)
}


def release(message: Message) -> None:
    """Close the descriptors of a received message that nobody is going to use."""
    for name in message.descriptors:
        fd = getattr(message, name)
        if fd is not None:
            os.close(fd)


def encode(message: Message) -> tuple[bytes, list[int], int | None]:
    """(datagram, descriptors to pass, a descriptor of ours to close once it has been passed)."""
    kind = type(message)
    passed = {name: getattr(message, name) for name in kind.descriptors}
    values = {field.name: getattr(message, field.name) for field in fields(kind) if field.name not in passed}
    present = [name for name, fd in passed.items() if fd is not None]
    descriptors = [passed[name] for name in present]
    head: dict[str, object] = {"type": kind.__name__, "fds": present}
    data = json.dumps(head | {"values": values}).encode()
    if len(data) <= INLINE_LIMIT:
        return data, descriptors, None
    spill = memfd.sealed("sluice-message", json.dumps(values).encode())
    return json.dumps(head | {"spill": True}).encode(), [*descriptors, spill], spill


def decode(data: bytes, descriptors: list[int]) -> Message:
    """The message of a datagram. Its descriptors belong to the caller; on :class:`ProtocolError` they are closed."""
    try:
        return _decode(data, descriptors)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        for fd in descriptors:
            os.close(fd)
        raise ProtocolError(f"unreadable control message: {error}") from error


def _decode(data: bytes, descriptors: list[int]) -> Message:
    head: dict[str, Any] = json.loads(data)
    kind = _TYPES[head["type"]]
    names: list[str] = head["fds"]
    spilled = bool(head.get("spill"))
    if len(descriptors) != len(names) + spilled:
        raise ValueError(f"{len(descriptors)} descriptors for {names}")
    values: dict[str, Any] = json.loads(memfd.read(descriptors[-1])) if spilled else head["values"]
    for name in ("issues", "filters"):
        if name in values:
            values[name] = tuple(tuple(entry) for entry in values[name])
    values |= dict(zip(names, descriptors, strict=False))
    message = kind(**values)
    if spilled:
        os.close(descriptors[-1])
    return message

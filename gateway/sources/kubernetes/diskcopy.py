"""The last good objects on disk, so that a restarted container serves while the API server is away.

One file of two lines: what it is, and the objects as a JSON array. It holds the private keys that the configuration
uses, so nobody else may read it; it is written beside its place and renamed, so it is whole or not there.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

from gateway.base.hashing import content_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.kube.events import RawObject

FORMAT = 1
FILE = "kubernetes.json"
MAX_AGE_S = 7 * 24 * 3600.0
"""A copy that was not confirmed for a week says nothing any more: its certificates have been rotated."""
TOUCH_S = 600.0
"""Seconds between two confirmations of a copy that needs no change."""
MAX_BYTES = 1 << 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose objects they are; a copy of another scope is not used."""

    server: str
    namespaces: tuple[str, ...]
    label_selector: str
    field_selector: str
    ambassador_id: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Copy:
    """What the disk has."""

    objects: list[RawObject]
    age: float
    """Seconds since it was true for certain."""


class DiskCopy:
    """The copy in a folder. All methods block; call them in a thread, one at a time."""

    __slots__ = ("_path", "_scope")

    def __init__(self, folder: str, scope: Scope) -> None:
        self._path = os.path.join(folder, FILE)
        self._scope = scope

    def read(self) -> Copy | None:
        """The copy, or ``None``; one that cannot be used is reported, and left for the next write."""
        try:
            with open(self._path, "rb") as stream:
                facts = os.fstat(stream.fileno())
                content = stream.read(MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("the copy %s cannot be read: %s", self._path, error)
            return None
        age = max(time.time() - facts.st_mtime, 0.0)
        reason = "it may have been written by somebody else" if _foreign(facts) else ""
        head, _, body = content.partition(b"\n")
        objects: object = None
        if not reason:
            try:
                said = orjson.loads(head)
                age += _age_at_writing(said)
                reason = self._reason_against(said, body, age)
                objects = orjson.loads(body) if not reason else None
            except orjson.JSONDecodeError:
                reason = "it is damaged"
        if reason or not isinstance(objects, list):
            logger.warning("the copy %s is not used: %s", self._path, reason or "it is damaged")
            return None
        return Copy(objects, age)

    def write(self, texts: Sequence[bytes], age: float = 0.0) -> bool:
        """Replace the copy by these objects; a failure is reported and leaves the old copy, as old as it is.

        ``age``: seconds since all of them were true for certain, which the copy keeps.
        """
        body = b"[" + b",".join(texts) + b"]"
        head = orjson.dumps(
            {"format": FORMAT, "digest": content_digest(body).hex(), "age": age, "scope": asdict(self._scope)}
        )
        fresh = f"{self._path}.{os.getpid()}.new"
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                os.unlink(fresh)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(head + b"\n")
                stream.write(body)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(fresh, self._path)
        except OSError as error:
            logger.warning("the copy %s cannot be written: %s", self._path, error)
            with suppress(OSError):
                os.unlink(fresh)
            return False
        return True

    def confirm(self) -> None:
        """The copy is still what the cluster says. Only for one that was written with the age 0."""
        try:
            os.utime(self._path)
        except OSError as error:
            logger.warning("the copy %s cannot be confirmed: %s", self._path, error)

    def _reason_against(self, head: Any, body: bytes, age: float) -> str:
        """Why the copy is not to be used; empty if it is."""
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            return "another version of the gateway wrote it"
        if head.get("digest") != content_digest(body).hex():
            return "it is damaged"
        if head.get("scope") != orjson.loads(orjson.dumps(asdict(self._scope))):
            return "it belongs to another cluster, or to other settings"
        return f"it is older than {MAX_AGE_S / 86400:.0f} days" if age > MAX_AGE_S else ""


def _age_at_writing(head: Any) -> float:
    age = head.get("age") if isinstance(head, dict) else None
    return max(float(age), 0.0) if isinstance(age, int | float) else 0.0


def _foreign(facts: os.stat_result) -> bool:
    """Whether others may have written it: then it could be made to route anything anywhere."""
    return facts.st_uid not in (os.geteuid(), 0) or bool(stat.S_IMODE(facts.st_mode) & 0o022)

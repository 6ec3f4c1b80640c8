"""Events of a watch: JSON texts to what they mean (Kubernetes, API concepts, "Efficient detection of changes")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from gateway.kube.decoding import decoded
from gateway.kube.failure import ApiFailure, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable

RawObject: TypeAlias = dict[str, Any]
"""An object of the Kubernetes API as JSON gives it: no model of it exists at this level."""


@dataclass(frozen=True, slots=True)
class Event:
    """An object was added or changed, or it is gone."""

    object: RawObject
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What some texts said."""

    events: tuple[Event, ...]
    version: str
    """The resource version to continue from; empty when nothing said one."""
    failure: ApiFailure | None = None
    """Why the server ends the watch; what came before it counts."""


def read_events(lines: Iterable[bytes]) -> Read:
    """Decode events. Bookmarks only move the version; types that are not known are left out.

    Raises :class:`Unreachable` for what is no event: then nothing on that connection can be trusted.
    """
    events: list[Event] = []
    version = ""
    for line in lines:
        try:
            event = decoded(line)
            kind, body = event["type"], event["object"]
            if kind == "ERROR":
                return Read(tuple(events), version, _failure(body))
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                events.append(Event(body, kind == "DELETED"))
            version = body["metadata"].get("resourceVersion") or version
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreachable(f"an event of a watch cannot be read: {type(error).__name__}") from error
    return Read(tuple(events), version)


def _failure(status: RawObject) -> ApiFailure:
    """From the ``metav1.Status`` of an ``ERROR`` event."""
    code = status.get("code")
    details = status.get("details")
    after = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    return ApiFailure(
        code if isinstance(code, int) else 500,
        str(status.get("reason") or "Unknown"),
        str(status.get("message") or "the watch ended with an error"),
        float(after) if isinstance(after, int) and after > 0 else None,
    )

"""The groups of scenarios: what each does in words, and how it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.load.site import HOST, Route, Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.load.run import Run

API = (Route(HOST, "/api/"),)


@dataclass(frozen=True)
class Group:
    name: str
    method: str
    measure: Callable[[Run], None]


def plain(run: Run, name: str) -> Site:
    """One route, HTTP/1.1, to the backend that answers from memory."""
    return Site(name, API, run.backend.port)

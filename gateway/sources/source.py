"""What every source does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gateway.sources.assembly import SourceState
    from gateway.sources.status import SourceStatus


class Source(Protocol):
    """Gives complete states of all objects."""

    def watch(self) -> AsyncGenerator[SourceState, None]:
        """Yield a state as soon as there is one, and one after every change that matters."""

    def status(self) -> SourceStatus:
        """How it is doing."""

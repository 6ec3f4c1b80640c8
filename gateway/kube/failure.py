"""What can go wrong between us and the API server."""

from __future__ import annotations

from http import HTTPStatus


class Unreachable(ConnectionError):
    """No answer: refused, reset, timed out, or not to be trusted. Worth another try, later."""


class ApiFailure(Exception):
    """The API server said no; ``status`` is the HTTP status, ``reason`` that of the ``metav1.Status``."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        """``retry_after``: seconds that the server asked to wait."""
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def missing(self) -> bool:
        """There is no such object, or no such kind."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def expired(self) -> bool:
        """The resource version is too old to continue from: list again (API concepts, "410 Gone responses")."""
        return self.status == HTTPStatus.GONE

    @property
    def conflicting(self) -> bool:
        """Somebody else changed the object, or made it before us."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def refused(self) -> bool:
        """Who we are may not do that."""
        return self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

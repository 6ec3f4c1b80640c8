"""Findings in the process log: each once when it appears, and once when it is gone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.base.differences import differences

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.admin.state import Facts
    from gateway.diagnostics import Diagnostic

logger = logging.getLogger(__name__)

MAX_LINES = 50
"""Findings that one change may log: a mistake in a template can make thousands."""
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "notice": logging.INFO}


class DiagnosticLog:
    """Writes what differs from the last look. A finding that only moved to another line is not new."""

    def __init__(self) -> None:
        self._diagnostics: tuple[Diagnostic, ...] = ()

    def write(self, facts: Facts) -> None:
        """Log new findings, errors first, then those that are gone."""
        gone, fresh = differences(self._diagnostics, facts.diagnostics)
        self._diagnostics = facts.diagnostics
        before, after = _by_content(gone), _by_content(fresh)
        new = [found for content, found in after.items() if content not in before]
        lines = sorted([(_LEVELS[found.severity], str(found)) for found in new], key=lambda line: (-line[0], line[1]))
        for level, text in lines[:MAX_LINES]:
            logger.log(level, "%s", text)
        if len(lines) > MAX_LINES:
            logger.warning("%d more findings; the admin port lists them all", len(lines) - MAX_LINES)
        ended = sorted(str(found) for content, found in before.items() if content not in after)
        for text in ended[:MAX_LINES]:
            logger.info("no longer: %s", text)
        if len(ended) > MAX_LINES:
            logger.info("no longer: %d more findings", len(ended) - MAX_LINES)


def _by_content(found: Iterable[Diagnostic]) -> dict[Diagnostic, Diagnostic]:
    return {one.at_line(0): one for one in found}

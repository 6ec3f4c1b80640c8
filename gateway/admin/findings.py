"""Findings in the process log: each once, when it appears."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.base.differences import differences

if TYPE_CHECKING:
    from gateway.admin.state import Facts
    from gateway.diagnostics import Diagnostic

logger = logging.getLogger(__name__)

MAX_LINES = 50
"""Findings that one change may log: a mistake in a template can make thousands."""
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "notice": logging.INFO}


class DiagnosticLog:
    """Writes what is new since the last look."""

    def __init__(self) -> None:
        self._diagnostics: tuple[Diagnostic, ...] = ()
        self._issues: tuple[tuple[str, str, str], ...] = ()

    def write(self, facts: Facts) -> None:
        """Log new findings, errors first."""
        gone, fresh = differences(self._diagnostics, facts.diagnostics)
        new = {_line(found) for found in fresh} - {_line(found) for found in gone}
        new |= {(logging.ERROR, ": ".join(issue)) for issue in {*facts.issues} - {*self._issues}}
        self._diagnostics, self._issues = facts.diagnostics, facts.issues
        lines = sorted(new, key=lambda line: (-line[0], line[1]))
        for level, text in lines[:MAX_LINES]:
            logger.log(level, "%s", text)
        if len(lines) > MAX_LINES:
            logger.warning("%d more findings; the admin port lists them all", len(lines) - MAX_LINES)


def _line(found: Diagnostic) -> tuple[int, str]:
    return _LEVELS[found.severity], str(found)

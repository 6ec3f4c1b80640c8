"""Findings in the process log: each once, when it appears."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.admin.state import Facts

logger = logging.getLogger(__name__)

MAX_LINES = 50
"""Findings that one change may log: a mistake in a template can make thousands."""
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "notice": logging.INFO}


class DiagnosticLog:
    """Writes what is new since the last look."""

    def __init__(self) -> None:
        self._seen: frozenset[tuple[int, str]] = frozenset()

    def write(self, facts: Facts) -> None:
        """Log new findings, errors first."""
        lines = {(_LEVELS[found.severity], str(found)): None for found in facts.diagnostics}
        lines.update({(logging.ERROR, f"{key}: {path}: {text}"): None for key, path, text in facts.issues})
        new = sorted(lines.keys() - self._seen, key=lambda line: (-line[0], line[1]))
        for level, text in new[:MAX_LINES]:
            logger.log(level, "%s", text)
        if len(new) > MAX_LINES:
            logger.warning("%d more findings; the admin port lists them all", len(new) - MAX_LINES)
        self._seen = frozenset(lines)

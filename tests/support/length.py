"""How long the tests that ``make test-slow`` runs may take."""

from __future__ import annotations

import os

MINUTES = float(os.environ.get("SLOW_MINUTES", "2"))
"""Length of the longest of them. The others take a part of it."""


def seconds(part: float = 1.0) -> float:
    return 60 * MINUTES * part

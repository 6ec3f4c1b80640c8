"""Where Sluice and the rivals disagree about a class of syntax, and why Sluice does what it does.

Keys are rules of the corpus. An entry that no payload needs any more is an error, so the tables cannot rot.
"""

from __future__ import annotations

STRICTER: dict[str, str] = {}
"""Sluice refuses what at least one rival forwards."""

BETWEEN: dict[str, str] = {}
"""Sluice forwards what exactly one rival refuses."""

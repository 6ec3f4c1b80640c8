"""Host name globs as Emissary and Envoy understand them: ``name``, ``*``, ``*.suffix`` and ``prefix.*``.

The star stands for any non-empty text, dots included (Envoy's virtual host domains). Comparison ignores case,
because DNS names do. Intersection follows ``hostglob_matches`` of Emissary's ``ir/irutils.py``: a pattern with a star
at both ends or inside is no glob and only equals itself.
"""

from __future__ import annotations


def is_glob(pattern: str) -> bool:
    """Tell whether a pattern is well formed: at most one star, at its start or at its end."""
    return bool(pattern) and pattern.count("*") <= (1 if "*" in (pattern[0], pattern[-1]) else 0)


def glob_matches(pattern: str, host: str) -> bool:
    """Tell whether ``host``, a name without port and without star, is covered by ``pattern``."""
    pattern, host = pattern.lower(), host.lower()
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return len(host) >= len(pattern) and host.endswith(pattern[1:])
    if pattern.endswith("*"):
        return len(host) >= len(pattern) and host.startswith(pattern[:-1])
    return pattern == host


def globs_intersect(first: str, second: str) -> bool:
    """Tell whether some host name is covered by both patterns.

    A suffix pattern and a prefix pattern always have names in common: ``*.x`` and ``a.*`` share ``a.x`` or ``a.b.x``.
    """
    first, second = first.lower(), second.lower()
    if first == second or "*" in (first, second):
        return True
    if not is_glob(first) or not is_glob(second):
        return False
    if "*" not in first:
        return first == second if "*" not in second else glob_matches(second, first)
    if "*" not in second:
        return glob_matches(first, second)
    if first.startswith("*") != second.startswith("*"):
        return True
    if first.startswith("*"):
        return first[1:].endswith(second[1:]) or second[1:].endswith(first[1:])
    return first[:-1].startswith(second[:-1]) or second[:-1].startswith(first[:-1])


def narrower(first: str, second: str) -> str | None:
    """Return the narrower of two patterns when one covers the other, or ``None`` when they only overlap or differ."""
    if globs_intersect(first, second):
        if _covers(second, first):
            return first
        if _covers(first, second):
            return second
    return None


def _covers(wide: str, narrow: str) -> bool:
    wide, narrow = wide.lower(), narrow.lower()
    if "*" not in narrow:
        return glob_matches(wide, narrow) if "*" in wide else wide == narrow
    if wide == "*":
        return True
    if wide.startswith("*"):
        return narrow.startswith("*") and narrow.endswith(wide[1:])
    return wide.endswith("*") and narrow.endswith("*") and narrow.startswith(wide[:-1])

"""ACME HTTP-01 challenges (RFC 8555, section 8.3) are answered over cleartext whatever a host does with cleartext.

Source of the rule: Emissary routes ``/.well-known/acme-challenge/`` always (features.md 1.3, item 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway import ir

ACME_PREFIX = "/.well-known/acme-challenge/"


def is_acme(path: ir.PathMatch) -> bool:
    """Whether a route matches challenges only."""
    return path.kind != "regex" and path.value.startswith(ACME_PREFIX)

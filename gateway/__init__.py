"""Sluice: a Kubernetes-native API gateway whose host is an asyncio loop.

``Gateway`` is loaded on first use: worker processes import this package too and must stay small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.app import Gateway

__all__ = ["Gateway"]


def __getattr__(name: str) -> object:
    if name == "Gateway":
        from gateway.app import Gateway

        return Gateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The crash barrier: a fault in the translation of one object costs that object, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.diagnostics import Collector, Origin

T = TypeVar("T")


def guarded(origin: Origin, found: Collector, work: Callable[[], T]) -> T | None:
    """Run ``work`` for one object. A crash becomes an error diagnostic with the type of the exception, and ``None``.

    This is the only broad ``except`` of translation (design rule "one bad object gets a diagnostic, everything else
    goes live"). The text of the exception is left out: it may quote a secret.
    """
    try:
        return work()
    except Exception as crash:  # noqa: BLE001 - the documented barrier
        found.error(
            "translation-crash",
            f"could not be translated because of a fault in the gateway ({type(crash).__name__}); it is not served",
            origin,
            hint="please report this with the manifest",
        )
        return None

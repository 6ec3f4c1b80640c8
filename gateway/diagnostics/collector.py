"""A place to put findings while working."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from gateway.diagnostics.model import Diagnostic, Origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.diagnostics.model import Severity


class Collector:
    """Gathers diagnostics; equal ones are kept once. Not shared between threads."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep one finding."""
        self._found.append(diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keep several findings."""
        self._found.extend(diagnostics)

    def error(self, code: str, message: str, origin: Origin, field: str = "", hint: str = "") -> None:
        """Report that something was refused."""
        self._report("error", code, message, origin, field, hint)

    def warning(self, code: str, message: str, origin: Origin, field: str = "", hint: str = "") -> None:
        """Report that something works, but not as it is written."""
        self._report("warning", code, message, origin, field, hint)

    def notice(self, code: str, message: str, origin: Origin, field: str = "", hint: str = "") -> None:
        """Report something worth knowing."""
        self._report("notice", code, message, origin, field, hint)

    def of(self, code: str) -> list[Diagnostic]:
        """The findings with a code, in the order in which they came."""
        return [diagnostic for diagnostic in self._found if diagnostic.code == code]

    def sorted(self) -> tuple[Diagnostic, ...]:
        """Return everything found so far, errors first, then by place."""
        keyed = zip(map(Diagnostic.sort_key, self._found), self._found, strict=True)
        return tuple(dict(sorted(keyed, key=itemgetter(0))).values())

    @property
    def has_errors(self) -> bool:
        """Whether anything was refused."""
        return any(diagnostic.severity == "error" for diagnostic in self._found)

    def __len__(self) -> int:
        return len(self.sorted())

    def _report(self, severity: Severity, code: str, message: str, origin: Origin, field: str, hint: str) -> None:
        self.add(Diagnostic(severity, code, message, origin, field, hint))

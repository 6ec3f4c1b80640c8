"""The diagnostic and its two forms: a JSON object and one line of text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypedDict

Severity = Literal["error", "warning", "notice"]
"""``error``: something was refused. ``warning``: it works, but not as written. ``notice``: for information."""

_RANK: dict[Severity, int] = {"error": 0, "warning": 1, "notice": 2}


class DiagnosticJson(TypedDict):
    """The JSON form; every key is always there, so that programs need no defaults."""

    severity: Severity
    code: str
    message: str
    kind: str
    namespace: str
    name: str
    path: str
    line: int
    field: str
    hint: str


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """The object a finding is about. All parts may be empty: a file that cannot be read has only a path."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    """The file that declares the object, empty for objects of a cluster."""

    def __str__(self) -> str:
        if not self.kind:
            return self.path
        if not self.name:
            return self.kind
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


_NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. ``code`` is a stable kebab-case word for programs, ``message`` is for people.

    ``field`` is the path inside the object as people write it (``spec.hostBinding.namespace.from``,
    ``spec.limits[0].rate``), ``hint`` says what to do. ``line`` counts from 1; 0 means that it is not known.
    """

    severity: Severity
    code: str
    message: str
    origin: Origin = _NOWHERE
    field: str = ""
    hint: str = ""
    line: int = 0

    def __lt__(self, other: Diagnostic) -> bool:
        return self.sort_key() < other.sort_key()

    def sort_key(self) -> tuple[int, str, int, str, str, str, str, str, str, str]:
        """Order: severity, file, line, object, field, code, message, hint. Equal inputs give one order anywhere.

        Every field is part of it: findings with the same key are equal.
        """
        origin = self.origin
        return (
            _RANK[self.severity],
            origin.path,
            self.line,
            origin.kind,
            origin.namespace,
            origin.name,
            self.field,
            self.code,
            self.message,
            self.hint,
        )

    def at_line(self, line: int) -> Diagnostic:
        """Return the same finding with the line where its object starts."""
        return self if line == self.line else replace(self, line=line)

    def to_json(self) -> DiagnosticJson:
        """Return the form that JSON encoders take."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "kind": self.origin.kind,
            "namespace": self.origin.namespace,
            "name": self.origin.name,
            "path": self.origin.path,
            "line": self.line,
            "field": self.field,
            "hint": self.hint,
        }

    def __str__(self) -> str:
        """One line: ``routes.yaml:12: error: Mapping default/quote: spec.prefix: is required [field-required]``."""
        place = f"{self.origin.path}:{self.line}" if self.origin.path and self.line else self.origin.path
        about = str(self.origin) if self.origin.kind else ""
        parts = (place, self.severity, about, self.field, self.message)
        text = ": ".join(part for part in parts if part)
        if self.hint:
            text += f" ({self.hint})"
        return " ".join(text.split()) + f" [{self.code}]"

"""From one object and what was found about it to its status. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.status.wanted import Condition, HostStatus, MappingStatus
from gateway.translate.certificates import names_foreign_secret
from gateway.translate.protection import NOT_APPLIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.diagnostics import Diagnostic
    from gateway.resources import Host, Mapping
    from gateway.resources.model import Resource

_MAX_TEXT = 1024
"""Characters of a reason: a located sentence needs a tenth of that."""
_COMPILER = "compile"
_KEPT = "last-good-kept"
_DUPLICATE = "object-duplicate"
"""Is about another declaration of the same name, in an annotation; the object itself stays."""
_STAYS = "its last good version stays in use until this one is corrected"
_NOT_YOURS = "a Secret of another namespace cannot be used; the log of the gateway says why"
"""The same whatever is wrong: readers of an object may not learn from it what Secrets of others are like."""
_UNSERVED = "no Host takes it, so it is not served"


def mapping_status(mapping: Mapping | None, findings: Sequence[Diagnostic], *, served: bool) -> MappingStatus:
    """``mapping`` is ``None`` if it was refused when it was read; ``served``: the data plane has a route of it."""
    cause = _cause(findings, served=served)
    reason = "" if cause is None and served else _UNSERVED if cause is None else _text(cause)
    if _is_kept(findings):
        reason = f"{reason}; {_STAYS}"
    return MappingStatus("Inactive" if reason else "Running", reason, _conditions(mapping, findings, served=served))


def host_status(host: Host | None, findings: Sequence[Diagnostic]) -> HostStatus:
    """``host`` is ``None`` if it was refused when it was read."""
    cause = _cause(findings, served=True)
    return HostStatus(
        "Ready" if cause is None else "Error",
        "Other" if host is not None and _has_certificate(host) else "None",
        "" if cause is None else _text(cause),
        _conditions(host, findings, served=host is not None),
    )


def _cause(findings: Sequence[Diagnostic], *, served: bool) -> Diagnostic | None:
    """Why an object does not do what it says: its first error, or a protection that it lacks."""
    errors = (item for item in findings if _is_wrong(item))
    return next(errors, None if served else next((item for item in findings if item.code == NOT_APPLIED), None))


def _is_wrong(finding: Diagnostic) -> bool:
    return finding.severity == "error" and finding.code != _DUPLICATE


def _is_kept(findings: Sequence[Diagnostic]) -> bool:
    return any(item.code == _KEPT for item in findings)


def _has_certificate(host: Host) -> bool:
    spec = host.spec
    return (
        (spec.tls_secret is not None and bool(spec.tls_secret.name))
        or (spec.tls_context is not None and bool(spec.tls_context.name))
        or (spec.tls is not None and bool(spec.tls.cert_chain_file))
    )


def _conditions(
    resource: Resource | None, findings: Sequence[Diagnostic], *, served: bool
) -> tuple[Condition, Condition]:
    """``Accepted``: the object is right. ``Programmed``: the data plane does what it says.

    A generation is only named if that generation was judged: a refused object has none here, and one whose last good
    version stays in use has the generation of that version.
    """
    kept = _is_kept(findings)
    generation = None if resource is None or kept else resource.metadata.generation or None
    wrong = next((item for item in findings if _is_wrong(item) and item.code != _COMPILER), None)
    broken = next((item for item in findings if item.code == _COMPILER), None)
    if wrong is not None:
        accepted = Condition("Accepted", False, _word(wrong.code), _text(wrong), generation)
    else:
        worth = next((item for item in findings if item is not broken), None)
        accepted = Condition("Accepted", True, "Accepted", "" if worth is None else _text(worth), generation)
    if kept:
        return accepted, Condition("Programmed", served, "LastGoodKept", _STAYS, generation)
    cause = broken or _cause(findings, served=served)
    if cause is not None:
        return accepted, Condition("Programmed", False, _word(cause.code), _text(cause), generation)
    if not served:
        return accepted, Condition("Programmed", False, "NotServed", _UNSERVED, generation)
    return accepted, Condition("Programmed", True, "Programmed", "", generation)


def _text(finding: Diagnostic) -> str:
    """Field and message, as ``sluice check`` has it behind the name of the object."""
    if names_foreign_secret(f"{finding.message} {finding.hint}", finding.origin.namespace):
        return _NOT_YOURS
    text = ": ".join(part for part in (finding.field, finding.message) if part)
    text = " ".join((f"{text} ({finding.hint})" if finding.hint else text).split())
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def _word(code: str) -> str:
    """``field-type`` is ``FieldType``: reasons of conditions are words in camel case."""
    return "".join(part.capitalize() for part in code.split("-"))

"""The process log says each finding once."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.admin.findings import MAX_LINES, DiagnosticLog
from gateway.admin.state import Facts
from gateway.diagnostics import Diagnostic, Origin

if TYPE_CHECKING:
    import pytest

FACTS = Facts(
    ready=True,
    reason="",
    version=1,
    digest="",
    config_age=0.0,
    workers_wanted=1,
    workers_ready=1,
    restarts=0,
    update_failures=0,
    diagnostics=(),
    issues=(),
    listeners={},
    clusters={},
)


def finding(name: str, severity: str = "warning") -> Diagnostic:
    return Diagnostic(severity, "code", "message", Origin("Mapping", "d", name))  # type: ignore[arg-type]


def test_only_news_is_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = DiagnosticLog()

    def written(*diagnostics: Diagnostic, issues: tuple[tuple[str, str, str], ...] = ()) -> list[str]:
        caplog.clear()
        log.write(replace(FACTS, diagnostics=diagnostics, issues=issues))
        return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]

    text = "Mapping d/{}: message [code]"
    a, b = finding("a"), finding("b", "error")
    assert written(a, b) == ["ERROR error: " + text.format("b"), "WARNING warning: " + text.format("a")]
    assert written(a, b) == []
    assert written(finding("a"), b, issues=(("cluster/x", "tls", "bad"),)) == ["ERROR cluster/x: tls: bad"]
    assert written(b) == []
    assert written(a, b) == ["WARNING warning: " + text.format("a")]
    many = written(*[finding(f"{number}") for number in range(MAX_LINES + 5)])
    assert len(many) == MAX_LINES + 1
    assert many[-1] == "WARNING 5 more findings; the admin port lists them all"

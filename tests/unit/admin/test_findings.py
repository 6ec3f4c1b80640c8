"""The process log says each finding once, and once that it is gone."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.admin.findings import MAX_LINES, DiagnosticLog
from gateway.admin.state import Facts
from gateway.diagnostics import Diagnostic, Origin
from gateway.sources import SourceStatus

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
    stalls=0,
    update_failures=0,
    diagnostics=(),
    issues=(),
    memory_used=None,
    memory_pressure=0,
    listeners={},
    breakers={},
    clusters={},
    source=SourceStatus("folder"),
)


def finding(name: str, severity: str = "warning") -> Diagnostic:
    return Diagnostic(severity, "code", "message", Origin("Mapping", "d", name))  # type: ignore[arg-type]


def test_only_news_is_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = DiagnosticLog()

    def written(*diagnostics: Diagnostic) -> list[str]:
        caplog.clear()
        log.write(replace(FACTS, diagnostics=diagnostics))
        return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]

    text = "Mapping d/{}: message [code]"
    a, b = finding("a"), finding("b", "error")
    assert written(a, b) == ["ERROR error: " + text.format("b"), "WARNING warning: " + text.format("a")]
    assert written(a, b) == []
    assert written(finding("a"), b) == []
    assert written(a.at_line(7), b) == [], "another line is no news"
    assert written(b) == ["INFO no longer: warning: " + text.format("a")]
    assert written(a, b) == ["WARNING warning: " + text.format("a")]
    many = written(*[finding(f"{number}") for number in range(MAX_LINES + 5)])
    assert many[MAX_LINES] == "WARNING 5 more findings; the admin port lists them all"
    assert many[MAX_LINES + 1 :] == [f"INFO no longer: {one}" for one in sorted(map(str, (a, b)))]
    assert written()[-1] == "INFO no longer: 5 more findings"

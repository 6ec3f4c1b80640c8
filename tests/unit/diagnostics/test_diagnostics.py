"""Findings: text, JSON, order."""

import json

from gateway.diagnostics import Collector, Diagnostic, Origin

ORIGIN = Origin("Listener", "edge", "web", "edge/web.yaml")


def test_one_line_names_object_field_and_expectation() -> None:
    found = Diagnostic(
        "error",
        "field-type",
        "expected one of ALL, SELF, got 'ANY'",
        ORIGIN,
        "spec.hostBinding.namespace.from",
        "did you mean ALL?",
        12,
    )
    assert str(found) == (
        "edge/web.yaml:12: error: Listener edge/web: spec.hostBinding.namespace.from: "
        "expected one of ALL, SELF, got 'ANY' (did you mean ALL?) [field-type]"
    )


def test_text_is_one_line_whatever_is_in_it() -> None:
    assert "\n" not in str(Diagnostic("error", "x", "a\nb\rc", Origin("A", "b", "c\nd")))


def test_json_has_every_key() -> None:
    found = Diagnostic("notice", "kind-ignored", "not read", ORIGIN)
    assert json.loads(json.dumps(found.to_json())) == {
        "severity": "notice",
        "code": "kind-ignored",
        "message": "not read",
        "kind": "Listener",
        "namespace": "edge",
        "name": "web",
        "path": "edge/web.yaml",
        "line": 0,
        "field": "",
        "hint": "",
    }


def test_collector_orders_by_severity_then_place_and_drops_repeats() -> None:
    collector = Collector()
    collector.notice("n", "note", ORIGIN)
    collector.warning("w", "warn", ORIGIN)
    assert not collector.has_errors
    collector.error("e", "late", ORIGIN, "spec.b")
    collector.error("e", "early", ORIGIN, "spec.a")
    collector.error("e", "early", ORIGIN, "spec.a")
    assert collector.has_errors
    assert [found.message for found in collector.sorted()] == ["early", "late", "warn", "note"]
    assert len(collector) == 4

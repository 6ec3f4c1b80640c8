"""Mapping and Host association, as Emissary's ``matches_httpgroup``."""

from __future__ import annotations

import pytest

from gateway.translate import TranslateSettings, translate
from tests.golden.compact import read

LABELS = "{team: a}"


def manifest(hostname: str, selector: str, fields: str, labels: str) -> str:
    return f"""
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {{name: h, namespace: d}}
spec: {{hostname: "{hostname}"{selector}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {{name: m, namespace: d, labels: {labels}}}
spec: {{prefix: /, service: s{fields}}}
"""


SELECTOR = ", mappingSelector: {matchLabels: {team: a}}"


@pytest.mark.parametrize(
    ("hostname", "selector", "fields", "labels", "taken", "taken_loosely"),
    [
        pytest.param("a.x", "", ', hostname: "a.x"', "{}", True, True, id="equal"),
        pytest.param("a.x", "", ', hostname: "b.x"', "{}", False, False, id="different"),
        pytest.param("*.x", "", ', hostname: "a.x"', "{}", True, True, id="host glob"),
        pytest.param("a.x", "", ', hostname: "*.x"', "{}", True, True, id="mapping glob"),
        pytest.param("a.*", "", ', hostname: "*.x"', "{}", True, True, id="globs intersect"),
        pytest.param("*", "", ', hostname: "b.y"', "{}", True, True, id="any host"),
        pytest.param("*", "", "", "{}", False, False, id="nothing to go by"),
        pytest.param("a.x", SELECTOR, "", LABELS, True, True, id="selector only"),
        pytest.param("a.x", SELECTOR, "", "{}", False, False, id="selector misses"),
        pytest.param("a.x", SELECTOR, ', hostname: "a.x"', LABELS, True, True, id="both hold"),
        pytest.param("a.x", SELECTOR, ', hostname: "a.x"', "{}", False, True, id="only the name holds"),
        pytest.param("a.x", SELECTOR, ', hostname: "b.x"', LABELS, False, True, id="only the labels hold"),
        pytest.param("a.x", "", ', host: "b.*", host_regex: true', "{}", True, True, id="regex asks every Host"),
        pytest.param("a.x", "", ', headers: {":authority": a.x}', "{}", True, True, id="authority header"),
        pytest.param("A.x:8443", "", ', hostname: "a.X:80"', "{}", True, True, id="case and port"),
    ],
)
def test_association(hostname: str, selector: str, fields: str, labels: str, taken: bool, taken_loosely: bool) -> None:
    resources, findings = read(manifest(hostname, selector, fields, labels))
    assert not findings
    for strict, expected in ((True, taken), (False, taken_loosely)):
        (host,) = translate(resources, TranslateSettings(strict_label_selectors=strict)).gateway.virtual_hosts
        assert bool(host.routes) is expected

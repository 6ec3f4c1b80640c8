"""One bad object among good ones: the good ones serve as if it were not there, and the bad one is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.resources import ResourceSet
from gateway.resources.model import GETAMBASSADOR
from gateway.resources.reader import ReadResult, read_object
from gateway.resources.registry import KINDS
from gateway.translate import TranslateSettings, Translation, translate
from tests.support.poison import CLOSING, OPTIONS, POISON, REQUIRED, Raw, ambassador, fields, poisoned

if TYPE_CHECKING:
    from gateway import ir


def good(count: int) -> list[Raw]:
    listener = {
        "port": 8080,
        "protocol": "HTTP",
        "securityModel": "XFP",
        "hostBinding": {"namespace": {"from": "ALL"}},
    }
    return [
        ambassador("Listener", "http", listener),
        ambassador("Host", "all", {"hostname": "*", "requestPolicy": {"insecure": {"action": "Route"}}}),
        *(
            ambassador("Mapping", f"good-{number}", {"hostname": "*", "prefix": f"/g{number}/", "service": "s"})
            for number in range(count)
        ),
    ]


def served(gateway: ir.Gateway) -> dict[str, ir.Route]:
    return {
        route.name: route
        for host in gateway.virtual_hosts
        if host.name == "*"
        for route in host.routes
        if "/good-" in route.name
    }


def run(clean: list[ReadResult], bad: Raw) -> tuple[ReadResult, Translation]:
    result = read_object(bad)
    resources = [item for read in [*clean, result] for item in (*read.resources, *read.stand_ins)]
    return result, translate(ResourceSet.build(resources), TranslateSettings(namespace="d"))


def check(kind: str, before: Translation, result: ReadResult, after: Translation, what: str) -> None:
    assert not [item for item in after.diagnostics if item.code == "translation-crash"], what
    if not result.resources and "ambassador-id-other" not in {item.code for item in result.diagnostics}:
        assert any(item.severity == "error" and item.origin.kind == kind for item in result.diagnostics), what
    old, new = served(before.gateway), served(after.gateway)
    assert new.keys() == old.keys(), what
    for name, route in new.items() if kind not in OPTIONS else ():
        refused = kind in CLOSING and all(choice.direct is not None for choice in route.choices)
        assert refused or route == old[name], what
    if kind == "AuthService" and "ambassador-id-other" not in {item.code for item in result.diagnostics}:
        assert all(choice.direct is not None for route in new.values() for choice in route.choices), "never opened"


@pytest.mark.parametrize("kind", [kind for group, kind in KINDS if group == GETAMBASSADOR])
def test_every_field_of_every_kind(kind: str) -> None:
    clean = [read_object(raw) for raw in good(3)]
    before = translate(
        ResourceSet.build([item for read in clean for item in read.resources]), TranslateSettings(namespace="d")
    )
    for field in fields(kind):
        for value in POISON:
            result, after = run(clean, poisoned(kind, field, value))
            check(kind, before, result, after, f"{kind}.{field} = {value!r:.60}")


def test_among_a_thousand() -> None:
    clean = [read_object(raw) for raw in good(1000)]
    before = translate(
        ResourceSet.build([item for read in clean for item in read.resources]), TranslateSettings(namespace="d")
    )
    for kind in REQUIRED:
        field = fields(kind)[-1]
        result, after = run(clean, poisoned(kind, field, {"no": "such"}))
        check(kind, before, result, after, f"{kind}.{field}")

"""References to variables in manifests: nothing is replaced but what the operator allows."""

from __future__ import annotations

import pytest

from gateway.resources import Mapping
from gateway.resources.reader import ReadResult, ReadSettings, read_object
from gateway.resources.variables import expanded, references

VARIABLES = {"EDGE_HOST": "shop.example", "EDGE_QUOTE": '": {}, "'}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${EDGE_HOST}", "shop.example"),
        ("a.$EDGE_HOST:80", "a.shop.example:80"),
        ("${HOME} $HOME $ ${ $$ ^/a$", "${HOME} $HOME $ ${ $$ ^/a$"),
        ("${EDGE_QUOTE}", '": {}, "'),
        ("plain", "plain"),
    ],
)
def test_expanded(text: str, expected: str) -> None:
    assert expanded({"a": [text], "$EDGE_HOST": 5}, VARIABLES) == {"a": [expected], "$EDGE_HOST": 5}


def test_references() -> None:
    assert references({"a": ["${B} ${A}", "$C", 5], "b": {"c": "${B}"}}) == {"A", "B"}


def read(variables: dict[str, str], kind: str = "Mapping") -> ReadResult:
    spec = {"prefix": "/a/", "service": "quote", "hostname": "${EDGE_HOST}", "host_rewrite": "${HOME}"}
    raw = {"apiVersion": "getambassador.io/v3alpha1", "kind": kind, "metadata": {"name": "m"}, "spec": spec}
    return read_object(raw, settings=ReadSettings(variables=variables))


def test_allowed_variables_are_replaced_and_the_rest_is_reported() -> None:
    result = read(VARIABLES)
    (mapping,) = result.resources
    assert isinstance(mapping, Mapping)
    assert (mapping.spec.hostname, mapping.spec.host_rewrite) == ("shop.example", "${HOME}")
    (found,) = result.diagnostics
    assert (found.severity, found.code, found.field) == ("notice", "differs-from-emissary", "spec")
    assert found.message.startswith("${HOME} is not replaced")


def test_nothing_is_replaced_by_default() -> None:
    found = next(item for item in read({}).diagnostics if item.code == "differs-from-emissary")
    assert "${EDGE_HOST}, ${HOME} is not replaced" in found.message


def test_other_objects_are_left_alone() -> None:
    raw = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "${EDGE_HOST}"}}
    result = read_object(raw, settings=ReadSettings(variables=VARIABLES))
    assert result.diagnostics == ()
    assert "shop.example" not in repr(result.resources)

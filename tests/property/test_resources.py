"""Garbage in every field: nothing raises, faults are located, and nothing is half-applied."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.base.durations import DurationError, parse_duration_ms
from gateway.base.globs import glob_matches, globs_intersect
from gateway.resources.legacy import relax, upgrade
from gateway.resources.reader import read_object
from gateway.resources.registry import AMBASSADOR_VERSIONS, KINDS
from gateway.resources.scalars import key_text, resolve
from gateway.resources.yamltree import ManifestError, parse_yaml

if TYPE_CHECKING:
    from gateway.resources.registry import KindEntry

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\0", "x" * 1_000_000, "*", "a*b", "http://", "5s", "-1", "\ud800"])
)
GARBAGE = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(["name", "header", "generic_key", "<<"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
ENTRIES = [pytest.param(group, kind, entry, id=f"{kind}-{group}") for (group, kind), entry in KINDS.items()]
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def field_names(model: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(model)]


def raw_object(group: str, kind: str, version: str, entry: KindEntry, body: object) -> dict[str, object]:
    raw: dict[str, object] = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind}
    if entry.flat and isinstance(body, dict):
        raw.update(body)
    else:
        raw["spec"] = body
    return {**raw, "metadata": {"name": "ambassador", "namespace": "ns"}}


@pytest.mark.parametrize(("group", "kind", "entry"), ENTRIES)
@given(data=st.data())
@QUICK
def test_garbage_in_any_field_never_raises(group: str, kind: str, entry: KindEntry, data: st.DataObject) -> None:
    names = st.sampled_from(field_names(entry.body))
    body = data.draw(st.dictionaries(names | st.text(max_size=5), GARBAGE, max_size=6) | GARBAGE)
    version = data.draw(st.sampled_from(sorted(entry.versions | {"v2"})))
    result = read_object(raw_object(group, kind, version, entry, body), "f.yaml")
    if not any(found.code == "ambassador-id-other" for found in result.diagnostics):
        refused = any(found.severity == "error" for found in result.diagnostics)
        assert refused != any(resource.kind == kind for resource in result.resources)
    assert all(len(str(found)) < 4_000 for found in result.diagnostics)


@given(raw=GARBAGE)
@QUICK
def test_garbage_instead_of_an_object_never_raises(raw: object) -> None:
    assert read_object(raw).resources == ()


@given(metadata=GARBAGE, annotation=st.text(max_size=60))
@QUICK
def test_garbage_in_metadata_never_raises(metadata: object, annotation: str) -> None:
    for value in (metadata, {"name": "a", "annotations": {"getambassador.io/config": annotation}}):
        read_object({"apiVersion": "v1", "kind": "Service", "metadata": value})


WRONG = {"mapping": {"no": "such"}, "sequence": [[]], "number": 3.5, "negative": -(2**70)}


def wrong_fields() -> list[object]:
    cases: list[object] = []
    for (group, kind), entry in KINDS.items():
        if group == "extensions":
            continue
        cases += [pytest.param(group, kind, entry, field, id=f"{kind}.{field}") for field in field_names(entry.body)]
    return cases


@pytest.mark.parametrize(("group", "kind", "entry", "field"), wrong_fields())
def test_a_wrong_type_is_reported_at_its_field(group: str, kind: str, entry: KindEntry, field: str) -> None:
    version = "v3alpha1" if group == "getambassador.io" else "v1"
    prefix = "" if entry.flat else "spec."
    reported = 0
    for value in WRONG.values():
        result = read_object(raw_object(group, kind, version, entry, {field: value}))
        reported += any(found.field.startswith(prefix + field) for found in result.diagnostics)
    free = field in ("config", "envoy_override", "modules", "labels", "data", "stringData", "binaryData")
    assert reported >= (1 if free else 2)


@given(
    spec=st.dictionaries(st.text(max_size=5), GARBAGE, max_size=5), version=st.sampled_from(sorted(AMBASSADOR_VERSIONS))
)
@QUICK
def test_rewriting_never_changes_its_input(spec: dict[str, object], version: str) -> None:
    before = repr(spec)
    for kind in ("Mapping", "Module", "Host", "RateLimit"):
        relax(kind, upgrade(kind, version, spec))
    assert repr(spec) == before


@given(text=st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!|>#'\"\n \t,?%@0.<~")), max_size=60))
@settings(max_examples=300, deadline=None)
def test_yaml_is_parsed_or_refused(text: str) -> None:
    with suppress(ManifestError):
        parse_yaml(text)


@given(text=st.text(alphabet="0123456789_xXbBoOeE+-.:TZyYnN~", max_size=12))
@settings(max_examples=300, deadline=None)
def test_every_scalar_resolves_and_is_a_key(text: str) -> None:
    assert isinstance(key_text(resolve(text)), str)


@given(text=st.text(alphabet="0123456789.smhuµn+-", max_size=20))
@settings(max_examples=300, deadline=None)
def test_durations_are_never_negative(text: str) -> None:
    with suppress(DurationError):
        assert parse_duration_ms(text) >= 0


LABEL = st.sampled_from(["a", "b", "ab"])
HOST = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
GLOB = st.just("*") | HOST | HOST.map(lambda name: f"*.{name}") | HOST.map(lambda name: f"{name}.*")


@given(first=GLOB, second=GLOB, host=HOST)
@settings(max_examples=500, deadline=None)
def test_a_host_of_both_globs_proves_that_they_intersect(first: str, second: str, host: str) -> None:
    if glob_matches(first, host) and glob_matches(second, host):
        assert globs_intersect(first, second)
        assert globs_intersect(second, first)

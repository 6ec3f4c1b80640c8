"""Which status an object shall have, and which of them a change touches."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from gateway.base.keys import ObjectKey
from gateway.diagnostics import Diagnostic, Origin
from gateway.resources import ResourceSet
from gateway.resources.reader import read_object
from gateway.status.table import StatusTable
from gateway.status.wanted import Address, HostStatus, IngressStatus, MappingStatus
from gateway.translate import TranslateSettings, translate
from tests.support.manifests import GROUP, host, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    from gateway.status.wanted import Wanted
    from tests.support.manifests import Object

BALANCER = (Address(ip="192.0.2.7"),)
MAPPING, HOST, INGRESS = "Mapping.getambassador.io", "Host.getambassador.io", "Ingress.networking.k8s.io"


class Table:
    """Objects to what changes in their statuses."""

    def __init__(self) -> None:
        self._table = StatusTable()
        self._resources = ResourceSet()

    def update(
        self,
        *objects: Object,
        addresses: tuple[Address, ...] = BALANCER,
        more: tuple[Diagnostic, ...] = (),
        kept: tuple[Object, ...] = (),
    ) -> Map[ObjectKey, Wanted | None]:
        """``kept``: last good versions that stay in the place of refused objects; ``more``: further findings."""
        read = [read_object(raw) for raw in (*objects, *kept)]
        known = {item.key: item for item in self._resources}
        fresh = [item for result in read for item in result.resources]
        same = [known[item.key] if known.get(item.key) == item else item for item in fresh]
        self._resources = ResourceSet.build(same, previous=self._resources)
        done = translate(self._resources, TranslateSettings(unclassified_ingress=True))
        found = (*[finding for result in read for finding in result.diagnostics], *done.diagnostics, *more)
        return self._table.update(done.gateway, self._resources, found, addresses)


def key(kind: str, name: str) -> ObjectKey:
    return ObjectKey(kind, "default", name)


def generation(raw: Object, number: int) -> Object:
    return {**raw, "metadata": {**raw["metadata"], "generation": number}}


def test_what_is_served_runs() -> None:
    table = Table()
    changes = table.update(host("h"), generation(mapping("m", "/", "svc"), 3))
    status = changes[key(MAPPING, "m")]
    assert isinstance(status, MappingStatus)
    assert (status.state, status.reason) == ("Running", "")
    assert [(item.type, item.holds, item.generation) for item in status.conditions] == [
        ("Accepted", True, 3),
        ("Programmed", True, 3),
    ]
    ready = changes[key(HOST, "h")]
    assert isinstance(ready, HostStatus)
    assert (ready.state, ready.certificate, ready.reason) == ("Ready", "None", "")


def test_only_what_differs_is_told() -> None:
    table = Table()
    many = [mapping(f"m{number}", f"/{number}/", "svc") for number in range(20)]
    assert len(table.update(host("h"), *many)) == 21
    assert table.update(host("h"), *many) == {}
    edited = [*many[:-1], mapping("m19", "/other/", "svc")]
    assert table.update(host("h"), *edited) == {}, "it runs as before"
    assert table.update(host("h"), *edited[:-1]) == {key(MAPPING, "m19"): None}


def test_equal_statuses_are_one_object() -> None:
    changes = Table().update(host("h"), *[mapping(f"m{number}", f"/{number}/", "svc") for number in range(20)])
    assert len({id(status) for at, status in changes.items() if at.kind_group == MAPPING}) == 1


def test_a_refused_object_says_which_field_is_wrong() -> None:
    table = Table()
    bad = mapping("m", "/", "svc")
    bad["spec"]["timeout_ms"] = "soon"
    status = table.update(host("h"), bad)[key(MAPPING, "m")]
    assert isinstance(status, MappingStatus)
    assert status.state == "Inactive"
    assert "spec.timeout_ms" in status.reason
    accepted, programmed = status.conditions
    assert (accepted.holds, accepted.reason, accepted.generation) == (False, "FieldType", None)
    assert not programmed.holds
    good = table.update(host("h"), mapping("m", "/", "svc"))[key(MAPPING, "m")]
    assert isinstance(good, MappingStatus)
    assert good.state == "Running"


def test_a_refused_object_that_is_deleted_is_forgotten() -> None:
    table = Table()
    bad = mapping("m", "/", "svc")
    del bad["spec"]["prefix"]
    assert table.update(host("h"), bad)[key(MAPPING, "m")] is not None
    assert table.update(host("h")) == {key(MAPPING, "m"): None}


def test_a_last_good_version_is_told_apart() -> None:
    table = Table()
    good = generation(mapping("m", "/", "svc"), 1)
    table.update(host("h"), good)
    bad = generation(mapping("m", "/", "svc"), 2)
    bad["spec"]["prefix"] = 7
    stays = Diagnostic("warning", "last-good-kept", "stays in use", Origin("Mapping", "default", "m"))
    status = table.update(host("h"), bad, kept=(good,), more=(stays,))[key(MAPPING, "m")]
    assert isinstance(status, MappingStatus)
    assert status.state == "Inactive"
    assert "spec.prefix" in status.reason
    assert "last good version stays" in status.reason
    accepted, programmed = status.conditions
    assert not accepted.holds
    assert (programmed.holds, programmed.reason, programmed.generation) == (True, "LastGoodKept", None)


def test_a_mapping_that_no_host_takes_is_inactive() -> None:
    table = Table()
    alone = mapping("m", "/", "svc", hostname="else.example.com")
    status = table.update(host("h", "a.example.com"), alone)[key(MAPPING, "m")]
    assert isinstance(status, MappingStatus)
    assert (status.state, status.reason) == ("Inactive", "no Host takes it, so it is not served")
    changes = table.update(host("h", "a.example.com"), host("e", "else.example.com"), alone)
    status = changes[key(MAPPING, "m")]
    assert isinstance(status, MappingStatus)
    assert status.state == "Running"


def test_a_shadow_runs_though_it_has_no_route_of_its_own() -> None:
    status = Table().update(host("h"), mapping("m", "/", "svc"), mapping("s", "/", "copy", shadow=True))[
        key(MAPPING, "s")
    ]
    assert isinstance(status, MappingStatus)
    assert status.state == "Running"


def test_a_mapping_without_its_protection_is_inactive_and_says_why() -> None:
    auth = {
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "FilterPolicy",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"rules": [{"host": "*", "path": "*", "filters": [{"name": "f"}]}]},
    }
    status = Table().update(host("h"), mapping("m", "/", "svc"), auth)[key(MAPPING, "m")]
    assert isinstance(status, MappingStatus)
    assert status.state == "Inactive"
    assert "500" in status.reason


def test_a_fault_of_the_compiler_leaves_the_object_accepted() -> None:
    broken = Diagnostic("error", "compile", "regex too large", Origin("Mapping", "default", "m"), "spec.prefix")
    status = Table().update(host("h"), mapping("m", "/", "svc"), more=(broken,))[key(MAPPING, "m")]
    assert isinstance(status, MappingStatus)
    assert (status.state, status.reason) == ("Inactive", "spec.prefix: regex too large")
    assert [(item.type, item.holds, item.reason) for item in status.conditions] == [
        ("Accepted", True, "Accepted"),
        ("Programmed", False, "Compile"),
    ]


def test_a_host_with_a_secret_that_is_missing_is_in_error() -> None:
    status = Table().update(host("h", "a.example.com", secret="gone"))[key(HOST, "h")]
    assert isinstance(status, HostStatus)
    assert (status.state, status.certificate) == ("Error", "Other")
    assert "gone" in status.reason


def secret(namespace: str, **data: str) -> Object:
    encoded = {name.replace("_", "."): base64.b64encode(text.encode()).decode() for name, text in data.items()}
    metadata = {"name": "s", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


def tls_context(**spec: str) -> Object:
    metadata = {"name": "c", "namespace": "default"}
    return {"apiVersion": GROUP, "kind": "TLSContext", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("kind", ["Host", "Mapping", "Mapping ca"])
def test_statuses_do_not_tell_what_secrets_of_other_namespaces_are_like(kind: str) -> None:
    said = set()
    for more in ([], [secret("other")], [secret("other", tls_crt="no PEM")], [secret("other", ca_crt="no PEM")]):
        if kind == "Host":
            objects = [host("h", "a.example.com", tlsSecret={"name": "s", "namespace": "other"})]
            status: Any = Table().update(*objects, *more)[key(HOST, "h")]
            said.add((status.reason, *(item.message for item in status.conditions)))
        else:
            context = tls_context(**{"ca_secret" if "ca" in kind else "secret": "s.other"})
            objects = [host("h", "*"), mapping("m", "/", "https://svc", tls="c"), context]
            status = Table().update(*objects, *more)[key(MAPPING, "m")]
            said.add((status.reason, *(item.message for item in status.conditions)))
    (one,) = said
    assert "another namespace" in one[0]
    assert not any("other/" in text or "tls.crt" in text for text in one)


def test_a_secret_of_the_own_namespace_is_named() -> None:
    status: Any = Table().update(host("h", "a.example.com", secret="s"), secret("default"))[key(HOST, "h")]
    assert "Secret default/s" in status.reason
    context = tls_context(secret="s")
    status = Table().update(host("h", "*"), mapping("m", "/", "https://svc", tls="c"), context)[key(MAPPING, "m")]
    assert "there is no Secret default/s" in status.reason


def test_an_object_that_was_made_again_is_told_again() -> None:
    table = Table()

    def made(uid: str) -> Object:
        raw = mapping("m", "/", "svc")
        return {**raw, "metadata": {**raw["metadata"], "uid": uid}}

    table.update(host("h"), made("a"))
    assert list(table.update(host("h"), made("b"))) == [key(MAPPING, "m")]


def test_ingresses_get_the_addresses_of_the_balancer() -> None:
    def ingress(name: str, class_name: str | None) -> Object:
        backend = {"service": {"name": "svc", "port": {"number": 80}}}
        rule = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        spec: Object = {"rules": [rule]}
        if class_name is not None:
            spec["ingressClassName"] = class_name
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name, "namespace": "default"},
            "spec": spec,
        }

    table = Table()
    objects = (ingress("ours", "sluice"), ingress("theirs", "nginx"))
    assert table.update(*objects, addresses=()) == {}
    assert table.update(*objects) == {key(INGRESS, "ours"): IngressStatus(BALANCER)}
    assert table.update(*objects) == {}
    other = (Address(hostname="lb.example.com"),)
    assert table.update(*objects, addresses=other) == {key(INGRESS, "ours"): IngressStatus(other)}


def test_what_is_told_adds_up_to_what_a_fresh_look_says() -> None:
    def broken(raw: Object) -> Object:
        return {**raw, "spec": {**raw["spec"], "timeout_ms": "soon"}}

    a, b = mapping("a", "/a/", "svc", hostname="a.example.com"), mapping("b", "/b/", "svc", hostname="b.example.com")
    both, one = (host("h", "a.example.com"), host("i", "b.example.com")), (host("h", "a.example.com"),)
    states: list[tuple[Object, ...]] = [
        (*both, a, b),
        (*one, a, b),
        (*one, broken(a), b),
        (*both, broken(a), b),
        (*both, b),
        (),
        (*both, a, broken(b)),
        (host("h", "*", secret="gone"), a, b),
    ]
    table = Table()
    known: dict[ObjectKey, Wanted] = {}
    for state in states:
        for at, status in table.update(*state).items():
            if status is None:
                del known[at]
            else:
                known[at] = status
        assert known == Table().update(*state)

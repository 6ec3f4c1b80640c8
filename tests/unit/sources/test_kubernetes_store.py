"""Rules for objects of a cluster: last good versions, annotations, identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.base.keys import ObjectKey
from gateway.resources import AuthService, Host, Mapping, Module, Service, TLSContext
from gateway.resources.reader import ReadSettings
from gateway.sources.kubernetes.store import Known, ObjectStore
from gateway.sources.statuses import SeenStatuses
from tests.support.kubesource import mapping

if TYPE_CHECKING:
    from gateway.resources import ResourceSet

GROUPS = {"Mapping": "Mapping.getambassador.io", "Service": "Service"}
GROUPS |= {kind: f"{kind}.getambassador.io" for kind in ("AuthService", "FilterPolicy", "Host", "Module", "TLSContext")}


class Cluster:
    """Objects as an API server hands them out, put into a store."""

    def __init__(self) -> None:
        self.store = ObjectStore(ReadSettings(), keep_text=True)
        self.version = 0

    def put(self, raw: dict[str, Any], uid: str = "") -> None:
        self.version += 1
        metadata = {"uid": uid or raw["metadata"]["name"], **raw["metadata"], "resourceVersion": str(self.version)}
        self.store.put(self.store.read(GROUPS[raw["kind"]], {**raw, "metadata": metadata}))

    def remove(self, kind: str, name: str) -> None:
        self.store.remove(ObjectKey(GROUPS[kind], "default", name))

    @property
    def resources(self) -> ResourceSet:
        return self.store.state().resources

    @property
    def codes(self) -> list[str]:
        return [one.code for one in self.store.state().diagnostics]

    def prefix(self, name: str) -> str | None:
        found = self.resources.get(Mapping, "default", name)
        return found.spec.prefix if found is not None else None


def annotated(name: str, *prefixes: str, target: str = "inner") -> dict[str, Any]:
    text = "\n---\n".join(
        f"apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: {target}\nhostname: '*'\n"
        f"prefix: {prefix}\nservice: s\n"
        for prefix in prefixes
    )
    metadata = {"name": name, "namespace": "default", "annotations": {"getambassador.io/config": text}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_an_invalid_edit_keeps_the_last_good_version(cluster: Cluster) -> None:
    cluster.put(mapping("a", prefix="/one/"))
    cluster.put(mapping("a", prefix=7))
    assert cluster.prefix("a") == "/one/"
    assert "last-good-kept" in cluster.codes
    assert "field-type" in cluster.codes or "error" in {one.severity for one in cluster.store.state().diagnostics}
    cluster.put(mapping("a", prefix="/two/"))
    assert (cluster.prefix("a"), cluster.codes) == ("/two/", [])


def test_an_object_that_never_was_good_is_refused(cluster: Cluster) -> None:
    cluster.put(mapping("a", prefix=7))
    assert cluster.prefix("a") is None
    assert cluster.store.state().refused == 1
    cluster.remove("Mapping", "a")
    state = cluster.store.state()
    assert (state.refused, state.diagnostics) == (0, ())


def test_an_object_that_was_made_again_has_no_past(cluster: Cluster) -> None:
    cluster.put(mapping("a", prefix="/one/"), uid="first")
    cluster.put(mapping("a", prefix=7), uid="second")
    assert cluster.prefix("a") is None


def test_deletion_removes_a_last_good_version(cluster: Cluster) -> None:
    cluster.put(mapping("a", prefix="/one/"))
    cluster.put(mapping("a", prefix=7))
    cluster.remove("Mapping", "a")
    assert (cluster.prefix("a"), cluster.codes) == (None, [])


def test_an_object_of_another_id_is_taken_away(cluster: Cluster) -> None:
    cluster.put(mapping("a"))
    cluster.put(mapping("a", ambassador_id=["other"]))
    assert cluster.prefix("a") is None


def test_a_module_that_was_never_good_but_would_protect_has_a_stand_in(cluster: Cluster) -> None:
    module = {
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Module",
        "metadata": {"name": "ambassador", "namespace": "default"},
        "spec": {"config": {"ip_allow": [{"peer": "10.0.0.0/8"}], "use_remote_address": "nonsense"}},
    }
    cluster.put(module)
    assert cluster.resources.get(Module, "default", "ambassador") is not None
    assert cluster.store.state().refused == 0


def test_objects_of_an_annotation_go_with_the_annotated_object(cluster: Cluster) -> None:
    cluster.put(annotated("s", "/one/"))
    assert cluster.prefix("inner") == "/one/"
    cluster.put(annotated("s", "/two/"))
    assert cluster.prefix("inner") == "/two/"
    cluster.put(annotated("s", "7"))
    assert cluster.prefix("inner") == "/two/"
    assert "last-good-kept" in cluster.codes
    cluster.remove("Service", "s")
    assert (len(cluster.resources), cluster.codes) == (0, [])


def test_an_annotation_that_is_taken_away_takes_its_objects_along(cluster: Cluster) -> None:
    cluster.put(annotated("s", "/one/"))
    cluster.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}, "spec": {}})
    assert cluster.prefix("inner") is None
    assert cluster.resources.of(Service)


@pytest.mark.parametrize("own_first", [True, False])
def test_an_object_of_the_api_wins_over_an_annotation(cluster: Cluster, own_first: bool) -> None:
    objects = [mapping("inner", prefix="/own/"), annotated("b", "/b/"), annotated("a", "/a/")]
    for raw in objects if own_first else reversed(objects):
        cluster.put(raw)
    assert cluster.prefix("inner") == "/own/"
    assert cluster.codes == ["object-duplicate"] * 2
    cluster.remove("Mapping", "inner")
    assert (cluster.prefix("inner"), cluster.codes) == ("/a/", ["object-duplicate"])
    cluster.remove("Service", "a")
    assert (cluster.prefix("inner"), cluster.codes) == ("/b/", [])


def test_of_two_in_one_annotation_the_first_stays(cluster: Cluster) -> None:
    cluster.put(annotated("s", "/one/", "/two/"))
    assert (cluster.prefix("inner"), cluster.codes) == ("/one/", ["object-duplicate"])


def test_a_version_that_is_known_is_not_read_again(cluster: Cluster) -> None:
    raw = mapping("a")
    raw["metadata"].update(uid="u", resourceVersion="5")
    cluster.store.put(cluster.store.read(GROUPS["Mapping"], {**raw}))
    again = cluster.store.read(GROUPS["Mapping"], {**raw})
    assert isinstance(again, Known)
    assert again.version == "5"
    state = cluster.store.state()
    cluster.store.put(again)
    assert cluster.store.state() is state
    cluster.store.remove(again.key)
    assert not cluster.store.state().resources
    # It was taken out after it came: what the store had of it comes back.
    cluster.store.put(again)
    assert cluster.store.state().resources.by_key(again.key) is state.resources.by_key(again.key)


def test_statuses_of_objects_that_change_are_remembered() -> None:
    group = GROUPS["Mapping"]
    seen = SeenStatuses(frozenset({group}))
    store = ObjectStore(ReadSettings(), seen=seen)

    def come(version: int, name: str = "a", **status: str) -> ObjectKey:
        raw = mapping(name)
        raw["metadata"].update(uid="u", resourceVersion=str(version))
        item = store.read(group, {**raw, "status": status} if status else raw)
        store.put(item)
        return item.key

    key = come(1, state="Running")
    assert seen.of(key) is None, "the list at the start is for all objects"
    come(2, state="Inactive")
    assert seen.of(key) == ("2", {"state": "Inactive"})
    come(3)
    assert seen.of(key) == ("3", {})
    come(4, state="x" * 20_000)
    assert seen.of(key) is None, "too large"
    come(5, state="Running")
    store.remove(key)
    assert seen.of(key) is None
    for number in range(1_200):
        come(1, f"m{number}")
        come(2, f"m{number}", state="Running")
    assert seen.of(ObjectKey(group, key.namespace, "m0")) is None
    assert seen.of(ObjectKey(group, key.namespace, "m1199")) == ("2", {"state": "Running"})


def test_states_are_the_same_object_while_nothing_changes(cluster: Cluster) -> None:
    cluster.put(mapping("a"))
    state = cluster.store.state()
    cluster.put(mapping("a"))
    assert cluster.store.state() is state
    cluster.put(mapping("a", prefix="/new/"))
    assert cluster.store.state() is not state


def test_what_kubernetes_adds_for_itself_is_not_kept(cluster: Cluster) -> None:
    raw = mapping("a")
    raw["metadata"] |= {
        "managedFields": [{"manager": "x"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "yes"},
    }
    cluster.put({**raw, "status": {"state": "x"}})
    assert cluster.resources.of(Mapping)[0].metadata.annotations == {"mine": "yes"}
    (text,) = cluster.store.texts()
    assert b"managedFields" not in text
    assert b"last-applied" not in text
    assert b"status" not in text


def test_a_mapping_of_an_older_version_means_what_it_meant_and_does_so_in_a_copy(cluster: Cluster) -> None:
    raw = mapping("a")
    del raw["spec"]["hostname"]
    owned: dict[str, Any] = {"f:spec": {"f:prefix": {}, "f:service": {}}}
    manager = {"manager": "kubectl", "apiVersion": "getambassador.io/v2", "time": "2026-01-02T03:04:05Z"}
    raw["metadata"]["managedFields"] = [{**manager, "fieldsV1": owned}]
    cluster.put(raw)
    (found,) = cluster.resources.of(Mapping)
    assert found.spec.hostname == "*"
    (text,) = cluster.store.texts()
    assert b"kubectl" not in text
    copy = Cluster()
    copy.put(orjson.loads(text))
    assert copy.resources.of(Mapping)[0].spec.hostname == "*"


def nested(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = {"a": value}
    return value


def auth_service(name: str = "guard", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "AuthService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"auth_service": "auth:3000", **spec},
    }


@pytest.mark.parametrize("levels", [101, 300, 5000])
def test_an_object_that_is_nested_too_deep_is_refused_and_its_last_good_version_stays(
    cluster: Cluster, levels: int
) -> None:
    cluster.put(mapping("a", prefix="/one/"))
    cluster.put(mapping("a", prefix="/two/", envoy_override=nested(levels)))
    assert cluster.prefix("a") == "/one/"
    found = {one.code: one for one in cluster.store.state().diagnostics}
    assert set(found) == {"object-depth", "last-good-kept"}
    assert (found["object-depth"].origin.kind, found["object-depth"].origin.name) == ("Mapping", "a")
    cluster.put(auth_service(add_auth_headers=nested(levels)))
    copy = Cluster()
    for text in cluster.store.texts():
        copy.put(orjson.loads(text))
    assert copy.codes == ["object-depth", "object-depth"]
    for one in (cluster, copy):
        (closed,) = one.resources.of(AuthService)
        assert not closed.spec.auth_service


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("Host", {"hostname": "a.x"}, {"hostname": "a.x", "requestPolicy": {"insecure": {"action": "Rejekt"}}}),
        ("TLSContext", {"hosts": ["a.x"]}, {"hosts": ["a.x"], "cert_required": "perhaps"}),
    ],
)
def test_a_host_or_context_has_a_stand_in_only_without_a_good_version(
    cluster: Cluster, kind: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    head = {"apiVersion": "getambassador.io/v3alpha1", "kind": kind}
    for name, spec in (("known", good), ("known", bad), ("fresh", bad)):
        cluster.put({**head, "metadata": {"name": name, "namespace": "default"}, "spec": spec})
    items: list[Host | TLSContext] = [*cluster.resources.of(Host), *cluster.resources.of(TLSContext)]
    found = {item.name: item.refused for item in items}
    assert found == {"fresh": True, "known": False}
    cluster.remove(kind, "fresh")
    assert len(cluster.resources) == 1


def service(annotation: str) -> dict[str, Any]:
    metadata = {"name": "s", "namespace": "default", "annotations": {"getambassador.io/config": annotation}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}}


GUARD = "apiVersion: getambassador.io/v3alpha1\nkind: AuthService\nname: guard\nauth_service: auth:3000\n"
ROUTE = "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: inner\nhostname: '*'\nprefix: /a/\nservice: s\n"
BROKEN = [
    pytest.param(GUARD + "---\na: [", id="no YAML"),
    pytest.param(GUARD + "\ttab: 1", id="a tab"),
    pytest.param(GUARD.replace("v3alpha1", "v3alpha1\nnamespace: other"), id="another namespace"),
    pytest.param(GUARD.replace("getambassador.io", "getambassador"), id="another group"),
    pytest.param(GUARD.replace("AuthService", "AuthServices"), id="an unknown kind"),
    pytest.param(GUARD.replace("guard", "a/b"), id="no name"),
    pytest.param("AuthService", id="no object"),
    pytest.param("- " + GUARD.replace("\n", "\n  "), id="a list"),
]


@pytest.mark.parametrize("text", BROKEN)
def test_an_annotation_that_cannot_be_read_takes_nothing_away(cluster: Cluster, text: str) -> None:
    cluster.put(service(f"{GUARD}---\n{ROUTE}"))
    good = {item.key: item for item in cluster.resources if not isinstance(item, Service)}
    assert len(good) == 2
    cluster.put(service(text))
    assert {item.key: item for item in cluster.resources if not isinstance(item, Service)} == good
    assert cluster.codes.count("last-good-kept") == 2
    cluster.put(service(ROUTE))
    assert not cluster.resources.of(AuthService)
    assert cluster.codes == []


def test_what_an_annotation_still_declares_is_not_called_kept(cluster: Cluster) -> None:
    cluster.put(service(f"{GUARD}---\n{ROUTE}"))
    cluster.put(service(f"{GUARD}---\nMapping"))
    kept = [one.origin.name for one in cluster.store.state().diagnostics if one.code == "last-good-kept"]
    assert kept == ["inner"]
    assert [item.name for item in cluster.resources.of(AuthService)] == ["guard"]


def test_a_crash_takes_nothing_away_that_an_annotation_declared(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put(service(f"{GUARD}---\n{ROUTE}"))
    before = {item.key: item for item in cluster.resources}

    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.sources.kubernetes.store.read_object", crash)
    cluster.put(service(GUARD))
    assert {item.key: item for item in cluster.resources} == before
    fresh = Cluster()
    fresh.put(service(GUARD))
    assert [item.spec.auth_service for item in fresh.resources.of(AuthService)] == [""]
    other = Cluster()
    other.put(auth_service(ambassador_id=["other"]))
    assert len(other.resources) == 0


@pytest.mark.parametrize("text", [one for one in BROKEN if one.id != "an unknown kind"])
def test_an_annotation_that_never_could_be_read_closes_what_it_mentions(cluster: Cluster, text: str) -> None:
    cluster.put(service(text))
    (closed,) = cluster.resources.of(AuthService)
    assert not closed.spec.auth_service
    assert "last-good-kept" not in cluster.codes
    cluster.put(service(text + " "))
    assert cluster.resources.of(AuthService) == (closed,)
    assert "last-good-kept" not in cluster.codes
    cluster.put(service(GUARD))
    assert [item.name for item in cluster.resources.of(AuthService)] == ["guard"]
    cluster.remove("Service", "s")
    assert len(cluster.resources) == 0


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("kind: FilterPolicy\n\t", {"FilterPolicy"}),
        ("kind: Host\nname: h\n\t", {"Host"}),
        ("add_request_headers: {Host: x}\n\t", set()),
        ("kind: Module\nconfig: {ip_allow: []}\n\t", {"Module"}),
        ("kind: Module\nconfig: {}\n\t", set()),
        ("kind: TLSContext\nname: h-context\n\t", {"TLSContext"}),
        ("kind: Mapping\n\t", set()),
        ("apiVersion: x\nkind: AuthService\nname: a\nambassador_id: [other]", set()),
    ],
)
def test_what_an_annotation_mentions(cluster: Cluster, text: str, kinds: set[str]) -> None:
    cluster.put(service(text))
    assert {item.kind for item in cluster.resources} == {"Service", *kinds}
    assert "annotation-invalid" in cluster.codes


def test_an_annotation_for_another_gateway_closes_nothing() -> None:
    store = ObjectStore(ReadSettings("edge"))
    for text, closed in ((GUARD + "\t", 0), (GUARD + "ambassador_id: edge\n\t", 1)):
        store.put(store.read("Service", service(text)))
        assert len(store.state().resources.of(AuthService)) == closed


def test_as_many_levels_as_a_file_may_have_are_read(cluster: Cluster) -> None:
    cluster.put(mapping("a", envoy_override=nested(98)))
    assert "object-depth" not in cluster.codes


@pytest.mark.parametrize("place", ["gateway.resources.reader.build", "gateway.sources.kubernetes.store.read_object"])
def test_a_crash_costs_one_object(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    cluster.put(mapping("a"))

    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("do not quote me")

    monkeypatch.setattr(place, crash)
    cluster.put(mapping("a", prefix="/new/"))
    cluster.put(auth_service())
    assert cluster.prefix("a") == "/a/"
    assert not cluster.resources.of(AuthService)[0].spec.auth_service
    assert set(cluster.codes) == {"object-crash", "last-good-kept"}
    assert "quote me" not in str(cluster.store.state().diagnostics)


_NAMES = st.sampled_from(["a", "b", "inner"])
_STEPS = st.one_of(
    st.tuples(st.just("put"), _NAMES, st.sampled_from(["/1/", "/2/"])),
    st.tuples(st.just("annotate"), st.sampled_from(["s", "t"]), st.sampled_from(["/3/", "/4/"])),
    st.tuples(st.just("delete"), _NAMES, st.just("Mapping")),
    st.tuples(st.just("delete"), st.sampled_from(["s", "t"]), st.just("Service")),
)


@settings(deadline=None)
@given(st.lists(_STEPS, max_size=30), st.integers(1, 5))
def test_steps_in_any_order_end_where_a_new_list_begins(steps: list[tuple[str, str, str]], every: int) -> None:
    """The state after events is that of a fresh store with the objects that are left, however often it is looked at."""
    live, left = Cluster(), {}
    for number, (what, name, value) in enumerate(steps):
        if what == "put":
            left["Mapping", name] = mapping(name, prefix=value)
            live.put(left["Mapping", name])
        elif what == "annotate":
            left["Service", name] = annotated(name, value)
            live.put(left["Service", name])
        elif left.pop((value, name), None) is not None:
            live.remove(value, name)
        if number % every == 0:
            live.store.state()
    fresh = Cluster()
    for raw in left.values():
        fresh.put(raw)
    assert {str(item.key): prefix(item) for item in live.resources} == {
        str(item.key): prefix(item) for item in fresh.resources
    }
    assert live.codes == fresh.codes


def prefix(item: object) -> str:
    return item.spec.prefix if isinstance(item, Mapping) else ""

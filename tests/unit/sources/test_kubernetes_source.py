"""The source against a server that misbehaves; a healthy real one is in ``tests/kube``."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import orjson
import pytest

from gateway.resources import Generic, Host, Mapping, Secret, Service
from gateway.settings import KubernetesSettings
from gateway.sources.kubernetes import source as source_module
from gateway.sources.kubernetes.store import ObjectStore, Parsed
from tests.support.kubeapi import ScriptedApi
from tests.support.kubesource import Hurry, followed, host, make_source, mapping, secret
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.resources import ResourceSet

MAPPINGS = "/apis/getambassador.io/v3alpha1/mappings"


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi() as server:
        yield server


def names(resources: ResourceSet) -> list[str]:
    return [item.name for item in resources.of(Mapping)]


async def test_the_first_state_waits_for_every_kind(api: ScriptedApi) -> None:
    api.put(mapping("a"))
    api.late[MAPPINGS] = asyncio.Event()
    async with followed(make_source(api, Hurry())) as seen:
        await eventually(lambda: api.asked("/api/v1/services", watch=True), "all other kinds")
        await eventually(lambda: api.asked("/api/v1/secrets", watch=True), "all other kinds")
        assert not seen.states
        api.late[MAPPINGS].set()
        await seen.until(lambda found: names(found) == ["a"], "the state after the late list")
    assert len(seen.states) == 1


async def test_events_change_the_state(api: ScriptedApi) -> None:
    api.put(mapping("a"), mapping("b"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: len(found) == 2, "the first state")
        kept = seen.resources.get(Mapping, "default", "b")
        api.put(mapping("c"), mapping("a", prefix="/other/"))
        await seen.until(lambda found: names(found) == ["a", "b", "c"], "an object added")
        api.delete("Mapping", "default", "a")
        await seen.until(lambda found: names(found) == ["b", "c"], "an object deleted")
        assert seen.resources.get(Mapping, "default", "b") is kept
    assert len(api.asked(MAPPINGS, watch=False)) == 1


async def test_a_thousand_changes_at_once_are_few_states(api: ScriptedApi) -> None:
    async with followed(make_source(api, Hurry())) as seen:
        await eventually(lambda: seen.states, "the first state")
        api.put(*(mapping(f"m{number}") for number in range(1000)))
        await seen.until(lambda found: len(found) == 1000, "all of them")
    assert len(seen.states) < 100


async def test_an_added_object_that_is_known_changes_nothing(api: ScriptedApi) -> None:
    api.put(mapping("a"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: len(found) == 1, "the first state")
        item = next(iter(api._objects["/apis/getambassador.io/mappings"].values()))
        api.send("Mapping", {"type": "ADDED", "object": item})
        api.send("Mapping", api.bookmark)
        api.send("Mapping", {"type": "NOVELTY", "object": {"metadata": {}}})
        api.put(mapping("b"))
        await seen.until(lambda found: names(found) == ["a", "b"], "the next change")
    assert len(seen.states) == 2


async def test_a_status_that_is_written_makes_no_new_state(api: ScriptedApi) -> None:
    api.put(mapping("a"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: len(found) == 1, "the first state")
        api.put({**mapping("a"), "status": {"state": "Running"}})
        api.put(mapping("b"))
        await seen.until(lambda found: names(found) == ["a", "b"], "the next change")
    first, second = seen.states
    assert second.resources.get(Mapping, "default", "a") is first.resources.get(Mapping, "default", "a")


async def test_a_bookmark_moves_the_version_that_a_watch_continues_from(api: ScriptedApi) -> None:
    async with followed(make_source(api, Hurry())) as seen:
        await eventually(lambda: api.asked(MAPPINGS, watch=True), "a watch")
        # Other kinds move the version of the store; the watch of this one hears of it by bookmarks only.
        api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}, "spec": {}})
        bookmark = api.bookmark
        api.send("Mapping", bookmark)
        await seen.until(lambda found: found.of(Service), "another kind")
        api.cut()
        wanted = bookmark["object"]["metadata"]["resourceVersion"]
        await eventually(
            lambda: api.asked(MAPPINGS, watch=True)[-1].query["resourceVersion"] == wanted, "a watch from the bookmark"
        )
    assert len(api.asked(MAPPINGS, watch=False)) == 1


@pytest.mark.parametrize("way", ["status", "event"])
async def test_a_version_that_is_gone_means_a_new_list(api: ScriptedApi, way: str) -> None:
    api.put(mapping("a"), mapping("b"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: len(found) == 2, "the first state")
        await eventually(lambda: api.asked(MAPPINGS, watch=True), "a watch")
        api.dropping = True
        api.delete("Mapping", "default", "a")
        api.put(mapping("c"))
        api.dropping = False
        api.compact()
        if way == "status":
            api.cut()
        else:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            api.send("Mapping", {"type": "ERROR", "object": gone})
        await seen.until(lambda found: names(found) == ["b", "c"], "the store replaced by a new list")
        assert seen.source.status().lists["Mapping"] == 2


async def test_long_lists_come_in_pages_and_begin_anew_when_one_expires(api: ScriptedApi) -> None:
    api.page = 2
    api.put(*(mapping(f"m{number}") for number in range(5)))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: len(found) == 5, "all pages")
        assert [item.query.get("continue") for item in api.asked(MAPPINGS, watch=False)] == [None, "2.105", "4.105"]
        assert {item.query["limit"] for item in api.asked(MAPPINGS, watch=False)} == {"500"}
        held = api.late[MAPPINGS] = asyncio.Event()
        api.compact()
        api.cut()
        await eventually(lambda: len(api.asked(MAPPINGS, watch=False)) == 4, "a new list")
        # Its first page is followed by a compaction, which makes the second one impossible.
        api.put(mapping("m5"))
        held.set()
        await eventually(lambda: len(api.asked(MAPPINGS, watch=False)) >= 5, "a second page")
        api.compact()
        await seen.until(lambda found: len(found) == 6, "the new list")


async def test_a_server_that_goes_away_changes_nothing(api: ScriptedApi) -> None:
    api.put(mapping("a"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: len(found) == 1, "the first state")
        await eventually(lambda: seen.source.status().up, "contact")
        await api.stop()
        await eventually(lambda: not seen.source.status().up, "the loss is noticed")
        assert seen.source.status().silent_for > 0
        api.put(mapping("b"))
        await api.start()
        await seen.until(lambda found: names(found) == ["a", "b"], "what happened meanwhile")
        await eventually(lambda: seen.source.status().up, "contact again")
        assert seen.source.status().silent_for == 0
    assert [names(state.resources) for state in seen.states] == [["a"], ["a", "b"]]


async def test_a_kind_that_is_installed_later_is_taken_up(api: ScriptedApi) -> None:
    api.put(mapping("a"))
    versions = api.installed.pop("mappings")
    async with followed(make_source(api, Hurry())) as seen:
        await eventually(lambda: seen.states, "a state without the kind")
        assert not seen.resources.of(Mapping)
        assert "kind-missing" in seen.codes
        assert "mappings" in next(one.message for one in seen.last.diagnostics if one.code == "kind-missing")
        api.installed["mappings"] = versions
        await seen.until(lambda found: names(found) == ["a"], "the objects of the new kind")
        assert "mappings" not in "".join(one.message for one in seen.last.diagnostics if one.code == "kind-missing")


async def test_a_kind_that_is_uninstalled_takes_its_objects_along(api: ScriptedApi) -> None:
    api.put(mapping("a"), host("h"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: len(found) == 2, "the first state")
        del api.installed["mappings"]
        api.cut()
        await seen.until(lambda found: not found.of(Mapping) and found.of(Host), "no object of a kind that is gone")


async def test_the_newest_served_version_is_read(api: ScriptedApi) -> None:
    api.installed["mappings"] = ("v1", "v2")
    api.put({**mapping("a"), "apiVersion": "getambassador.io/v2"})
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: names(found) == ["a"], "an object in an older version")
    assert api.asked("/apis/getambassador.io/v2/mappings")
    assert not api.asked("/apis/getambassador.io/v1/mappings")


async def test_another_version_is_read_while_the_conversion_webhook_is_away(api: ScriptedApi) -> None:
    api.installed["mappings"] = ("v2", "v3alpha1")
    api.put({**mapping("a"), "apiVersion": "getambassador.io/v2"})
    message = 'conversion webhook for getambassador.io/v2, Kind=Mapping failed: Post "https://x": no endpoints'
    api.faults[MAPPINGS] = [(500, {}, message)] * 2
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: names(found) == ["a"], "the object as it is stored")


@pytest.mark.parametrize("namespace", ["", "default"])
async def test_a_kind_that_may_not_be_read_delays_nothing_for_long(api: ScriptedApi, namespace: str) -> None:
    kind, plural = ("Mapping", "namespaces/default/mappings") if namespace else ("TCPMapping", "tcpmappings")
    api.put(mapping("a"), {**mapping("t"), "kind": "TCPMapping", "spec": {"port": 9000, "service": "db:1"}})
    api.denied.add(f"list /apis/getambassador.io/v3alpha1/{plural}")
    settings = KubernetesSettings(namespaces=(namespace,) if namespace else ())
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await eventually(lambda: seen.states, "a state without the kind")
        assert [one.origin.kind for one in seen.last.diagnostics if one.code == "kind-denied"] == [kind]
        assert seen.source.status().denied == (kind,)
        api.denied.clear()
        await seen.until(lambda found: len(found) == 2, "the objects after the right was granted")
        assert "kind-denied" not in seen.codes


_GUARDS = ("authservices", "filterpolicies", "modules")
_OTHERS = ("hosts", "listeners", "mappings", "ratelimitservices", "tlscontexts")
_PATHS = [f"/apis/getambassador.io/v3alpha1/{plural}" for plural in (*_GUARDS, *_OTHERS)]


@pytest.mark.parametrize("path", [*_PATHS, "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"])
async def test_nothing_is_served_without_the_right_to_read_what_protects_or_is_essential(
    api: ScriptedApi, path: str
) -> None:
    api.put(mapping("a"))
    api.denied.add(f"list {path}")
    hurry = Hurry()
    async with followed(make_source(api, hurry)) as seen:
        await eventually(lambda: len(api.asked(path)) > 10, "many refusals")
        assert not seen.states
        assert len(seen.source.status().waiting) == 1
        api.denied.clear()
        await seen.until(lambda found: names(found) == ["a"], "the right")


@pytest.mark.parametrize("plural", _GUARDS)
async def test_nothing_is_served_without_what_protects_in_a_namespace_either(api: ScriptedApi, plural: str) -> None:
    path = f"/apis/getambassador.io/v3alpha1/namespaces/default/{plural}"
    api.denied.add(f"list {path}")
    async with followed(make_source(api, Hurry(), KubernetesSettings(namespaces=("default",)))) as seen:
        await eventually(lambda: len(api.asked(path)) > 10, "many refusals")
        assert not seen.states


class StandingStill(Hurry):
    """A clock that does not move."""

    async def _rest(self, seconds: float) -> None:
        await asyncio.sleep(0.002)


async def test_a_server_that_does_not_know_yet_what_protects_is_not_believed_at_once(api: ScriptedApi) -> None:
    """An API server that has just started learns of its definitions one by one."""
    versions = api.installed.pop("filterpolicies")
    api.ready = False
    api.put(mapping("a"))
    async with followed(make_source(api, StandingStill())) as seen:
        await eventually(lambda: len(api.asked("/apis/getambassador.io")) > 5, "several looks")
        assert not seen.states
        api.put({**mapping("p"), "kind": "FilterPolicy", "spec": {"rules": []}})
        api._objects["/apis/getambassador.io/filterpolicies"] = api._objects.pop("/apis/getambassador.io/filterpolicys")
        api.installed["filterpolicies"] = versions
        await eventually(lambda: seen.states, "the first state")
        assert [item.kind for item in seen.resources.of(Generic)] == ["FilterPolicy"]


async def test_a_server_that_is_ready_is_believed_at_once(api: ScriptedApi) -> None:
    """Most clusters have no FilterPolicies: nobody waits there."""
    del api.installed["filterpolicies"]
    api.put(mapping("a"))
    async with followed(make_source(api, StandingStill())) as seen:
        await eventually(lambda: seen.states, "the first state")
        assert names(seen.resources) == ["a"]


async def test_rights_that_are_taken_away_leave_what_is_known(api: ScriptedApi) -> None:
    api.put(mapping("a"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: names(found) == ["a"], "the first state")
        api.denied |= {f"list {MAPPINGS}", f"watch {MAPPINGS}"}
        api.cut()
        await eventually(lambda: "kind-denied" in seen.codes, "a finding")
        assert names(seen.resources) == ["a"]


async def test_an_event_that_cannot_be_read_costs_its_connection(api: ScriptedApi) -> None:
    async with followed(make_source(api, Hurry())) as seen:
        await eventually(lambda: seen.states and api.asked(MAPPINGS, watch=True), "a watch")
        await eventually(lambda: any(item.collection.endswith("mappings") for item in api.watchers), "a watch")
        api.send("Mapping", {"type": "ADDED", "object": {"metadata": None}})
        api.put(mapping("a"))
        await seen.until(lambda found: names(found) == ["a"], "the next events")


@pytest.mark.parametrize("levels", [300, 2000])
@pytest.mark.parametrize("listed", [True, False])
async def test_an_object_that_is_nested_too_deep_holds_up_no_other(
    api: ScriptedApi, levels: int, listed: bool, tmp_path: Path
) -> None:
    api.put(mapping("a"), mapping("deep"))
    if listed:
        api.deep["deep"] = levels
    async with followed(make_source(api, Hurry(), KubernetesSettings(state_dir=str(tmp_path)))) as seen:
        await seen.until(lambda found: "a" in names(found), "the first state")
        api.deep["deep"] = levels
        api.put(mapping("deep", prefix="/new/"), mapping("b"))
        await seen.until(lambda found: "b" in names(found), "the next event")
        assert "object-depth" in seen.codes
        assert names(seen.resources) == (["a", "b"] if listed else ["a", "b", "deep"])
        del api.deep["deep"]
        api.put(mapping("deep"))
        await seen.until(lambda found: names(found) == ["a", "b", "deep"], "the object mended")
    assert len(api.asked(MAPPINGS, watch=False)) == 1


async def test_only_referenced_secrets_are_read(api: ScriptedApi) -> None:
    api.put(host("a", "wanted"), secret("wanted"), secret("other"), secret("elsewhere", "other"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: found.of(Host), "the first state")
        assert [item.name for item in seen.resources.of(Secret)] == ["wanted"]
        api.put(host("b", "other"))
        await seen.until(lambda found: len(found.of(Secret)) == 2, "a Secret that is referred to now")
        # A Host and its Secret come in one state.
        assert all(len(state.resources.of(Host)) == len(state.resources.of(Secret)) for state in seen.states)
        api.delete("Host", "default", "b")
        await seen.until(lambda found: [item.name for item in found.of(Secret)] == ["wanted"], "one less")
    assert not api.asked("/api/v1/namespaces/other/secrets/elsewhere")
    assert all(";as=PartialObjectMetadata" in item.accept for item in api.asked("/api/v1/secrets"))
    assert not api.asked("/api/v1/configmaps")


async def test_a_secret_that_does_not_come_delays_others_for_a_moment(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "HOLD_S", 0.05)
    async with followed(make_source(api, Hurry())) as seen:
        await eventually(lambda: seen.states, "the first state")
        held = api.late["/api/v1/namespaces/default/secrets/cert"] = asyncio.Event()
        api.put(secret("cert"), host("a", "cert"))
        await seen.until(lambda found: found.of(Host), "the Host without its Secret")
        assert not seen.resources.of(Secret)
        monkeypatch.setattr(source_module, "HOLD_S", 3600.0)
        api.put(mapping("a"))
        await seen.until(lambda found: names(found) == ["a"], "a change that waits for nothing")
        held.set()
        await seen.until(lambda found: found.of(Secret), "the Secret")


async def test_a_rotated_secret_is_read_again(api: ScriptedApi) -> None:
    api.put(host("a", "cert"), secret("cert", value="b25l"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: found.of(Secret), "the first state")
        api.put(secret("cert", value="dHdv"))
        await seen.until(lambda found: found.of(Secret)[0].data["value"] == b"two", "the new content")
        api.delete("Secret", "default", "cert")
        await seen.until(lambda found: not found.of(Secret), "the Secret is gone")
        api.put(secret("cert", value="dHJlZQ=="))
        await seen.until(lambda found: found.of(Secret), "the Secret is back")


async def test_a_secret_that_is_made_again_while_it_is_asked_for_comes(api: ScriptedApi) -> None:
    path = "/api/v1/namespaces/default/secrets/cert"
    api.put(host("a", "cert"), secret("cert", value="b25l"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: found.of(Secret), "the first state")
        asked = len(api.asked(path))
        api.missing[path] = asyncio.Event()
        api.put(secret("cert", value="dHdv"))
        await eventually(lambda: len(api.asked(path)) > asked, "a request for the new content")
        # The request is answered that there is none, after the name of the next one has come.
        api.delete("Secret", "default", "cert")
        await seen.until(lambda found: not found.of(Secret), "the Secret is gone")
        api.put(secret("cert", value="dHJlZQ=="), mapping("m"))
        await seen.until(lambda found: found.of(Mapping), "what came after it")
        api.missing.pop(path).set()
        await seen.until(lambda found: found.of(Secret), "the Secret is back")
        assert seen.resources.of(Secret)[0].data["value"] == b"tree"


async def test_a_secret_whose_reading_crashes_is_asked_for_again(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put = ObjectStore.put

    def crash(store: ObjectStore, parsed: Parsed) -> None:
        if parsed.key.kind_group == "Secret":
            raise ZeroDivisionError("pri" + "vate")
        put(store, parsed)

    api.put(host("a", "cert"), secret("cert"))
    monkeypatch.setattr(ObjectStore, "put", crash)
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: found.of(Host), "a state without the Secret")
        await eventually(lambda: "reference-unreadable" in seen.codes, "a finding")
        assert "private" not in caplog.text + str(seen.last.diagnostics)
        monkeypatch.setattr(ObjectStore, "put", put)
        await seen.until(lambda found: found.of(Secret), "the Secret")
        assert "reference-unreadable" not in seen.codes


async def test_a_secret_that_may_not_be_read_keeps_its_last_content(api: ScriptedApi) -> None:
    path = "/api/v1/namespaces/default/secrets/cert"
    api.put(host("a", "cert"), secret("cert", value="b25l"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: found.of(Secret), "the first state")
        api.denied.add(f"GET {path}")
        api.put(secret("cert", value="dHdv"))
        await eventually(lambda: "reference-unreadable" in seen.codes, "a finding")
        assert seen.resources.of(Secret)[0].data["value"] == b"one"
        api.denied.clear()
        await seen.until(lambda found: found.of(Secret)[0].data["value"] == b"two", "the new content")
        await eventually(lambda: "reference-unreadable" not in seen.codes, "no finding any more")


async def test_a_secret_that_never_could_be_read_holds_nothing_up(api: ScriptedApi) -> None:
    api.put(host("a", "cert"), secret("cert"))
    api.denied.add("GET /api/v1/namespaces/default/secrets/cert")
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: found.of(Host), "the first state")
        await eventually(lambda: "reference-unreadable" in seen.codes, "a finding")


async def test_without_the_right_to_list_secrets_are_asked_for_by_name(api: ScriptedApi) -> None:
    api.denied |= {"list /api/v1/secrets", "watch /api/v1/secrets"}
    api.put(host("a", "cert"), secret("cert", value="b25l"))
    async with followed(make_source(api, Hurry())) as seen:
        await seen.until(lambda found: found.of(Secret), "the Secret")
        api.put(secret("cert", value="dHdv"))
        await seen.until(lambda found: found.of(Secret)[0].data["value"] == b"two", "the new content")
        api.delete("Secret", "default", "cert")
        await seen.until(lambda found: not found.of(Secret), "the Secret is gone")


async def test_one_namespace_and_selectors(api: ScriptedApi) -> None:
    settings = KubernetesSettings(namespaces=("mine",), label_selector="team=a", field_selector="metadata.name!=x")
    api.put(mapping("a", "mine"), mapping("b", "other"), host("h", "cert", "mine"), secret("cert", "mine"))
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await seen.until(lambda found: len(found) == 3, "the objects of the namespace")
        api.put(mapping("c", "mine"), mapping("d", "other"))
        await seen.until(lambda found: names(found) == ["a", "c"], "events of the namespace")
    asked = [item for item in api.requests if "limit" in item.query]
    assert {item.query["labelSelector"] for item in asked} == {"team=a"}
    by_path = {item.path.rpartition("/")[2]: item for item in asked}
    assert by_path["mappings"].path == "/apis/getambassador.io/v3alpha1/namespaces/mine/mappings"
    assert by_path["mappings"].query["fieldSelector"] == "metadata.name!=x"
    assert by_path["endpointslices"].query["fieldSelector"] == "metadata.namespace!=kube-system,metadata.name!=x"
    assert by_path["ingressclasses"].path == "/apis/networking.k8s.io/v1/ingressclasses"
    assert "fieldSelector" not in by_path["ingressclasses"].query


async def test_references_out_of_the_namespaces_are_named(api: ScriptedApi) -> None:
    api.put(host("h", namespace="mine", tlsSecret={"name": "cert", "namespace": "other"}), secret("cert", "other"))
    async with followed(make_source(api, Hurry(), KubernetesSettings(namespaces=("gateways", "mine")))) as seen:
        await seen.until(lambda found: found.of(Host), "the Host")
        assert "reference-outside" in seen.codes
        assert not seen.resources.of(Secret)


async def test_a_restart_without_the_server_serves_the_copy(api: ScriptedApi, tmp_path: Path) -> None:
    settings = KubernetesSettings(state_dir=str(tmp_path))
    api.put(mapping("a"), host("h", "cert"), secret("cert"), secret("other"))
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await seen.until(lambda found: len(found) == 3, "the first state")
        before = {item.key: item for item in seen.resources}
        await eventually(lambda: (tmp_path / "kubernetes.json").exists(), "a copy")
    assert (tmp_path / "kubernetes.json").stat().st_mode & 0o777 == 0o600
    await api.stop()
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await seen.until(lambda found: len(found) == 3, "the copy")
        assert {item.key: item for item in seen.resources} == before
        assert seen.source.status().stale
        assert "source-stale" in seen.codes
        api.delete("Mapping", "default", "a")
        api.put(mapping("b"))
        await api.start()
        await seen.until(lambda found: names(found) == ["b"], "the live objects")
        assert "source-stale" not in seen.codes
        assert not seen.source.status().stale


async def test_the_server_wins_over_the_copy(api: ScriptedApi, tmp_path: Path) -> None:
    settings = KubernetesSettings(state_dir=str(tmp_path))
    api.put(mapping("old"))
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await eventually(lambda: (tmp_path / "kubernetes.json").exists(), "a copy")
    api.delete("Mapping", "default", "old")
    api.put(mapping("new"))
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await seen.until(lambda found: names(found) == ["new"], "the live objects")
    assert len(seen.states) == 1


async def test_a_kind_that_cannot_be_listed_holds_up_no_other_after_a_start_from_the_copy(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "STALE_S", 0.05)
    settings = KubernetesSettings(state_dir=str(tmp_path))
    api.put(mapping("a"), host("h"))
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await eventually(lambda: (tmp_path / "kubernetes.json").exists(), "a copy")
    api.put(mapping("b"), host("i"))
    # For as long as it takes, however slow this machine is.
    api.denied.add("list /apis/getambassador.io/v3alpha1/hosts")
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await seen.until(lambda found: names(found) == ["a", "b"], "the kind that is listed")
        assert [item.name for item in seen.resources.of(Host)] == ["h"]
        assert "source-stale" in seen.codes
        api.denied.clear()
        await seen.until(lambda found: len(found.of(Host)) == 2, "the other kind")
        await eventually(lambda: "source-stale" not in seen.codes, "no copy any more")


def said(file: Path) -> dict[str, float]:
    """What the first line of a copy says."""
    return orjson.loads(file.read_bytes().partition(b"\n")[0])  # type: ignore[no-any-return]


async def test_a_copy_that_is_partly_old_stays_as_old_as_it_is(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "STALE_S", 0.05)
    settings, file = KubernetesSettings(state_dir=str(tmp_path)), tmp_path / "kubernetes.json"
    api.put(mapping("a"), host("h"))
    async with followed(make_source(api, Hurry(), settings)):
        await eventually(file.exists, "a copy")
    assert said(file)["age"] == 0
    os.utime(file, (time.time() - 1000, time.time() - 1000))
    api.put(mapping("b"))
    api.denied.add("list /apis/getambassador.io/v3alpha1/hosts")
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await seen.until(lambda found: names(found) == ["a", "b"], "the kind that is listed")
        api.put(mapping("c"))
        await eventually(lambda: said(file)["age"] > 999, "a copy with its age")
        api.denied.clear()
        await eventually(lambda: said(file)["age"] == 0, "a copy of now")


async def test_a_copy_that_cannot_be_written_is_tried_again_and_not_confirmed(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "TOUCH_S", 0.01)
    settings, file = KubernetesSettings(state_dir=str(tmp_path)), tmp_path / "kubernetes.json"
    api.put(mapping("a"))
    async with followed(make_source(api, Hurry(), settings)):
        await eventually(file.exists, "a copy")
    os.utime(file, (0, time.time() - 1000))
    old = file.read_bytes()
    failures = 0
    sync = os.fsync

    def full(_: int) -> None:
        nonlocal failures
        failures += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    api.put(mapping("b"))
    async with followed(make_source(api, Hurry(), settings)) as seen:
        await seen.until(lambda found: names(found) == ["a", "b"], "the state")
        await eventually(lambda: failures > 5, "more than one try")
        assert file.read_bytes() == old
        assert file.stat().st_mtime < time.time() - 900
        monkeypatch.setattr(os, "fsync", sync)
        await eventually(lambda: b'"b"' in file.read_bytes(), "the new copy")


async def test_others_have_their_turn_while_a_copy_is_read(api: ScriptedApi, tmp_path: Path) -> None:
    settings = KubernetesSettings(state_dir=str(tmp_path))
    api.put(*(mapping(f"m{number}") for number in range(1000)))
    async with followed(make_source(api, Hurry(), settings)):
        await eventually((tmp_path / "kubernetes.json").exists, "a copy")
    await api.stop()
    source = make_source(api, Hurry(), settings)
    seen_sizes = set()

    async def look() -> None:
        while True:
            seen_sizes.add(len(source._store.texts()))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    async with followed(source) as seen:
        await seen.until(lambda found: len(found) == 1000, "the copy")
    looking.cancel()
    assert seen_sizes >= {0, 200, 400, 600, 800, 1000}

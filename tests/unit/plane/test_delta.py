from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.ir.encode import Section
from gateway.plane.delta import DeltaBuilder, Payload
from gateway.plane.rows import OTHER, RowTable
from tests.unit.plane.fake_native import Snapshot


def section(key: str, **body: object) -> Section:
    data = json.dumps(body).encode()
    return Section(key, data, data.hex())


def decoded(payload: Payload | None) -> dict[str, Any]:
    assert payload is not None
    return dict(json.loads(payload.data))


def keys(payload: Payload | None) -> list[str]:
    return [entry["key"] for entry in decoded(payload)["upsert"]]


def test_first_update_is_a_full_snapshot() -> None:
    deltas = DeltaBuilder()
    first = decoded(deltas.update([section("options/main"), section("cluster/a", x=1)]))
    assert (first["version"], first["base"], first["remove"]) == (1, None, [])
    assert first["upsert"][1] == {"key": "cluster/a", "slot": 1, "body": {"x": 1}}


def test_an_empty_first_configuration_is_a_payload_too() -> None:
    assert decoded(DeltaBuilder().update([]))["upsert"] == []


def test_only_changed_sections_travel() -> None:
    deltas = DeltaBuilder()
    deltas.update([section("cluster/a", x=1), section("cluster/b", x=1), section("virtual_host/v")])
    change = deltas.update([section("cluster/a", x=2), section("virtual_host/v")])
    assert keys(change) == ["cluster/a"]
    assert decoded(change)["remove"] == ["cluster/b"]
    assert (decoded(change)["version"], decoded(change)["base"]) == (2, 1)


def test_equal_configuration_is_no_update() -> None:
    deltas = DeltaBuilder()
    deltas.update([section("cluster/a", x=1)])
    digest = deltas.digest
    assert deltas.update([section("cluster/a", x=1)]) is None
    assert (deltas.version, deltas.digest) == (1, digest)


def test_paths_for_current_previous_and_lagging_workers() -> None:
    deltas = DeltaBuilder()
    for x in range(3):
        deltas.update([section("cluster/a", x=x)])
    deltas.settle(3, ())
    assert deltas.path(3) == ()
    assert [payload.base for payload in deltas.path(2)] == [2]
    assert [payload.base for payload in deltas.path(1)] == [None]
    assert [payload.base for payload in deltas.path(None)] == [None]


def test_a_fresh_worker_gets_the_last_good_body_of_a_faulty_section() -> None:
    deltas = DeltaBuilder()
    deltas.update([section("cluster/a", x=1), section("cluster/b", x=1)])
    deltas.settle(1, ())
    deltas.update([section("cluster/a", broken=True), section("cluster/b", x=2)])
    deltas.settle(2, {"cluster/a"})
    fresh: Snapshot | None = None
    for payload in deltas.path(None):
        fresh = Snapshot.compile(payload.data, fresh)
    assert fresh is not None
    assert (fresh.version, fresh.sections) == (2, {"cluster/a": {"x": 1}, "cluster/b": {"x": 2}})
    assert [key for key, _, _ in fresh.issues] == ["cluster/a"]


def test_a_mended_section_needs_one_payload_again() -> None:
    deltas = DeltaBuilder()
    deltas.update([section("cluster/a", x=1)])
    deltas.update([section("cluster/a", broken=True)])
    deltas.settle(2, {"cluster/a"})
    deltas.update([section("cluster/a", x=3)])
    deltas.settle(3, ())
    assert len(deltas.path(None)) == 1


def test_payloads_do_not_print_what_they_hold() -> None:
    payload = DeltaBuilder().update([section("certificate/c", private_key="canary")])
    assert "canary" not in repr(payload)


def test_the_digest_depends_on_the_sections_alone() -> None:
    """Not on the way there, nor on rows."""
    straight, around = DeltaBuilder(), DeltaBuilder()
    assert straight.digest == ""
    straight.update([section("cluster/a", x=1), section("cluster/b", x=2)])
    around.update([section("cluster/b", x=1), section("cluster/c")])
    around.update([section("cluster/b", x=2), section("cluster/c")])
    assert around.digest != straight.digest
    around.update([section("cluster/a", x=1), section("cluster/b", x=2)])
    assert around.digest == straight.digest
    around.update([section("cluster/a", x=2), section("cluster/b", x=1)])
    assert around.digest != straight.digest


def test_rows_are_stable_and_reused_last() -> None:
    rows = RowTable(5)
    assert rows.change([], ["a", "b"]) == ["a", "b"]
    assert rows.change(["a"], ["c"]) == ["c"]
    assert (rows.row("b"), rows.row("c")) == (2, 3)
    rows.change([], ["d", "a"])
    assert (rows.row("d"), rows.row("a")) == (4, 1)


def test_objects_without_a_row_share_row_0_until_one_is_free() -> None:
    rows = RowTable(2)
    assert rows.change([], ["a", "b"]) == ["a"]
    before = rows.names()
    assert rows.row("b") == OTHER
    assert rows.change(["a"], []) == ["b"]
    assert rows.names() == {1: "b"}
    assert before == {1: "a"}


def test_a_new_row_travels_although_the_body_is_the_same() -> None:
    deltas = DeltaBuilder()
    names = [f"listener/{number:03}" for number in range(64)]
    deltas.update([section(name) for name in names])
    change = decoded(deltas.update([section(name) for name in names[1:]]))
    assert change["upsert"] == [{"key": "listener/063", "slot": 1, "body": {}}]


BODIES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3) | st.none(), max_size=6)


@given(st.lists(BODIES, min_size=1, max_size=8), st.data())
def test_any_worker_ends_with_what_a_steady_one_has(history: list[dict[str, int | None]], data: st.DataObject) -> None:
    """``None`` is a body that does not compile. A steady worker takes every delta; others join or skip at will."""
    deltas = DeltaBuilder()
    steady: Snapshot | None = None
    lagging: Snapshot | None = None
    for bodies in history:
        update = deltas.update(
            section(f"cluster/{name}", broken=True) if x is None else section(f"cluster/{name}", x=x)
            for name, x in bodies.items()
        )
        if update is None:
            continue
        steady = Snapshot.compile(update.data, steady)
        deltas.settle(steady.version, {key for key, _, _ in steady.issues})
        if data.draw(st.booleans()):
            lagging = follow(deltas, lagging)
            assert lagging.sections == steady.sections
        assert follow(deltas, None).sections == steady.sections


def follow(deltas: DeltaBuilder, snapshot: Snapshot | None) -> Snapshot:
    for payload in deltas.path(snapshot.version if snapshot is not None else None):
        snapshot = Snapshot.compile(payload.data, snapshot)
    assert snapshot is not None
    return snapshot

"""The immutable set and its difference."""

import pytest

from gateway.diagnostics import Origin
from gateway.resources import Host, LabelSelector, Mapping, MappingSpec, Metadata, Resource, ResourceSet, diff
from gateway.resources.model import Location, SelectorRequirement


def mapping(name: str, prefix: str = "/") -> Mapping:
    return Mapping(
        metadata=Metadata(name=name, namespace="ns"), origin=Origin(), spec=MappingSpec(prefix=prefix, service="s")
    )


def host(name: str) -> Host:
    return Host(metadata=Metadata(name=name, namespace="ns"), origin=Origin())


def test_views_are_ordered_and_typed() -> None:
    objects = ResourceSet.build([mapping("b"), host("h"), mapping("a")])
    assert [item.name for item in objects.of(Mapping)] == ["a", "b"]
    assert [item.name for item in objects.of(Host)] == ["h"]
    found = objects.get(Host, "ns", "h")
    assert found is objects.of(Host)[0]
    assert objects.get(Host, "ns", "x") is None
    assert len(objects) == 3
    assert found is not None
    assert found.key in objects


def test_the_first_of_two_stays() -> None:
    assert ResourceSet.build([mapping("a", "/1"), mapping("a", "/2")]).of(Mapping)[0].spec.prefix == "/1"


def test_difference_by_identity_and_shared_views() -> None:
    same, old, gone = mapping("same"), mapping("x", "/1"), host("gone")
    before = ResourceSet.build([same, old, gone, host("h")])
    new, added = mapping("x", "/2"), mapping("added")
    after = ResourceSet.build([same, new, added, before.of(Host)[1]], previous=before)
    changes = diff(before, after)
    assert changes.added == (added,)
    assert changes.changed == ((old, new),)
    assert changes.removed == (gone,)
    assert changes.kinds == {Mapping, Host}
    again = ResourceSet.build(after, previous=after)
    assert again.of(Mapping) is after.of(Mapping)
    assert not diff(after, again)


def test_a_set_with_replacements_equals_one_that_is_built() -> None:
    same, old, gone = mapping("m"), mapping("x", "/1"), host("gone")
    before = ResourceSet.build([same, old, gone], {old.key: Location("f", 0, 1), gone.key: Location("f", 1, 5)})
    new, first = mapping("x", "/2"), mapping("a")
    after = before.replaced(
        {new.key: new, first.key: first, gone.key: None, same.key: same, host("never").key: None},
        {new.key: Location("f", 0, 2), first.key: Location("f", 1, 9)},
    )
    built = ResourceSet.build([first, same, new])
    assert after.of(Mapping) == built.of(Mapping) == (first, same, new)
    assert after.of(Host) == ()
    assert {item.key: item for item in after} == {item.key: item for item in built}
    assert [after.location(item.key).line for item in (new, first, gone)] == [2, 9, 0]
    assert (before.of(Mapping), before.of(Host), before.location(gone.key).line) == ((same, old), (gone,), 5)
    assert before.replaced({same.key: same}, {}).of(Mapping) is before.of(Mapping)
    changes = diff(before, after)
    assert (changes.added, changes.changed, changes.removed) == ((first,), ((old, new),), (gone,))


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ("a", "b"), {"k": "a"}, True),
        ("In", ("a",), {}, False),
        ("NotIn", ("a",), {}, True),
        ("NotIn", ("a",), {"k": "a"}, False),
        ("Exists", (), {"k": ""}, True),
        ("DoesNotExist", (), {"k": ""}, False),
    ],
)
def test_label_expressions(operator: str, values: tuple[str, ...], labels: dict[str, str], expected: bool) -> None:
    requirement = SelectorRequirement(key="k", operator=operator, values=values)  # type: ignore[arg-type]
    assert LabelSelector(match_expressions=(requirement,)).matches(labels) is expected


def test_an_empty_selector_selects_everything() -> None:
    assert LabelSelector().is_empty
    assert LabelSelector().matches({})
    assert not LabelSelector(match_labels={"a": "b"}).matches({"a": "c"})


def test_resources_can_be_referred_to_weakly() -> None:
    import weakref

    item: Resource = mapping("a")
    assert weakref.ref(item)() is item

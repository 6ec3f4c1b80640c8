"""Differences by identity."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.base.differences import differences, positions

POOL = [object() for _ in range(6)]
SEQUENCES = st.lists(st.sampled_from(POOL), unique=True).map(tuple)


@given(old=SEQUENCES, new=SEQUENCES)
def test_what_only_one_has(old: tuple[object, ...], new: tuple[object, ...]) -> None:
    gone, fresh = differences(old, new)
    assert gone == [item for item in old if item not in new]
    assert fresh == [item for item in new if item not in old]


def test_equal_objects_are_not_the_same() -> None:
    old, new = ["a", "".join(["b", "c"])], ["a", "".join(["b", "c"])]
    assert differences(old, new) == (["bc"], ["bc"])
    assert differences(old, old) == ([], [])


@given(pairs=st.lists(st.tuples(st.sampled_from(POOL), st.sampled_from(POOL))))
def test_where_two_of_one_length_differ(pairs: list[tuple[object, object]]) -> None:
    old, new = [first for first, _ in pairs], [second for _, second in pairs]
    assert positions(old, new) == [index for index, (first, second) in enumerate(pairs) if first is not second]

"""What differs between two sequences of shared objects, by identity.

Successive states of the gateway share what did not change and keep it in order, so that all but a few neighbours are
the same objects at the same distance from one of the ends. Those are passed over without running Python for each.
"""

from __future__ import annotations

from itertools import compress, count
from operator import indexOf, is_not
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def differences(old: Sequence[T], new: Sequence[T]) -> tuple[list[T], list[T]]:
    """Objects of ``old`` that are not in ``new`` and those of ``new`` that are not in ``old``, each in its order."""
    if old is new:
        return [], []
    head = _same(old, new)
    tail = min(_same(old[::-1], new[::-1]), min(len(old), len(new)) - head)
    before, after = old[head : len(old) - tail], new[head : len(new) - tail]
    kept, known = set(map(id, after)), set(map(id, before))
    return [item for item in before if id(item) not in kept], [item for item in after if id(item) not in known]


def positions(old: Sequence[T], new: Sequence[T]) -> list[int]:
    """Where two sequences of one length hold different objects."""
    return list(compress(count(), map(is_not, old, new)))


def same_objects(first: Sequence[object], second: Sequence[object]) -> bool:
    """Whether both hold the very same objects in the same order."""
    return first is second or (len(first) == len(second) and _same(first, second) == len(first))


def _same(first: Sequence[T], second: Sequence[T]) -> int:
    """How many objects at the beginning are the same."""
    try:
        return indexOf(map(is_not, first, second), True)
    except ValueError:
        return min(len(first), len(second))

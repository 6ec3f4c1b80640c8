"""Canary weights: the share of each member of a group.

Source of the rules: Emissary's ``normalize_weights_in_mappings`` (features.md 1.3, item 4). Shares are summed in the
order of the members by the data plane, which is Emissary's cumulative form; the rest falls through to the next route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE = 100


class WeightError(ValueError):
    """The weights of a group exceed 100; the group is dropped."""


def shares(weights: Sequence[int | None]) -> list[tuple[int, int]]:
    """(index, share in percent) of each member, in the order in which they are tried.

    A single member gets everything, whatever its weight. Otherwise explicit weights come first, in order; members
    without a weight share the remainder in equal (rounded) parts and the last one takes what is left.
    """
    if len(weights) == 1:
        return [(0, WHOLE)]
    result = [(index, weight) for index, weight in enumerate(weights) if weight is not None]
    total = sum(weight for _, weight in result)
    if total > WHOLE:
        raise WeightError(f"the weights of the group sum up to {total}, more than 100")
    free = [index for index, weight in enumerate(weights) if weight is None]
    remaining = WHOLE - total
    part = round(remaining / len(free)) if free else 0
    for index in free:
        share = remaining if index == free[-1] else min(part, remaining)
        result.append((index, share))
        remaining -= share
    return result

"""Canary weights, against Emissary's ``normalize_weights_in_mappings``."""

from __future__ import annotations

import pytest

from gateway.translate.ambassador.weights import WeightError, shares


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param([None], [(0, 100)], id="single"),
        pytest.param([20], [(0, 100)], id="single with weight gets everything"),
        pytest.param([None, 10], [(1, 10), (0, 90)], id="explicit first"),
        pytest.param([None, None, None], [(0, 33), (1, 33), (2, 34)], id="last one takes the rest"),
        pytest.param([30, 20], [(0, 30), (1, 20)], id="remainder falls through"),
        pytest.param([100, None], [(0, 100), (1, 0)], id="nothing left"),
        pytest.param([50, None, None], [(0, 50), (1, 25), (2, 25)], id="shared remainder"),
        pytest.param([0, None], [(0, 0), (1, 100)], id="zero"),
    ],
)
def test_shares(weights: list[int | None], expected: list[tuple[int, int]]) -> None:
    assert shares(weights) == expected


def test_many_members_never_exceed_the_whole() -> None:
    assert sum(share for _, share in shares([None] * 150)) == 100
    assert all(share >= 0 for _, share in shares([None] * 150))


def test_more_than_the_whole() -> None:
    with pytest.raises(WeightError):
        shares([60, 50])

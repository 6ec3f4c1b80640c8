"""The name of the Lease says whose it is, and the API server takes it."""

from __future__ import annotations

import re

import pytest

from gateway.status.make import lease_name

LABEL = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@pytest.mark.parametrize(("one", "name"), [("default", "sluice-status"), ("edge-1", "sluice-status-edge-1")])
def test_a_plain_id_is_in_the_name_as_it_is(one: str, name: str) -> None:
    assert lease_name(one) == name


def test_any_other_id_gets_a_valid_name_of_its_own() -> None:
    ids = ["Edge", "edge", "edge_", "-edge", "edge-", "a b", "größe", "İ", "__", "--", "x" * 40, "x" * 41, "x" * 200]
    names = {lease_name(one) for one in ids}
    assert len(names) == len(ids)
    assert all(LABEL.fullmatch(name) for name in names)

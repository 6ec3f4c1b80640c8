"""The ordering key, against Emissary's ``_route_weight``; pairs are (goes first, goes later)."""

from __future__ import annotations

import pytest

from gateway.resources import MappingSpec
from gateway.translate.ambassador.matching import build_matching
from gateway.translate.ranking import BACKEND_RANK, Rank, ingress_rank


def rank(**fields: object) -> Rank:
    values: dict[str, object] = {"prefix": "/", "service": "s", **fields}
    return build_matching(MappingSpec(**values), {}, ()).rank  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        pytest.param({"precedence": 1}, {"prefix": "/much/longer"}, id="precedence"),
        pytest.param({"prefix": "/ab"}, {"prefix": "/b", "headers": {"x": "y"}}, id="prefix length before headers"),
        pytest.param(
            {"prefix": "/a[0-9]+", "prefix_regex": True}, {"prefix": "/a1", "prefix_exact": True}, id="regex text"
        ),
        pytest.param({"prefix": "/b"}, {"prefix": "/a", "prefix_exact": True}, id="exact has no bonus"),
        pytest.param({"headers": {"x": "yy"}}, {"headers": {"x": "y"}}, id="header text"),
        pytest.param({"regex_headers": {"x": "y"}}, {"headers": {"x": "y"}}, id="regex counts one more"),
        pytest.param({"headers": {"x": "y"}}, {"query_parameters": {"long": "value"}}, id="headers before query"),
        pytest.param({"query_parameters": {"q": "1"}}, {}, id="query"),
        pytest.param({"hostname": "a.example.com"}, {"hostname": "*"}, id="host counts as a header"),
        pytest.param({"method": "GET"}, {}, id="method counts as a header"),
        pytest.param({"prefix": "/b"}, {"prefix": "/a"}, id="greater prefix"),
        pytest.param({"method": "PUT"}, {"method": "GET"}, id="greater method"),
    ],
)
def test_order(first: dict[str, object], later: dict[str, object]) -> None:
    assert rank(**first) > rank(**later)


def test_dialects() -> None:
    assert rank(prefix="/api") > ingress_rank("/api", exact=True) > ingress_rank("/api", exact=False)
    assert ingress_rank("/api/v1", exact=False) > rank(prefix="/api")
    assert ingress_rank("/", exact=False) > BACKEND_RANK

"""One path for every decider: normalised once, then routed and forwarded as it is (behaviour rows 22 to 25)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import refused
from tests.protocol.path_table import ABOVE_THE_ROOT, AMBIGUOUS, ENCODED_TWICE, NORMALISED, RESERVED_ESCAPES
from tests.support.rawclient import ask, request

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.messages import Response


def decided(edge: Edge, target: str) -> tuple[str | None, str]:
    """The route that took the request and the target that arrived upstream."""
    response: Response = ask(edge.port, request("GET", target))
    assert response.status == 200, response
    return response.fields.get("x-route"), str(response.json()["target"])


@pytest.mark.parametrize(("target", "route", "forwarded"), NORMALISED)
def test_paths_are_normalised_once(edge: Edge, target: str, route: str, forwarded: str) -> None:
    assert decided(edge, target) == (route, forwarded)


@pytest.mark.parametrize("target", ABOVE_THE_ROOT)
def test_above_the_root(edge: Edge, target: str) -> None:
    """Climbing over the root is refused or stops at the root; no dot segment reaches the upstream."""
    response = ask(edge.port, request("GET", target))
    assert response.status in (200, 400)
    for head in edge.backend.heads():
        assert ".." not in head.target
        assert (response.fields.get("x-route") == "admin") == (head.target.startswith("/admin"))


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_ambiguous_paths_are_refused(edge: Edge, target: str) -> None:
    refused(edge, request("GET", target), 400)


@pytest.mark.parametrize("escape", RESERVED_ESCAPES)
def test_other_reserved_escapes_stay_encoded(edge: Edge, escape: str) -> None:
    """They are neither decoded for the match nor for the upstream."""
    assert decided(edge, f"/admin{escape}x") == ("admin", f"/admin{escape}x")
    assert decided(edge, f"/x{escape}/../admin") == ("admin", "/admin")


@pytest.mark.parametrize("target", ENCODED_TWICE)
def test_nothing_is_decoded_twice(edge: Edge, target: str) -> None:
    route, forwarded = decided(edge, target)
    assert route == "all"
    assert "%25" in forwarded
    assert ".." not in forwarded


@pytest.mark.parametrize("target", ["/a;v=1", "/a;v=1/b", "/admin;x", "/a/;/b"])
def test_parameters_are_kept_or_refused(edge: Edge, target: str) -> None:
    """A semicolon means something to some upstreams: it is never cut off on the way."""
    response = ask(edge.port, request("GET", target))
    assert response.status in (200, 400)
    assert [head.target for head in edge.backend.heads()] in ([target], [])


@pytest.mark.parametrize(
    ("target", "route", "forwarded"),
    [
        pytest.param("//admin", "admin", "/admin", id="leading"),
        pytest.param("///admin//x", "admin", "/admin/x", id="many"),
        pytest.param("/x%2Fadmin", "all", "/x%2Fadmin", id="slash-stays-encoded"),
        pytest.param("/x%5Cadmin", "all", "/x%5Cadmin", id="backslash-stays-encoded"),
        pytest.param("/x?a//b", "all", "/x?a//b", id="query-untouched"),
    ],
)
def test_relaxed_paths(relaxed_edge: Edge, target: str, route: str, forwarded: str) -> None:
    """``merge_slashes`` is on and escaped slashes are allowed: still one value for all, never decoded."""
    assert decided(relaxed_edge, target) == (route, forwarded)


def test_merged_slashes_and_dot_segments(relaxed_edge: Edge) -> None:
    """Which one is normal depends on the order of the two steps; the route agrees with what is forwarded."""
    assert decided(relaxed_edge, "/a//../admin") in (("all", "/a/admin"), ("admin", "/admin"))


@pytest.mark.parametrize("target", ["/x%00", "/x\\y", "/%zz", "/\xfc"])
def test_what_cannot_be_relaxed(relaxed_edge: Edge, target: str) -> None:
    refused(relaxed_edge, request("GET", target), 400)

"""Paths over HTTP/2 get the verdicts that they get over HTTP/1 (behaviour rows 22 to 27)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.h2_oracle import refused_h2
from tests.protocol.path_table import (
    ABOVE_THE_ROOT,
    AMBIGUOUS,
    ENCODED_TWICE,
    NORMALISED,
    RESERVED_ESCAPES,
    REWRITES,
    REWRITTEN_TO_DOTS,
)
from tests.support.h2client import h2_ask, pseudo

if TYPE_CHECKING:
    from tests.protocol.site import Edge


def decided(edge: Edge, target: str) -> tuple[str | None, str]:
    """The route that took the request and the target that arrived upstream."""
    response = h2_ask(edge.port, "GET", target)
    assert response.status == 200, response
    return response.fields.get("x-route"), str(response.json()["target"])


@pytest.mark.parametrize(("target", "route", "forwarded"), NORMALISED)
def test_paths_are_normalised_once(edge: Edge, target: str, route: str, forwarded: str) -> None:
    assert decided(edge, target) == (route, forwarded)


@pytest.mark.parametrize("target", ABOVE_THE_ROOT)
def test_above_the_root(edge: Edge, target: str) -> None:
    response = h2_ask(edge.port, "GET", target)
    assert response.status in (200, 400)
    for head in edge.backend.heads():
        assert ".." not in head.target
        assert (response.fields.get("x-route") == "admin") == (head.target.startswith("/admin"))


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_ambiguous_paths_are_refused(edge: Edge, target: str) -> None:
    refused_h2(edge, pseudo("GET", target))


@pytest.mark.parametrize("escape", RESERVED_ESCAPES)
def test_other_reserved_escapes_stay_encoded(edge: Edge, escape: str) -> None:
    assert decided(edge, f"/admin{escape}x") == ("admin", f"/admin{escape}x")
    assert decided(edge, f"/x{escape}/../admin") == ("admin", "/admin")


@pytest.mark.parametrize("target", ENCODED_TWICE)
def test_nothing_is_decoded_twice(edge: Edge, target: str) -> None:
    route, forwarded = decided(edge, target)
    assert route == "all"
    assert "%25" in forwarded
    assert ".." not in forwarded


@pytest.mark.parametrize("target", REWRITTEN_TO_DOTS)
def test_a_rewrite_never_makes_dot_segments(edge: Edge, target: str) -> None:
    refused_h2(edge, pseudo("GET", target))


@pytest.mark.parametrize(("target", "forwarded"), REWRITES)
def test_rewrites(edge: Edge, target: str, forwarded: str) -> None:
    assert decided(edge, target)[1] == forwarded


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("", id="empty"),
        pytest.param("admin", id="no-slash"),
        pytest.param("admin/x", id="no-slash-segment"),
        pytest.param("?x", id="query-only"),
        pytest.param("*", id="asterisk"),
        pytest.param("*/admin", id="asterisk-path"),
        pytest.param("http://site.example/admin", id="absolute"),
        pytest.param("http://named.example/admin", id="absolute-elsewhere"),
        pytest.param("site.example:80", id="authority"),
        pytest.param("/admin x", id="space"),
        pytest.param(" /admin", id="leading-space"),
        pytest.param("/admin HTTP/1.1\r\nX-Injected: 1", id="crlf"),
        pytest.param("/admin\n", id="lf"),
        pytest.param("/admin\r", id="cr"),
        pytest.param("/admin\x00", id="raw-nul"),
    ],
)
def test_what_is_no_path(edge: Edge, target: str) -> None:
    refused_h2(edge, pseudo("GET", target))


def test_a_fragment_is_never_part_of_a_path(edge: Edge) -> None:
    """What follows ``#`` may be cut off or the request refused; it does not reach the upstream or hide a segment."""
    for target in ("/admin#x", "/x#/../admin", "/x?q#/admin", "#x"):
        response = h2_ask(edge.port, "GET", target)
        assert response.status in (200, 400)
    for head in edge.backend.heads():
        assert head.target in ("/admin", "/x", "/x?q", "/")


def test_the_path_may_be_missing_for_nobody(edge: Edge) -> None:
    """Neither with an authority nor with a host field in its place."""
    fields = pseudo("GET", "/")
    refused_h2(edge, [field for field in fields if field[0] != b":path"])
    without = [field for field in fields if field[0] not in (b":path", b":authority")]
    refused_h2(edge, [*without, (b"host", b"site.example")])


def test_the_asterisk_of_options(edge: Edge) -> None:
    response = h2_ask(edge.port, "OPTIONS", "*")
    assert response.status in (200, 400, 404, 501)
    assert [head.target for head in edge.backend.heads()] in ([], ["*"])


@pytest.mark.parametrize(
    ("target", "route", "forwarded"),
    [
        pytest.param("//admin", "admin", "/admin", id="leading"),
        pytest.param("/x%2Fadmin", "all", "/x%2Fadmin", id="slash-stays-encoded"),
    ],
)
def test_relaxed_paths(relaxed_edge: Edge, target: str, route: str, forwarded: str) -> None:
    assert decided(relaxed_edge, target) == (route, forwarded)

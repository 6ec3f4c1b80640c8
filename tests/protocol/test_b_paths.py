"""One path for every decider: normalised once, then routed and forwarded as it is (behaviour rows 22 to 25)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import refused
from tests.support.rawclient import ask, request

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.messages import Response


def decided(edge: Edge, target: str) -> tuple[str | None, str]:
    """The route that took the request and the target that arrived upstream."""
    response: Response = ask(edge.port, request("GET", target))
    assert response.status == 200, response
    return response.fields.get("x-route"), str(response.json()["target"])


@pytest.mark.parametrize(
    ("target", "route", "forwarded"),
    [
        pytest.param("/admin", "admin", "/admin", id="plain"),
        pytest.param("/admin/", "admin", "/admin/", id="trailing-slash"),
        pytest.param("/a/../admin", "admin", "/admin", id="dot-dot"),
        pytest.param("/a/b/../../admin", "admin", "/admin", id="two-dot-dots"),
        pytest.param("/a/./admin", "all", "/a/admin", id="dot"),
        pytest.param("/./admin", "admin", "/admin", id="leading-dot"),
        pytest.param("/a/%2e%2e/admin", "admin", "/admin", id="encoded-dot-dot"),
        pytest.param("/a/%2E%2E/admin", "admin", "/admin", id="encoded-upper-case"),
        pytest.param("/a/%2e./admin", "admin", "/admin", id="half-encoded"),
        pytest.param("/a/.%2E/admin", "admin", "/admin", id="other-half-encoded"),
        pytest.param("/%2e/admin", "admin", "/admin", id="encoded-dot"),
        pytest.param("/admin/..", "all", "/", id="up-at-the-end"),
        pytest.param("/admin/../x", "all", "/x", id="out-of-admin"),
        pytest.param("/admin/x/..", "admin", "/admin/", id="up-inside"),
        pytest.param("/admin/.", "admin", "/admin/", id="dot-at-the-end"),
        pytest.param("/%61dmin", "admin", "/admin", id="encoded-letter"),
        pytest.param("/%61%64%6D%69%6e", "admin", "/admin", id="encoded-word"),
        pytest.param("/adm%69n/x", "admin", "/admin/x", id="encoded-inside"),
        pytest.param("/a%7eb%2Dc%5fd%2e", "all", "/a~b-c_d.", id="unreserved-decoded"),
        pytest.param("/x%3ay", "all", "/x%3Ay", id="hex-upper-cased"),
        pytest.param("/ADMIN", "all", "/ADMIN", id="case-matters"),
        pytest.param("//admin", "all", "//admin", id="double-slash-kept"),
        pytest.param("/x//y", "all", "/x//y", id="inner-double-slash-kept"),
        pytest.param("/...", "all", "/...", id="three-dots"),
        pytest.param("/..admin", "all", "/..admin", id="dots-in-a-name"),
        pytest.param("/admin..", "admin", "/admin..", id="dots-behind-a-name"),
        pytest.param("/.admin", "all", "/.admin", id="dot-file"),
        pytest.param("/a/../admin?x=/../y", "admin", "/admin?x=/../y", id="query-untouched"),
        pytest.param("/x?%2e%2F%00%zz", "all", "/x?%2e%2F%00%zz", id="query-escapes-untouched"),
        pytest.param("/x?", "all", "/x?", id="empty-query"),
        pytest.param("/x?a?b", "all", "/x?a?b", id="question-mark-in-query"),
        pytest.param("/%C3%BC", "all", "/%C3%BC", id="encoded-utf8"),
        pytest.param("/a:b@c!$&'()*+,=", "all", "/a:b@c!$&'()*+,=", id="sub-delimiters"),
    ],
)
def test_paths_are_normalised_once(edge: Edge, target: str, route: str, forwarded: str) -> None:
    assert decided(edge, target) == (route, forwarded)


@pytest.mark.parametrize(
    "target",
    ["/..", "/../", "/../admin", "/../../../etc/passwd", "/a/../../admin", "/%2e%2e/admin", "/..//admin"],
)
def test_above_the_root(edge: Edge, target: str) -> None:
    """Climbing over the root is refused or stops at the root; no dot segment reaches the upstream."""
    response = ask(edge.port, request("GET", target))
    assert response.status in (200, 400)
    for head in edge.backend.heads():
        assert ".." not in head.target
        assert (response.fields.get("x-route") == "admin") == (head.target.startswith("/admin"))


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/a%2Fadmin", id="slash"),
        pytest.param("/a%2fadmin", id="slash-lower-case"),
        pytest.param("/a%2F..%2Fadmin", id="slash-dot-dot"),
        pytest.param("/a/..%2fadmin", id="dot-dot-slash"),
        pytest.param("/a%5Cadmin", id="backslash"),
        pytest.param("/a%5c..%5cadmin", id="backslash-dot-dot"),
        pytest.param("/a%00b", id="nul"),
        pytest.param("/admin%00.png", id="nul-suffix"),
        pytest.param("/a\\admin", id="raw-backslash"),
        pytest.param("/a\\..\\admin", id="raw-backslash-dot-dot"),
        pytest.param("\\admin", id="leading-backslash"),
        pytest.param("/\\admin", id="slash-backslash"),
        pytest.param("/..;/admin", id="dot-dot-parameter"),
        pytest.param("/a/..;x=y/admin", id="dot-dot-parameter-value"),
        pytest.param("/%c0%ae%c0%ae/admin", id="overlong-dots"),
        pytest.param("/a%c0%afadmin", id="overlong-slash"),
        pytest.param("/a%e0%80%afadmin", id="overlong-slash-3"),
        pytest.param("/\xfc", id="raw-latin-1"),
        pytest.param("/\xc3\xbc", id="raw-utf8"),
        pytest.param("/\x80", id="raw-0x80"),
        pytest.param("/\xff", id="raw-0xff"),
        pytest.param("/x?\xfc", id="raw-in-query"),
        pytest.param("/%zz", id="bad-hex"),
        pytest.param("/%2", id="short-hex"),
        pytest.param("/%", id="lone-percent"),
        pytest.param("/a%2gb", id="half-hex"),
        pytest.param("/%u0041", id="percent-u"),
        pytest.param("/a\x01b", id="control"),
        pytest.param("/a\x7fb", id="delete"),
        pytest.param("/a\tb", id="tab"),
    ],
)
def test_ambiguous_paths_are_refused(edge: Edge, target: str) -> None:
    refused(edge, request("GET", target), 400)


@pytest.mark.parametrize(
    "escape", ["%25", "%3B", "%23", "%3F", "%20", "%22", "%3C", "%7B", "%40", "%3D", "%26", "%2B", "%0D%0A"]
)
def test_other_reserved_escapes_stay_encoded(edge: Edge, escape: str) -> None:
    """They are neither decoded for the match nor for the upstream."""
    assert decided(edge, f"/admin{escape}x") == ("admin", f"/admin{escape}x")
    assert decided(edge, f"/x{escape}/../admin") == ("admin", "/admin")


@pytest.mark.parametrize(
    "target",
    ["/a/%252e%252e/admin", "/%2561dmin", "/a%252Fadmin", "/a%255cadmin", "/a%2500", "/%25%32%65%25%32%65/admin"],
)
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

"""Rewrites, ties between routes and hostile patterns (behaviour rows 26, 28, 29 and 30)."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocol.oracle import assert_only_new_requests_arrive
from tests.protocol.path_table import REWRITES, REWRITTEN_TO_DOTS
from tests.support import manifests as m
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.site import Edge
    from tests.support.backend import Backend


@pytest.mark.parametrize("target", REWRITTEN_TO_DOTS)
def test_a_rewrite_never_makes_dot_segments(edge: Edge, target: str) -> None:
    """``/api`` is replaced by ``/``, so that ``/api../x`` would become ``/../x``."""
    assert ask(edge.port, request("GET", target)).status == 400
    assert_only_new_requests_arrive(edge)


@pytest.mark.parametrize(("target", "forwarded"), REWRITES)
def test_rewrites(edge: Edge, target: str, forwarded: str) -> None:
    assert ask(edge.port, request("GET", target)).json()["target"] == forwarded


@pytest.mark.parametrize(
    ("target", "fields", "route"),
    [
        pytest.param("/tie", (), "short", id="short"),
        pytest.param("/tiexxx", (), "short", id="mapping-prefix-is-a-plain-prefix"),
        pytest.param("/tie/break", (), "long", id="longest-prefix"),
        pytest.param("/tie/breaker", (), "long", id="longest-plain-prefix"),
        pytest.param("/tie/exact", (), "exact", id="exact"),
        pytest.param("/tie/exact/", (), "short", id="exact-is-not-a-prefix"),
        pytest.param("/tie/exact?x", (), "exact", id="exact-ignores-the-query"),
        pytest.param("/tie", (("X-Variant", "b"),), "headed", id="header"),
        pytest.param("/tie", (("X-Variant", "a"),), "short", id="other-header-value"),
        pytest.param("/tie", (("X-VARIANT", "b"),), "headed", id="header-name-case"),
        pytest.param("/tie/break", (("X-Variant", "b"),), "long", id="prefix-before-header"),
        pytest.param("/tie/break/first", (), "first", id="precedence"),
        pytest.param("/tie/break/first/", (), "long", id="regex-matches-the-whole-path"),
        pytest.param("/ti", (), "all", id="shorter"),
    ],
)
def test_ties_have_one_answer(edge: Edge, target: str, fields: tuple[tuple[str, str], ...], route: str) -> None:
    response = ask(edge.port, request("GET", target, *fields))
    assert (response.status, response.fields.get("x-route")) == (200, route)


def test_a_pattern_cannot_burn_the_processor(edge: Edge) -> None:
    """A backtracking engine would need 2^8000 steps."""
    with RawClient(edge.port) as client:
        response = client.ask(request("GET", "/evil/" + "a" * 8000 + "!"))
        assert response.fields.get("x-route") == "all"
        assert client.ask(request("GET", "/evil/" + "a" * 8000 + "b")).fields.get("x-route") == "evil"


SEGMENT = st.one_of(
    st.sampled_from(["..", ".", "", "admin", "%2e%2e", "%2E", "%61dmin", "api", "api..", "%2F", "%5c", ";x", "%zz"]),
    st.text(alphabet=string.ascii_letters + string.digits + "-._~!$&'()*+,=:@%;", max_size=6),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segments=st.lists(SEGMENT, min_size=1, max_size=5))
def test_every_observer_sees_the_same_path(edge: Edge, segments: list[str]) -> None:
    """The live route decision, the parser's path, the offline route table and the upstream agree, or it is refused."""
    native = pytest.importorskip("gateway._native")
    data = request("GET", "/" + "/".join(segments), ("X-Marker", "1"))
    before = len(edge.backend.heads())
    response = ask(edge.port, data)
    heads = edge.backend.heads()[before:]
    if response.status != 200:
        assert response.status == 400
        assert heads == []
        return
    parsed = native.parse_request_head(data)
    assert parsed is not None
    forwarded = heads[0].target
    route = response.fields.one("x-route")
    if route == "stripped":
        # The slashes at the seam of the rewrite become one.
        assert forwarded == "/" + parsed.path.removeprefix("/api").lstrip("/")
    else:
        assert forwarded == parsed.path
        assert (route == "admin") == parsed.path.startswith("/admin")
    assert not {".", ".."} & set(forwarded.split("/"))


def test_huge_patterns_are_refused_and_harm_nobody(upstream: Backend, tmp_path: Path) -> None:
    """A Mapping whose pattern cannot be compiled is left out; the others are served."""
    ports = Ports()
    target = f"{LOOPBACK}:{upstream.port}"
    objects = [
        m.listener("http", ports.http),
        m.host("any"),
        m.mapping("good", "/good", target),
        m.mapping("huge", "/(a{1000}){1000}", target, prefix_regex=True),
        m.mapping("broken", "/(", target, prefix_regex=True),
    ]
    with GatewayProcess(tmp_path, ports, objects) as gateway:
        assert ask(gateway.ports.http, request("GET", "/good")).status == 200
        assert ask(gateway.ports.http, request("GET", "/(")).status == 404


def test_ingress_prefixes_end_at_segments(upstream: Backend, tmp_path: Path) -> None:
    ports = Ports()
    objects = [
        m.listener("http", ports.http),
        m.ingress_class("edge", "sluice.dev/ingress-controller"),
        m.service("echo", upstream.port, LOOPBACK),
        m.ingress("a", "site.example", "/foo", "Prefix", "echo", upstream.port, "edge"),
        m.ingress("b", "site.example", "/exact", "Exact", "echo", upstream.port, "edge"),
    ]
    expected = {
        "/foo": 200,
        "/foo/": 200,
        "/foo/bar": 200,
        "/foobar": 404,
        "/exact": 200,
        "/exact/": 404,
        "/": 404,
    }
    with GatewayProcess(tmp_path, ports, objects) as gateway:
        got = {path: ask(gateway.ports.http, request("GET", path)).status for path in expected}
    assert got == expected

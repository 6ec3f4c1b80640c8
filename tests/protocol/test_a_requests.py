"""Methods, authorities and target forms (behaviour rows 14, 16 and 17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.oracle import refused
from tests.support.rawclient import RawClient, ask, request

if TYPE_CHECKING:
    from tests.protocol.site import Edge


@pytest.mark.parametrize(
    ("method", "status"),
    [
        pytest.param("TRACE", 405, id="trace"),
        pytest.param("get", 400, id="lower-case"),
        pytest.param("Get", 400, id="mixed-case"),
        pytest.param("G=T", 400, id="equals"),
        pytest.param("G(T", 400, id="parenthesis"),
        pytest.param('"GET"', 400, id="quoted"),
        pytest.param("G\x00T", 400, id="nul"),
        pytest.param("G\xc9T", 400, id="non-ascii"),
        pytest.param("GET:", 400, id="colon"),
        pytest.param("@GET", 400, id="at"),
        pytest.param("A" * 5000, 400, id="endless"),
    ],
)
def test_methods_that_are_refused(edge: Edge, method: str, status: int) -> None:
    response = refused(edge, request(method, "/bad"), status, 501 if status == 400 else status)
    assert response.status != 200


@pytest.mark.parametrize("target", ["site.example:443", "site.example:80", "127.0.0.1:1", "/bad"])
def test_connect_is_not_implemented(edge: Edge, target: str) -> None:
    refused(edge, request("CONNECT", target, host="site.example:443"), 400 if target.startswith("/") else 501, 501)


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PURGE", "M-SEARCH"]
)
def test_methods_that_pass(edge: Edge, method: str) -> None:
    response = ask(edge.port, request(method, "/good", body=b"x"), method)
    assert (response.status, response.json()["method"]) == (200, method)


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param((), id="missing"),
        pytest.param(("site.example", "site.example"), id="two-identical"),
        pytest.param(("site.example", "named.example"), id="two-different"),
        pytest.param(("",), id="empty"),
        pytest.param(("user@site.example",), id="userinfo"),
        pytest.param(("site.example/x",), id="slash"),
        pytest.param(("site.example\\x",), id="backslash"),
        pytest.param(("site example",), id="space"),
        pytest.param(("site\x00.example",), id="nul"),
        pytest.param(("site.example, named.example",), id="list"),
        pytest.param(("site.example?x",), id="question-mark"),
        pytest.param(("site.example#x",), id="fragment"),
        pytest.param(("site.example:x",), id="port-letters"),
        pytest.param(("site.example:99999",), id="port-too-large"),
        pytest.param(("site.example:-1",), id="port-negative"),
        pytest.param(("site.example:80:80",), id="two-ports"),
        pytest.param(("[::1",), id="open-bracket"),
        pytest.param(("[site.example]",), id="name-in-brackets"),
        pytest.param(("::1",), id="bare-ipv6"),
        pytest.param(("http://site.example",), id="url"),
        pytest.param(("site%00.example",), id="encoded-nul"),
        pytest.param(("s\xeete.example",), id="non-ascii"),
        pytest.param(("site.example\t:80",), id="inner-tab"),
        pytest.param(('"site.example"',), id="quoted"),
        pytest.param(("<site.example>",), id="angle"),
    ],
)
def test_hosts_that_are_refused(edge: Edge, hosts: tuple[str, ...]) -> None:
    refused(edge, request("GET", "/bad", *(("Host", value) for value in hosts), host=None), 400)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        pytest.param("http://named.example/bad", "site.example", id="authority-differs"),
        pytest.param("http://site.example:81/bad", "site.example", id="port-differs"),
        pytest.param("http://user@site.example/bad", "site.example", id="userinfo"),
        pytest.param("http:///bad", "site.example", id="no-authority"),
        pytest.param("http:/bad", "site.example", id="one-slash"),
        pytest.param("ftp://site.example/bad", "site.example", id="other-scheme"),
        pytest.param("file:///etc/passwd", "site.example", id="file"),
        pytest.param("site.example/bad", "site.example", id="no-scheme"),
        pytest.param("bad", "site.example", id="no-slash"),
        pytest.param("?x=1", "site.example", id="query-only"),
        pytest.param("*", "site.example", id="asterisk-with-get"),
        pytest.param("/bad#x", "site.example", id="fragment"),
        pytest.param("http://site.example/bad#x", "site.example", id="absolute-fragment"),
        pytest.param("http://site.example\\@named.example/bad", "site.example", id="backslash-authority"),
    ],
)
def test_targets_that_are_refused(edge: Edge, target: str, host: str) -> None:
    refused(edge, request("GET", target, host=host), 400)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param("http://site.example/good?x=1", "/good?x=1", id="path"),
        pytest.param("http://site.example", "/", id="empty-path"),
        pytest.param("http://site.example?x=1", "/?x=1", id="query-only"),
        pytest.param("HTTP://SITE.example/good", "/good", id="upper-case"),
    ],
)
def test_absolute_form_becomes_origin_form(edge: Edge, target: str, path: str) -> None:
    response = ask(edge.port, request("GET", target))
    assert (response.status, response.json()["target"]) == (200, path)


def test_options_of_the_server_itself(edge: Edge) -> None:
    """``OPTIONS *`` asks this server, not a route; it is never a path upstream."""
    response = ask(edge.port, request("OPTIONS", "*"), "OPTIONS")
    assert response.status in (200, 204, 400, 404)
    assert [head.target for head in edge.backend.heads() if head.target != "*"] == []


@pytest.mark.parametrize(
    ("host", "route"),
    [
        pytest.param("named.example", "named", id="plain"),
        pytest.param("NAMED.Example", "named", id="case"),
        pytest.param("named.example.", "named", id="trailing-dot"),
        pytest.param("named.example:80", "named", id="default-port"),
        pytest.param("named.example:8080", "named", id="other-port"),
        pytest.param("Named.Example.:8080", "named", id="all-of-it"),
        pytest.param("a.wild.example", "wild", id="suffix"),
        pytest.param("A.B.WILD.example:1", "wild", id="deep-suffix"),
    ],
)
def test_hosts_are_compared_normalised(edge: Edge, host: str, route: str) -> None:
    response = ask(edge.port, request("GET", "/good", host=host))
    assert (response.status, response.fields.get("x-route")) == (200, route)


@pytest.mark.parametrize(
    "host", ["absent.example", "wild.example", "xnamed.example", "named.example.org", "127.0.0.1", "[::1]"]
)
def test_unknown_hosts_have_no_route(edge: Edge, host: str) -> None:
    with RawClient(edge.port) as client:
        assert client.ask(request("GET", "/", host=host)).status == 404
        assert client.ask(request("GET", "/next")).status == 200
    assert [head.target for head in edge.backend.heads()] == ["/next"]

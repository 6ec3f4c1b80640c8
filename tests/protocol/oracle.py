"""What must be true after a bad message: the client knows, the connection is over, the upstream never heard of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tests.support.rawclient import RawClient, ask, request

if TYPE_CHECKING:
    from tests.protocol.site import Edge
    from tests.support.messages import Response

SMUGGLED = request(target="/smuggled")
_numbers = itertools.count(1)


def refused(edge: Edge, data: bytes, *statuses: int) -> Response:
    """The head of ``data`` is bad: nothing is forwarded, the answer says why, the connection closes.

    A complete second request follows the bad one and must not be taken for a request.
    """
    with RawClient(edge.port) as client:
        response = client.send(data + SMUGGLED).response()
        assert response.status in statuses, response
        assert response.announces_close
        assert client.ended(), client.stream.pending
    assert_only_new_requests_arrive(edge)
    return response


def refused_in_body(edge: Edge, data: bytes, *statuses: int) -> None:
    """The body is bad after a good head: its request is never completed upstream and nothing behind it is a request."""
    with RawClient(edge.port) as client:
        response = client.send(data + SMUGGLED).response()
        assert response.status in statuses, response
        assert client.ended(), client.stream.pending
    probe(edge)
    assert [recorded.head.target for recorded in edge.backend.requests if "probe" not in recorded.head.target] == []
    assert b"/smuggled" not in edge.backend.received()


def probe(edge: Edge) -> str:
    """A good request that is served; whatever was forwarded before it has reached the upstream by then."""
    target = f"/probe-{next(_numbers)}"
    response = ask(edge.port, request("GET", target, ("Connection", "close")))
    assert response.status == 200, response
    return target


def assert_only_new_requests_arrive(edge: Edge) -> None:
    target = probe(edge)
    assert [head.target for head in edge.backend.heads()] == [target]

"""Virtual hosts of any size, and the requests that are put to them."""

from __future__ import annotations

import random
from dataclasses import dataclass

import orjson

from gateway.ir.model import (
    Choice,
    Cluster,
    Endpoint,
    Forward,
    Listener,
    NamedMatch,
    Options,
    Origin,
    PathMatch,
    Route,
    RouteMatch,
    StringMatch,
    VirtualHost,
)

ORIGIN = Origin(kind="Mapping", namespace="default", name="bench")
HOST = "bench.example"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = (("accept", "*/*"), ("user-agent", "bench"))


def path_of(index: int) -> str:
    return f"/team{index % 40}/service{index}/"


def virtual_host(count: int) -> VirtualHost:
    """``count`` routes in rank order: prefixes, but one in twenty with a header, one in fifty a regex."""
    routes = []
    for index in range(count):
        headers: tuple[NamedMatch, ...] = ()
        path = PathMatch("prefix", path_of(index))
        if index % 20 == 7:
            headers = (NamedMatch("x-tenant", StringMatch("exact", f"t{index}")),)
        if index % 50 == 11:
            path = PathMatch("regex", f"/team{index % 40}/service{index}/v[0-9]+/.*")
        forward = Forward(cluster="backend")
        routes.append(
            Route(
                name=f"route-{index}",
                origin=ORIGIN,
                match=RouteMatch(path=path, headers=headers),
                choices=(Choice(weight=100.0, origin=ORIGIN, forward=forward),),
            )
        )
    return VirtualHost(name="bench", origin=ORIGIN, domains=(HOST,), routes=tuple(routes))


def requests(count: int, sample: int = 100) -> list[Request]:
    """Requests spread evenly over the plain routes, and one in ten that no route takes. Always the same ones."""
    chosen = random.Random(20)
    plain = [index for index in range(count) if index % 20 != 7 and index % 50 != 11]
    found = [Request("GET", f"{path_of(chosen.choice(plain))}items/42") for _ in range(sample - sample // 10)]
    return found + [Request("GET", f"/nobody/{index}") for index in range(sample // 10)]


def delta(count: int) -> bytes:
    """A full snapshot with ``count`` routes on one listener."""
    cluster = Cluster(name="backend", origin=ORIGIN, endpoints=(Endpoint("127.0.0.1", 9),))
    listener = Listener(
        name="edge",
        origin=ORIGIN,
        address="127.0.0.1",
        port=8080,
        tls=False,
        security="xfp",
        virtual_hosts=("bench",),
    )
    sections = {
        "options/main": Options(),
        "cluster/backend": cluster,
        "virtual_host/bench": virtual_host(count),
        "listener/edge": listener,
    }
    upsert = [{"key": key, "slot": 0, "body": body} for key, body in sections.items()]
    return orjson.dumps({"version": 1, "base": None, "upsert": upsert, "remove": []})


def delta_of_one_section() -> bytes:
    """The delta that changes the cluster and nothing else, on top of :func:`delta`."""
    cluster = Cluster(name="backend", origin=ORIGIN, endpoints=(Endpoint("127.0.0.1", 10),))
    upsert = [{"key": "cluster/backend", "slot": 0, "body": cluster}]
    return orjson.dumps({"version": 2, "base": 1, "upsert": upsert, "remove": []})

"""A large virtual host is made from the JSON of its routes, with the same result as if it were encoded whole."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING

import orjson

from gateway import ir

if TYPE_CHECKING:
    import pytest

ORIGIN = ir.Origin("Mapping", "default", 'odd "routes":[] name')


def route(number: int, cluster: str = "c") -> ir.Route:
    match = ir.RouteMatch(ir.PathMatch("prefix", f"/{number}/"))
    choice = ir.Choice(100.0, ORIGIN, forward=ir.Forward(cluster))
    return ir.Route(f"route/{number}", ORIGIN, match, (choice,))


def gateway(*hosts: ir.VirtualHost) -> ir.Gateway:
    return ir.Gateway(virtual_hosts=hosts)


def host(name: str, routes: tuple[ir.Route, ...]) -> ir.VirtualHost:
    return ir.VirtualHost(name, ORIGIN, (name,), routes, redirect_port=8443)


def section(encoder: ir.Encoder, item: ir.VirtualHost, *others: ir.VirtualHost) -> tuple[bytes, str]:
    found = {one.key: one for one in encoder.encode(gateway(item, *others))}[f"virtual_host/{item.name}"]
    return found.body, found.digest


def test_changes_of_a_large_host_give_what_a_fresh_encoder_gives() -> None:
    encoder, routes = ir.Encoder(), tuple(map(route, range(200)))
    kept = host("kept", routes[:70])
    steps = [
        routes,
        (*routes[:50], route(50, "other"), *routes[51:]),
        routes[1:],
        (*routes[100:], *routes[:100], route(300)),
        routes[:3],
        (),
        routes,
    ]
    digests = set()
    for step in steps:
        item = host("large", step)
        body, digest = section(encoder, item, kept)
        assert body == orjson.dumps(item)
        assert (body, digest) == section(ir.Encoder(), item)
        digests.add(digest)
    assert len(digests) == len(steps) - 1
    renamed = replace(host("large", routes), domains=("else",))
    assert section(encoder, renamed)[0] == orjson.dumps(renamed)
    assert section(encoder, renamed)[1] not in digests


def test_only_routes_that_are_others_are_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def counted(item: object) -> bytes:
        encoded.append(item.name if isinstance(item, ir.Route) else type(item).__name__)
        return orjson.dumps(item)

    encoder, routes = ir.Encoder(), tuple(map(route, range(200)))
    section(encoder, host("large", routes))
    # The package has a function of the name of the module.
    monkeypatch.setattr(import_module("gateway.ir.encode"), "orjson", SimpleNamespace(dumps=counted))
    section(encoder, host("large", (*routes[:7], route(7, "other"), *routes[8:], route(500))))
    assert sorted(name for name in encoded if name.startswith("route/")) == ["route/500", "route/7"]

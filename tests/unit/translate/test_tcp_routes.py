"""TCP routes on ports: who takes them, who gives way."""

from __future__ import annotations

import pytest

from gateway import ir
from gateway.diagnostics import Collector, Origin
from gateway.translate import TranslateSettings
from gateway.translate.listeners import Port, with_http3, without_collisions
from gateway.translate.tcproutes import TcpPart, attach, without_claimed, without_routes
from gateway.translate.virtualhosts import Contribution

SETTINGS = TranslateSettings()
PLACE = ir.Origin("Host", "d", "h")


def part(port: int, *names: str, address: str = "") -> TcpPart:
    route = ir.TcpRoute(f"tcp/{port}", PLACE, names, (ir.TcpChoice(100.0, "c", PLACE),))
    return TcpPart(Origin("TCPMapping", "d", f"m{port}"), address, port, route)


def port(number: int, address: str = "0.0.0.0", **more: object) -> Port:
    values: dict[str, object] = {"tls": False, "security": "xfp", **more}
    return Port(f"p{number}", Origin("Listener", "d", f"p{number}"), address, number, **values)  # type: ignore[arg-type]


def attached(ports: list[Port], parts: list[TcpPart]) -> dict[str, int]:
    return {item.name: len(item.tcp) for item in attach(ports, parts, SETTINGS, Port)}


def test_the_port_with_the_same_address_takes_a_route() -> None:
    assert attached([port(1), port(2)], [part(1), part(1, "a"), part(3)]) == {"p1": 2, "p2": 0, "tcp/0.0.0.0:3": 1}
    assert attached([port(1)], [part(1, address="127.0.0.1")]) == {"p1": 0, "tcp/127.0.0.1:1": 1}


def test_an_http3_port_takes_none() -> None:
    ports = attach([port(1, protocol="udp")], [part(1)], SETTINGS, Port)
    assert [(item.name, item.protocol) for item in ports] == [("p1", "udp"), ("tcp/0.0.0.0:1", "tcp")]
    assert len(without_collisions(ports, Collector())) == 2


def test_tcp_ports_without_routes_stay_closed() -> None:
    found = Collector()
    kept = without_routes([port(1), port(2, protocol="tcp"), port(3, protocol="tcp", tcp=(part(3),))], found)
    assert [item.port for item in kept] == [1, 3]
    assert [item.code for item in found.sorted()] == ["listener-not-served"]


def host(domain: str) -> Contribution:
    return Contribution(domain, ir.Origin("Host", "d", domain), "d", {}, ())


@pytest.mark.parametrize(
    ("tls", "names", "kept"),
    [
        pytest.param(True, ("a.x",), ["b.x"], id="same name"),
        pytest.param(True, (), ["a.x", "b.x"], id="the rest of a TLS port"),
        pytest.param(False, ("a.x",), ["a.x", "b.x"], id="names do not concern cleartext"),
        pytest.param(False, (), [], id="a whole cleartext port"),
    ],
)
def test_hosts_give_way(tls: bool, names: tuple[str, ...], kept: list[str]) -> None:
    found = Collector()
    left = without_claimed([host("a.x"), host("b.x")], [part(1, *names)], tls=tls, found=found)
    assert [item.domain for item in left] == kept
    assert [item.code for item in found.sorted()] == ["tcp-mapping-conflict"] * (2 - len(kept))


def test_http3_is_advertised_on_the_same_address_only() -> None:
    ports = [port(1, tls=True), port(1, protocol="udp"), port(2, tls=True), port(3), port(3, protocol="udp")]
    assert [item.http3 for item in with_http3(ports)] == [True, False, False, False, False]

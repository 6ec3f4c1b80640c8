from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.ir.model import Listener, Origin
from gateway.plane import tcp
from gateway.plane.sockets import RETIRE_LIMIT, SocketTable, bind
from gateway.settings import ListenSettings
from tests.support.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = ListenSettings(handover=0.25)


def listener(name: str, port: int = 0, address: str = LOOPBACK) -> Listener:
    origin = Origin("Listener", "default", name, "listeners.yaml")
    return Listener(name, origin, address, port, tls=False, security="xfp", virtual_hosts=())


def quic(name: str, port: int = 0, address: str = LOOPBACK) -> Listener:
    return replace(listener(name, port, address), tls=True, protocol="udp", http3=True)


@pytest.fixture
def table() -> Iterator[SocketTable]:
    table = SocketTable(SETTINGS, slots=2)
    yield table
    table.close()


def connect(port: int, timeout: float = 5.0) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=timeout)


def descriptors(table: SocketTable, slot: int, name: str) -> list[int]:
    return list(table.slot(slot)[name].values())


def test_each_slot_has_a_socket_of_its_own_on_the_same_port(table: SocketTable) -> None:
    table.update([listener("web")], now=0.0)
    port = table.ports()["web"]
    first, second = (socket.socket(fileno=socket.dup(descriptors(table, slot, "web")[0])) for slot in (0, 1))
    assert first.getsockname() == second.getsockname() == (LOOPBACK, port)
    assert not os.get_blocking(descriptors(table, 0, "web")[0])
    first.close()
    second.close()


def test_ipv6(table: SocketTable) -> None:
    table.update([listener("web", address="::1")], now=0.0)
    socket.create_connection(("::1", table.ports()["web"])).close()


def test_both_wildcards_may_share_a_port(table: SocketTable) -> None:
    port = free_port()
    table.update([listener("four", port, "0.0.0.0"), listener("six", port, "::")], now=0.0)
    assert table.diagnostics() == ()


def test_a_taken_port_is_a_located_finding_and_everything_else_lives(table: SocketTable) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        table.update([listener("web"), listener("taken", port)], now=0.0)
        (found,) = table.diagnostics()
        assert (found.code, found.origin.name, found.field) == ("port-unavailable", "taken", "spec.port")
        assert str(port) in found.message
        assert list(table.ports()) == ["web"]
        assert not table.retry()
    assert table.retry()
    assert table.diagnostics() == ()
    assert table.ports()["taken"] == port


def test_a_port_that_shares_by_reuseport_is_taken_too() -> None:
    theirs = bind(LOOPBACK, 0, 1, 16)
    with theirs[0], pytest.raises(OSError, match="in use"):
        bind(LOOPBACK, theirs[0].getsockname()[1], 1, 16)


def test_two_listeners_on_one_port_are_a_finding(table: SocketTable) -> None:
    port = free_port()
    table.update([listener("a", port), listener("b", port)], now=0.0)
    assert [(found.code, found.origin.name) for found in table.diagnostics()] == [("port-conflict", "b")]


def test_a_removed_listener_keeps_what_is_queued_and_takes_nothing_new(table: SocketTable) -> None:
    table.update([listener("web")], now=0.0)
    port = table.ports()["web"]
    queued = [connect(port) for _ in range(8)]
    table.update([], now=1.0)
    with pytest.raises(TimeoutError):
        connect(port, timeout=0.1)
    assert not table.advance(now=1.1)
    assert not table.advance(now=2.0), "connections still wait"
    for slot in (0, 1):
        with socket.socket(fileno=socket.dup(descriptors(table, slot, "web")[0])) as listening:
            for _ in range(tcp.waiting(listening)):
                listening.accept()[0].close()
    assert table.advance(now=2.0)
    assert not table.busy
    with pytest.raises(ConnectionRefusedError):
        connect(port)
    for sock in queued:
        sock.close()


@pytest.fixture
def no_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses packet filters, as hardened ones do to processes without rights."""
    monkeypatch.setattr(tcp, "_SO_ATTACH_FILTER", 0x7FFF)


@pytest.mark.usefixtures("no_filters")
def test_without_packet_filters_a_socket_goes_when_its_queue_is_empty(table: SocketTable) -> None:
    table.update([listener("web")], now=0.0)
    port = table.ports()["web"]
    queued = connect(port)
    table.retire_all(now=1.0)
    assert not table.advance(now=2.0), "a connection still waits"
    for slot in (0, 1):
        with socket.socket(fileno=socket.dup(descriptors(table, slot, "web")[0])) as listening:
            for _ in range(tcp.waiting(listening)):
                listening.accept()[0].close()
    assert table.advance(now=2.0)
    assert not table.busy
    queued.close()


@pytest.mark.usefixtures("no_filters")
def test_without_packet_filters_a_listener_comes_back(table: SocketTable) -> None:
    port = free_port()
    table.update([listener("web", port)], now=0.0)
    table.update([], now=1.0)
    table.update([listener("web", port)], now=1.1)
    connect(port).close()


def test_nobody_accepting_does_not_keep_a_socket_for_ever(table: SocketTable) -> None:
    table.update([listener("web")], now=0.0)
    sock = connect(table.ports()["web"])
    table.retire_all(now=1.0)
    assert table.advance(now=1.0 + RETIRE_LIMIT)
    sock.close()


def test_a_listener_that_comes_back_gets_its_sockets_back(table: SocketTable) -> None:
    port = free_port()
    table.update([listener("web", port)], now=0.0)
    before = table.slot(0)
    sock = connect(port)
    table.update([], now=1.0)
    table.update([listener("web", port)], now=1.1)
    assert table.slot(0) == before
    connect(port).close()
    sock.close()


def test_a_renamed_listener_keeps_its_sockets(table: SocketTable) -> None:
    port = free_port()
    table.update([listener("old", port)], now=0.0)
    before = table.slot(1)["old"]
    table.update([listener("new", port)], now=1.0)
    assert table.slot(1) == {"new": before}


def test_ephemeral_ports_ignore_the_manifest() -> None:
    table = SocketTable(ListenSettings(ephemeral=True), slots=1)
    table.update([listener("a", 80), listener("b", 80)], now=0.0)
    ports = table.ports()
    assert len(set(ports.values())) == 2
    assert 80 not in ports.values()
    table.close()


def test_tcp_and_udp_share_a_number(table: SocketTable) -> None:
    port = free_port()
    table.update([listener("web", port), quic("quic", port)], now=0.0)
    assert table.diagnostics() == ()
    assert table.ports() == {"web": port, "quic": port}
    with socket.socket(fileno=socket.dup(descriptors(table, 1, "quic")[0])) as sock:
        assert (sock.type, sock.getsockname()) == (socket.SOCK_DGRAM, (LOOPBACK, port))
        assert not os.get_blocking(sock.fileno())


def test_datagrams_of_one_sender_reach_one_slot(table: SocketTable) -> None:
    table.update([quic("quic")], now=0.0)
    ours = [socket.socket(fileno=socket.dup(descriptors(table, slot, "quic")[0])) for slot in (0, 1)]
    reached = set()
    for _ in range(32):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect((LOOPBACK, table.ports()["quic"]))
            for _ in range(5):
                sender.send(b"x")
        counts = [received(sock) for sock in ours]
        assert sorted(counts) == [0, 5]
        reached.add(counts.index(5))
    assert reached == {0, 1}
    for sock in ours:
        sock.close()


def received(sock: socket.socket) -> int:
    count = 0
    while True:
        try:
            sock.recv(10)
        except BlockingIOError:
            return count
        count += 1


def test_udp_sockets_are_not_lent(table: SocketTable) -> None:
    table.update([listener("web"), quic("quic")], now=0.0)
    assert set(table.slot(0)) == {"web", "quic"}
    assert set(table.slot(0, lent=True)) == {"web"}


def test_a_udp_port_that_somebody_has(table: SocketTable) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, 0))
        port = other.getsockname()[1]
        table.update([quic("quic", port), listener("web", port)], now=0.0)
        (found,) = table.diagnostics()
        assert f"UDP port {port}" in found.message
        assert list(table.ports()) == ["web"]
    assert table.retry()


def test_a_removed_udp_listener_goes_after_the_handover_and_may_come_back(table: SocketTable) -> None:
    port = free_port()
    table.update([quic("quic", port)], now=0.0)
    before = table.slot(0)
    table.update([], now=1.0)
    table.update([quic("quic", port)], now=1.1)
    assert table.slot(0) == before
    table.update([], now=2.0)
    assert not table.advance(now=2.1)
    assert table.advance(now=2.3)
    assert not table.busy


def test_a_port_that_changes_what_udp_means_gets_new_sockets(table: SocketTable) -> None:
    port = free_port()
    table.update([quic("udp", port)], now=0.0)
    before = table.slot(0)["udp"]
    table.update([replace(quic("udp", port), http3=False)], now=1.0)
    assert table.failing, "the port is in use until the connections of HTTP/3 had their time"
    assert table.advance(now=2.0)
    assert table.retry()
    assert table.slot(0)["udp"].keys().isdisjoint(before)

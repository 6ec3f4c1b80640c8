//! Datagrams that are forwarded: sessions, their ends, what is dropped.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_policy::stats::{Field, Global};
use support::config::udp;
use support::{Gate, STALLED_MS};

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(STALLED_MS))).unwrap();
    socket
}

/// Answers each datagram with `name` and the datagram, until it is told to stop.
fn service(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            if &buffer[..count] == b"stop" {
                return;
            }
            socket.send_to(&[name.as_bytes(), &buffer[..count]].concat(), from).unwrap();
        }
    });
    address
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let count = socket.recv(&mut buffer).unwrap();
    buffer.truncate(count);
    buffer
}

fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).unwrap();
    receive(socket)
}

/// A gateway, and a client's way to it.
fn serving(sections: &[(&str, Value)]) -> (Gate, SocketAddr) {
    let gate = Gate::new(sections);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    gate.engine.listen_udp("http", OwnedFd::from(socket)).unwrap();
    (gate, address)
}

fn client(address: SocketAddr) -> UdpSocket {
    let socket = socket();
    socket.connect(address).unwrap();
    socket
}

#[test]
fn datagrams_keep_their_borders_and_their_clients() {
    let (gate, address) = serving(&udp(&[service("")]));
    gate.run(move |_| {
        let (first, second) = (client(address), client(address));
        for length in [0, 1, 1500, 9000, 60_000] {
            let datagram = vec![7; length];
            assert_eq!(ask(&first, &datagram), datagram);
            assert_eq!(ask(&second, &datagram), datagram);
        }
        // Many at once, as the kernel may hand them over in one piece.
        for number in 0..50_u8 {
            first.send(&[number; 100]).unwrap();
        }
        let mut got: Vec<_> = (0..50).map(|_| receive(&first)).collect();
        got.sort();
        assert_eq!(got, (0..50_u8).map(|number| vec![number; 100]).collect::<Vec<_>>());
    });
    assert_eq!((gate.global(Global::UdpSessions), gate.engine.connections()), (2, 2));
    assert_eq!((gate.cluster(1, Field::Connections), gate.cluster(1, Field::ConnectionsActive)), (2, 2));
    assert_eq!(gate.listener(Field::BytesIn), 2 * 70_501 + 5000);
    assert_eq!(gate.listener(Field::BytesOut), gate.listener(Field::BytesIn));
    gate.engine.unlisten("http");
    gate.assert_settled();
}

#[test]
fn a_session_keeps_its_endpoint() {
    let (gate, address) = serving(&udp(&[service("a"), service("b")]));
    let names: Vec<Vec<u8>> = gate.run(move |_| {
        let clients: Vec<_> = (0..6).map(|_| client(address)).collect();
        let first: Vec<_> = clients.iter().map(|client| ask(client, b"")).collect();
        for _ in 0..3 {
            let again: Vec<_> = clients.iter().map(|client| ask(client, b"")).collect();
            assert_eq!(again, first);
        }
        first
    });
    assert!(names.contains(&b"a".to_vec()) && names.contains(&b"b".to_vec()), "{names:?}");
    assert_eq!(gate.global(Global::UdpSessions), 6);
}

#[test]
fn silence_ends_a_session() {
    let mut sections = udp(&[service("a")]);
    sections[0].1["udp_route"]["idle_timeout_ms"] = json!(50);
    let (gate, address) = serving(&sections);
    let asking = gate.start(move |_| {
        let socket = client(address);
        ask(&socket, b"1");
        socket
    });
    let socket = gate.join(&asking);
    gate.until("the end of the session", || gate.engine.connections() == 0);
    gate.run(move |_| ask(&socket, b"2"));
    assert_eq!(gate.global(Global::UdpSessions), 2);
    gate.assert_settled();
}

#[test]
fn there_is_a_limit_to_sessions() {
    let mut sections = udp(&[service("a")]);
    sections[0].1["udp_route"]["max_sessions"] = json!(2);
    let (gate, address) = serving(&sections);
    let held = gate.run(move |_| {
        let held = [client(address), client(address)];
        for client in &held {
            assert_eq!(ask(client, b"x"), b"ax");
        }
        client(address).send(b"too many").unwrap();
        // Those who have a session are served on.
        for client in &held {
            assert_eq!(ask(client, b"y"), b"ay");
        }
        held
    });
    gate.until("a refusal", || gate.global(Global::UdpRefused) == 1);
    assert_eq!(gate.engine.connections(), 2);
    drop(held);
}

#[test]
fn datagrams_do_not_count_for_the_address_they_claim() {
    let mut sections = udp(&[service("a")]);
    sections[0].1["max_connections_per_address"] = json!(1);
    let (gate, address) = serving(&sections);
    gate.run(move |_| {
        let held = [client(address), client(address), client(address)];
        for client in &held {
            assert_eq!(ask(client, b"x"), b"ax");
        }
    });
    assert_eq!((gate.global(Global::RefusedByAddress), gate.global(Global::UdpSessions)), (0, 3));
}

#[test]
fn an_endpoint_that_does_not_listen_is_left() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (gate, address) = serving(&udp(&[gone, service("up")]));
    gate.run(move |_| {
        let socket = client(address);
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        // A datagram may be lost to the endpoint that is gone; the client sends it again.
        let mut buffer = [0; 16];
        let answered = (0..50).find_map(|_| {
            socket.send(b"?").unwrap();
            socket.recv(&mut buffer).ok()
        });
        assert_eq!(buffer[..answered.unwrap()], b"up?"[..]);
    });
    assert_eq!(gate.global(Global::UdpUnreachable), gate.global(Global::UdpSessions) - 1);
}

#[test]
fn without_an_endpoint_datagrams_are_dropped() {
    let (gate, address) = serving(&udp(&[]));
    gate.run(move |_| client(address).send(b"?").unwrap());
    gate.until("a refusal", || gate.global(Global::UdpNoEndpoint) == 1);
    let mut sections = udp(&[service("a")]);
    sections[1].1["tls"] = json!({"server_name": "up.test", "verify": false});
    gate.apply(2, &sections);
    gate.run(move |_| client(address).send(b"secret").unwrap());
    gate.until("a refusal", || gate.global(Global::UdpUnreachable) == 1);
    let mut sections = udp(&[service("a")]);
    sections[1].1["breakers"] = json!([{"max_connections": 0}]);
    gate.apply(3, &sections);
    gate.run(move |_| client(address).send(b"?").unwrap());
    gate.until("a refusal", || gate.global(Global::UdpOverflow) == 1);
    let mut sections = udp(&[service("a")]);
    sections[0].1["udp_route"] = Value::Null;
    gate.apply(4, &sections);
    gate.run(move |_| client(address).send(b"?").unwrap());
    gate.until("a refusal", || gate.global(Global::UdpNoEndpoint) == 2);
    gate.assert_settled();
}

#[test]
fn sessions_live_through_changes_that_leave_their_endpoint() {
    let (kept, removed, added) = (service("kept"), service("removed"), service("added"));
    let (gate, address) = serving(&udp(&[kept, removed]));
    let clients = gate.run(move |_| {
        let clients: Vec<_> = (0..8).map(|_| client(address)).collect();
        clients.into_iter().map(|client| (ask(&client, b""), client)).collect::<Vec<_>>()
    });
    gate.apply(2, &udp(&[kept, added]));
    let changed = gate.run(move |_| {
        let mut changed = 0;
        for (name, client) in clients {
            let now = ask(&client, b"");
            if name == b"removed" {
                assert!(now == b"kept" || now == b"added");
                changed += 1;
            } else {
                assert_eq!(now, b"kept");
            }
        }
        changed
    });
    assert!(changed > 0);
    assert_eq!(gate.global(Global::UdpSessions), 8 + changed);
}

#[test]
fn what_the_endpoint_sends_by_itself_arrives() {
    let endpoint = socket();
    let (gate, address) = serving(&udp(&[endpoint.local_addr().unwrap()]));
    gate.run(move |_| {
        let socket = client(address);
        socket.send(b"subscribe").unwrap();
        let (_, from) = endpoint.recv_from(&mut [0; 100]).unwrap();
        // Nobody else may speak to the client through the session.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"forged", from).unwrap();
        for number in 0..3_u8 {
            endpoint.send_to(&[number], from).unwrap();
        }
        assert_eq!((0..3).map(|_| receive(&socket)).collect::<Vec<_>>(), [[0], [1], [2]]);
    });
}

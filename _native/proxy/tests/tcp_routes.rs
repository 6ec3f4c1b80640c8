//! Connections that are forwarded byte by byte: both directions, every kind of end, every reason to refuse.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc;

use serde_json::{Value, json};
use sluice_policy::stats::{Field, Global};
use support::config::{tcp, tcp_route};
use support::upstream::Upstream;
use support::{Gate, connect};

/// Everything to one upstream.
fn all_to(address: SocketAddr) -> Vec<(&'static str, Value)> {
    tcp(&[tcp_route(&[], "one")], &[("one", &[address])])
}

/// A client that must be cut off at once, and the counter that says why.
fn refused(sections: &[(&str, Value)], counter: Global) -> Gate {
    let gate = Gate::new(sections);
    assert!(gate.run(|address| connect(address).was_reset()), "an end instead of a reset");
    assert_eq!(gate.global(counter), 1, "{counter:?}");
    gate.assert_settled();
    gate
}

#[test]
fn bytes_go_both_ways_and_an_end_is_only_half_of_it() {
    let upstream = Upstream::raw(|mut wire, _| {
        // The server speaks first, and last.
        wire.send(b"220 ready");
        assert_eq!(wire.rest(), b"question");
        wire.send(b"answer");
    });
    let gate = Gate::new(&all_to(upstream.address));
    gate.run(|address| {
        let mut wire = connect(address);
        assert_eq!(wire.take(9), b"220 ready");
        wire.send(b"question");
        wire.finish();
        assert_eq!(wire.rest(), b"answer");
    });
    gate.assert_settled();
    assert_eq!((gate.listener(Field::BytesIn), gate.listener(Field::BytesOut)), (8, 15));
    assert_eq!((gate.cluster(1, Field::BytesOut), gate.cluster(1, Field::BytesIn)), (8, 15));
    assert_eq!((gate.cluster(1, Field::Connections), gate.global(Global::TcpConnections)), (1, 1));
    assert_eq!(gate.global(Global::Requests), 0);
}

#[test]
fn the_upstream_may_end_first() {
    let (sender, received) = mpsc::channel();
    let upstream = Upstream::raw(move |mut wire, _| {
        wire.send(b"bye");
        wire.finish();
        sender.send(wire.rest()).unwrap();
    });
    let gate = Gate::new(&all_to(upstream.address));
    gate.run(move |address| {
        let mut wire = connect(address);
        assert_eq!(wire.rest(), b"bye");
        wire.send(b"still here");
        wire.finish();
        assert_eq!(received.recv().unwrap(), b"still here");
    });
    gate.assert_settled();
}

#[test]
fn a_slow_reader_loses_nothing_and_pins_little() {
    const LENGTH: usize = 24 * 1024 * 1024;
    let (go, may_read) = mpsc::channel::<()>();
    let may_read = std::sync::Mutex::new(may_read);
    let upstream = Upstream::raw(move |mut wire, _| {
        may_read.lock().unwrap().recv().unwrap();
        let got = wire.take(LENGTH);
        assert!(got.iter().enumerate().all(|(at, &byte)| byte == (at % 251) as u8));
        wire.send(&got);
    });
    let gate = Gate::new(&all_to(upstream.address));
    let client = gate.start(|address| {
        let mut wire = connect(address);
        let data: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
        let mut writer = wire.stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &data).unwrap());
        let got = wire.take(LENGTH);
        writing.join().unwrap();
        got.len()
    });
    // As much as the sockets of both sides hold is on its way; the rest waits with the client.
    let mut last = u64::MAX;
    gate.until("a full pipe", || {
        let now = gate.listener(Field::BytesIn);
        // The sweep is a turn every second: nothing moved between two of them.
        let full = now > 0 && now == last;
        last = now;
        full
    });
    assert!(last < LENGTH as u64, "everything was taken from the client");
    go.send(()).unwrap();
    assert_eq!(gate.join(&client), LENGTH);
    gate.assert_settled();
}

#[test]
fn a_reset_of_either_side_reaches_the_other() {
    let (sender, cut) = mpsc::channel();
    let upstream = Upstream::raw(move |mut wire, number| {
        wire.take(1);
        if number == 0 {
            wire.send(b"+");
            sender.send(wire.was_reset()).unwrap();
        } else {
            wire.reset();
        }
    });
    let gate = Gate::new(&all_to(upstream.address));
    gate.run(move |address| {
        let mut wire = connect(address);
        wire.send(b"a");
        wire.take(1);
        wire.reset();
        assert!(cut.recv().unwrap(), "the upstream saw an end");
        let mut wire = connect(address);
        wire.send(b"a");
        assert!(wire.was_reset(), "the client saw an end");
    });
    gate.assert_settled();
    assert_eq!((gate.global(Global::TcpClientReset), gate.global(Global::TcpUpstreamReset)), (1, 1));
}

#[test]
fn a_client_that_vanishes_behind_a_full_pipe_is_noticed() {
    let (sender, cut) = mpsc::channel();
    let (go, may_look) = mpsc::channel::<()>();
    let may_look = std::sync::Mutex::new(may_look);
    let upstream = Upstream::raw(move |mut wire, _| {
        wire.send(b"+");
        may_look.lock().unwrap().recv().unwrap();
        sender.send(wire.was_reset()).unwrap();
    });
    let gate = Gate::new(&all_to(upstream.address));
    gate.run(move |address| {
        let mut wire = connect(address);
        wire.take(1);
        wire.stream.set_nonblocking(true).unwrap();
        let chunk = vec![0; 1 << 20];
        // Until nothing fits any more: a write that is refused twice in a row, with the gateway at work in between.
        let mut refused = 0;
        while refused < 200 {
            match std::io::Write::write(&mut wire.stream, &chunk) {
                Ok(_) => refused = 0,
                Err(_) => refused += 1,
            }
            std::thread::yield_now();
        }
        wire.reset();
    });
    gate.until("the end of the connection", || gate.engine.connections() == 0);
    go.send(()).unwrap();
    assert!(cut.recv().unwrap());
    assert_eq!(gate.global(Global::TcpClientReset), 1);
}

#[test]
fn silence_ends_a_connection() {
    let upstream = Upstream::mirror();
    let mut sections = all_to(upstream.address);
    sections[0].1["tcp_routes"][0]["idle_timeout_ms"] = json!(60);
    let gate = Gate::new(&sections);
    gate.run(|address| {
        let mut wire = connect(address);
        for _ in 0..20 {
            wire.send(b"x");
            wire.take(1);
        }
        assert!(wire.rest().is_empty());
    });
    gate.assert_settled();
    assert_eq!(gate.global(Global::TcpIdle), 1);
}

#[test]
fn without_an_upstream_the_client_is_cut_off() {
    refused(&tcp(&[tcp_route(&[], "one")], &[("one", &[])]), Global::TcpNoEndpoint);
    refused(&tcp(&[tcp_route(&[], "gone")], &[]), Global::TcpNoEndpoint);
    let gate = refused(&all_to(Upstream::refusing()), Global::TcpUnreachable);
    assert_eq!((gate.cluster(1, Field::ConnectionsFailed), gate.cluster(1, Field::Retries)), (1, 0));
    refused(&tcp(&[], &[]), Global::TcpNoRoute);
}

#[test]
fn another_endpoint_is_tried() {
    let upstream = Upstream::named("up");
    let endpoints = [Upstream::refusing(), upstream.address];
    let gate = Gate::new(&tcp(&[tcp_route(&[], "one")], &[("one", &endpoints)]));
    for _ in 0..6 {
        assert_eq!(gate.run(|address| connect(address).rest()), b"up");
    }
    gate.assert_settled();
    let failed = gate.cluster(1, Field::ConnectionsFailed);
    assert!(failed > 0 && gate.cluster(1, Field::Retries) == failed, "{failed}");
    assert_eq!(gate.global(Global::TcpUnreachable), 0);
}

#[test]
fn every_endpoint_is_tried_once() {
    let endpoints = [Upstream::refusing(), Upstream::refusing()];
    let gate = refused(&tcp(&[tcp_route(&[], "one")], &[("one", &endpoints)]), Global::TcpUnreachable);
    assert_eq!((gate.cluster(1, Field::ConnectionsFailed), gate.cluster(1, Field::Retries)), (2, 1));
}

#[test]
fn endpoints_that_fail_are_left_out() {
    let upstream = Upstream::named("up");
    let endpoints = [Upstream::refusing(), upstream.address];
    let mut sections = tcp(&[tcp_route(&[], "one")], &[("one", &endpoints)]);
    sections[1].1["outlier"] = json!({"consecutive_5xx": 2, "max_ejection_percent": 50});
    let gate = Gate::new(&sections);
    for _ in 0..20 {
        assert_eq!(gate.run(|address| connect(address).rest()), b"up");
    }
    assert_eq!(gate.cluster(1, Field::ConnectionsFailed), 2);
}

#[test]
fn a_circuit_breaker_bounds_connections() {
    let upstream = Upstream::mirror();
    let mut sections = all_to(upstream.address);
    sections[1].1["breakers"] = json!([{"max_connections": 1, "max_pending_requests": 0}]);
    let gate = Gate::new(&sections);
    gate.run(|address| {
        let mut first = connect(address);
        first.send(b"x");
        first.take(1);
        assert!(connect(address).was_reset());
        first.finish();
        assert!(first.rest().is_empty());
    });
    gate.until("room", || gate.engine.connections() == 0);
    gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"x");
        wire.take(1);
    });
    gate.assert_settled();
    assert_eq!(gate.global(Global::TcpOverflow), 1);
}

#[test]
fn a_connection_waits_for_room_no_longer_than_for_an_endpoint() {
    let upstream = Upstream::mirror();
    let mut sections = all_to(upstream.address);
    sections[1].1["breakers"] = json!([{"max_connections": 1, "max_pending_requests": 1}]);
    sections[1].1["connect_timeout_ms"] = json!(50);
    let gate = Gate::new(&sections);
    gate.run(|address| {
        let mut first = connect(address);
        first.send(b"x");
        first.take(1);
        assert!(connect(address).was_reset(), "while the first one is open");
        first.send(b"y");
        assert_eq!(first.take(1), b"y");
    });
    gate.assert_settled();
    assert_eq!((gate.global(Global::TcpOverflow), upstream.connections()), (1, 1));
}

#[test]
fn a_client_address_keeps_its_endpoint() {
    let upstreams = [Upstream::named("a"), Upstream::named("b"), Upstream::named("c")];
    let endpoints = [upstreams[0].address, upstreams[1].address, upstreams[2].address];
    let mut sections = tcp(&[tcp_route(&[], "one")], &[("one", &endpoints)]);
    sections[1].1["balancer"] = json!({"policy": "maglev"});
    let gate = Gate::new(&sections);
    let first = gate.run(|address| connect(address).rest());
    for _ in 0..10 {
        assert_eq!(gate.run(|address| connect(address).rest()), first);
    }
}

#[test]
fn shares_follow_the_weights() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let mut sections = tcp(&[tcp_route(&[], "one")], &[("one", &[a.address]), ("two", &[b.address])]);
    let origin = json!({"kind": "TCPMapping", "namespace": "default", "name": "x"});
    sections[0].1["tcp_routes"][0]["choices"] = json!([
        {"weight": 75.0, "cluster": "one", "origin": origin}, {"weight": 25.0, "cluster": "two", "origin": origin},
    ]);
    let gate = Gate::new(&sections);
    gate.run(|address| {
        for _ in 0..200 {
            assert_eq!(connect(address).rest().len(), 1);
        }
    });
    assert_eq!(a.connections() + b.connections(), 200);
    // The seed is fixed; the exact share is not the point.
    assert!((20..80).contains(&b.connections()), "{} of 200 for a quarter", b.connections());
}

#[test]
fn a_change_leaves_live_connections_alone() {
    let (old, new) = (Upstream::mirror(), Upstream::named("new"));
    let gate = Gate::new(&all_to(old.address));
    let (live, established) = mpsc::channel();
    let (go, changed) = mpsc::channel::<()>();
    let client = gate.start(move |address| {
        let mut wire = connect(address);
        wire.send(b"one");
        wire.take(3);
        live.send(()).unwrap();
        changed.recv().unwrap();
        wire.send(b"two");
        assert_eq!(wire.take(3), b"two");
        assert_eq!(connect(address).rest(), b"new");
        wire.finish();
        assert!(wire.rest().is_empty());
    });
    gate.until("a connection", || established.try_recv().is_ok());
    gate.apply(2, &all_to(new.address));
    go.send(()).unwrap();
    gate.join(&client);
    gate.assert_settled();
}

#[test]
fn draining_lets_connections_live_until_they_are_cut() {
    let upstream = Upstream::mirror();
    let gate = Gate::new(&all_to(upstream.address));
    let (live, established) = mpsc::channel();
    let client = gate.start(move |address| {
        let mut wire = connect(address);
        live.send(()).unwrap();
        for _ in 0..100 {
            wire.send(b"x");
            wire.take(1);
        }
        live.send(()).unwrap();
        wire.was_reset()
    });
    gate.until("a connection", || established.try_recv().is_ok());
    gate.engine.drain();
    gate.until("traffic", || established.try_recv().is_ok());
    assert_eq!(gate.engine.connections(), 1);
    gate.engine.close();
    assert!(!client.end(), "nothing was lost: an end is enough");
    assert_eq!(gate.engine.connections(), 0);
}

#[test]
fn the_log_says_where_a_connection_went() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let upstream = Upstream::mirror();
    let mut sections = all_to(upstream.address);
    let fields = json!({
        "protocol": "%PROTOCOL%", "flags": "%RESPONSE_FLAGS%", "in": "%BYTES_RECEIVED%", "out": "%BYTES_SENT%",
        "to": "%UPSTREAM_HOST%", "cluster": "%UPSTREAM_CLUSTER%", "route": "%ROUTE_NAME%",
        "method": "%REQ(:METHOD)%", "code": "%RESPONSE_CODE%",
    });
    sections.push(("options", json!({"access_log": "json", "access_log_format": fields.to_string()})));
    let gate = Gate::logging(&sections, Some(OwnedFd::from(writer)));
    gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"abc");
        wire.finish();
        assert_eq!(wire.rest(), b"abc");
    });
    gate.assert_settled();
    let mut empty = all_to(upstream.address);
    empty[1].1["endpoints"] = json!([]);
    empty.push(sections[2].clone());
    gate.apply(2, &empty);
    assert!(gate.run(|address| connect(address).was_reset()));
    gate.assert_settled();
    drop(gate);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let to = upstream.address.to_string();
    assert_eq!(
        lines,
        [
            json!({"protocol": "TCP", "flags": "-", "in": 3, "out": 3, "to": to, "cluster": "one", "route": "to-one",
                   "method": null, "code": 0}),
            json!({"protocol": "TCP", "flags": "UH", "in": 0, "out": 0, "to": null, "cluster": "one",
                   "route": "to-one", "method": null, "code": 0}),
        ]
    );
}

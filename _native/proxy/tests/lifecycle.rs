//! New configurations, draining, listeners that come and go, the end.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::mpsc;

use serde_json::json;
use sluice_policy::stats::{Field, Global};
use support::config::{all_to, certificate, plain, route, tcp_route, termination};
use support::secure::{self, Authority};
use support::upstream::{Upstream, ok};
use support::{Gate, connect, exchange};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// An upstream that answers each request when it is told to.
fn held(text: &'static str) -> (Upstream, mpsc::Sender<()>) {
    let (sender, receiver) = mpsc::channel();
    let receiver = std::sync::Mutex::new(receiver);
    let upstream = Upstream::http(move |_| {
        receiver.lock().unwrap().recv().unwrap();
        ok(text)
    });
    (upstream, sender)
}

#[test]
fn a_request_keeps_the_configuration_it_started_with() {
    let (old, release) = held("old");
    let new = Upstream::http(|_| ok("new"));
    let gate = Gate::new(&all_to(old.address));
    let client = gate.start(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        let first = wire.answer(false).text();
        wire.send(GET);
        [first, wire.answer(false).text()]
    });
    gate.until("the request at the old upstream", || !old.seen().is_empty());
    gate.apply(2, &all_to(new.address));
    assert_eq!(gate.run(|address| exchange(address, GET)).text(), "new");
    release.send(()).unwrap();
    assert_eq!(gate.join(&client), ["old", "new"]);
    assert_eq!(gate.global(Global::ConfigVersion), 2);
    // The connection to the old upstream is of no more use.
    gate.until("the end of old connections", || gate.engine.idle_upstreams() == 1);
    gate.assert_settled();
}

#[test]
fn draining_closes_idle_connections_and_lets_requests_finish() {
    let (upstream, release) = held("done");
    let gate = Gate::new(&all_to(upstream.address));
    release.send(()).unwrap();
    let idle = gate.start(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        let kept = wire.answer(false).header("connection");
        (kept, wire.rest())
    });
    gate.until("an idle connection", || gate.engine.idle_upstreams() == 1 && gate.engine.in_flight() == 0);
    let busy = gate.start(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        let answer = wire.answer(false);
        (answer.header("connection"), wire.rest())
    });
    gate.until("a request under way", || upstream.seen().len() == 2);
    gate.engine.drain();
    assert_eq!(gate.engine.idle_upstreams(), 0);
    assert_eq!(gate.join(&idle), (None, Vec::new()));
    release.send(()).unwrap();
    assert_eq!(gate.join(&busy), (Some("close".to_owned()), Vec::new()));
    // Who still gets through is served once.
    release.send(()).unwrap();
    assert_eq!(gate.run(|address| exchange(address, GET)).header("connection").unwrap(), "close");
    gate.assert_settled();
    assert_eq!(gate.engine.idle_upstreams(), 0);
}

/// Drains between the two halves of what a connection has to say before its first request. `before` comes in clear.
fn drains_before_the_first_request(listener: &serde_json::Value, before: &'static [u8]) {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let mut sections = all_to(upstream.address);
    sections[0].1["tls"] = json!(true);
    sections[0].1["terminations"] = json!([termination(&["a.test"], "one")]);
    sections[0].1.as_object_mut().unwrap().extend(listener.as_object().unwrap().clone());
    sections.push(("certificate", certificate("one", &authority.issue("a.test"))));
    let gate = Gate::new(&sections);
    let config = authority.client();
    let (release, released) = mpsc::channel();
    let client = gate.start(move |address| {
        let wire = connect(address);
        released.recv().unwrap();
        let mut wire = wire;
        wire.send(before);
        let mut wire = secure::over(&config, wire, "a.test");
        wire.send(GET);
        let answer = wire.answer(false);
        (answer.status(), answer.header("connection"))
    });
    gate.until("the accept", || gate.global(Global::Accepted) == 1);
    gate.engine.unlisten("http");
    gate.engine.drain();
    assert_eq!(gate.engine.connections(), 1, "a drain waits for it");
    release.send(()).unwrap();
    assert_eq!(gate.join(&client), (200, Some("close".to_owned())));
    gate.assert_settled();
}

#[test]
fn a_drain_waits_for_handshakes() {
    drains_before_the_first_request(&json!({}), b"");
}

#[test]
fn a_drain_waits_for_proxy_headers() {
    let listener = json!({"proxy_protocol": true});
    drains_before_the_first_request(&listener, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
}

#[test]
fn a_drain_waits_for_names_that_choose() {
    let passed = tcp_route(&["pass.test"], "one");
    drains_before_the_first_request(&json!({"tcp_routes": [passed]}), b"");
}

#[test]
fn connections_may_idle_without_limit() {
    let (slow, _release) = held("never");
    let upstream = Upstream::echo();
    let mut timed = route("/slow", "slow");
    timed["choices"][0]["forward"]["timeout_ms"] = json!(50);
    let mut sections = plain(&[timed, route("/", "one")], &[("slow", slow.address), ("one", upstream.address)]);
    sections.push(("options", json!({"listener_idle_timeout_ms": 0})));
    let gate = Gate::new(&sections);
    gate.run(|address| {
        let mut idle = connect(address);
        idle.send(GET);
        assert_eq!(idle.answer(false).status(), 200);
        // A deadline that was set before this one has passed when this one has.
        assert_eq!(exchange(address, b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").status(), 504);
        idle.send(GET);
        assert_eq!(idle.answer(false).status(), 200);
    });
    gate.assert_settled();
}

#[test]
fn a_listener_that_stops_serves_what_is_queued() {
    let upstream = Upstream::echo();
    let gate = Gate::new(&all_to(upstream.address));
    gate.run(|address| exchange(address, GET));
    // Connected, but the engine was not turned since: the connections wait in the queue of the kernel.
    let address = gate.address;
    let mut queued: Vec<_> = (0..5).map(|_| connect(address)).collect();
    gate.engine.unlisten("http");
    let client = gate.start(move |_| {
        for wire in &mut queued {
            wire.send(GET);
            assert_eq!(wire.answer(false).status(), 200);
        }
    });
    gate.join(&client);
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
    assert_eq!(gate.listener(Field::Connections), 6);
    gate.assert_settled();
}

#[test]
fn two_sockets_for_one_listener() {
    let upstream = Upstream::echo();
    let gate = Gate::new(&all_to(upstream.address));
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = second.local_addr().unwrap();
    gate.engine.listen("http", OwnedFd::from(second)).unwrap();
    assert_eq!(gate.run(move |_| exchange(address, GET)).status(), 200);
    assert_eq!(gate.run(|address| exchange(address, GET)).status(), 200);
    gate.assert_settled();
}

#[test]
fn a_socket_without_a_section_serves_nobody() {
    let gate = Gate::new(&all_to(Upstream::refusing()));
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    gate.engine.listen("unknown", OwnedFd::from(other)).unwrap();
    assert!(gate.run(move |_| connect(address).rest()).is_empty());
    gate.assert_settled();
}

#[test]
fn closing_in_the_middle_of_everything() {
    let (upstream, _release) = held("never");
    let gate = Gate::new(&all_to(upstream.address));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            gate.start(|address| {
                let mut wire = connect(address);
                wire.send(GET);
                wire.rest()
            })
        })
        .collect();
    gate.until("three requests under way", || upstream.seen().len() == 3);
    gate.engine.close();
    assert_eq!((gate.engine.connections(), gate.engine.in_flight(), gate.engine.idle_upstreams()), (0, 0, 0));
    assert_eq!((gate.global(Global::Active), gate.global(Global::InFlight)), (0, 0));
    assert_eq!((gate.cluster(1, Field::InFlight), gate.cluster(1, Field::ConnectionsActive)), (0, 0));
    for client in clients {
        assert!(gate.join(&client).is_empty());
    }
}

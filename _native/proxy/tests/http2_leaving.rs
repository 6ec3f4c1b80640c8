//! Connections of HTTP/2 that come to their end: idle, too old, or because the gateway drains.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::sync::Arc;

use h2::server::Builder;
use serde_json::json;
use support::config::{all_to, plain, route};
use support::http2::{self, Talk, block_on, streams};
use support::latch::Latch;
use support::pair::{Body, Reply, Speaks, all_speaking, gate, service};
use support::upstream::{Upstream, ok};
use support::{Gate, connect, exchange};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn draining_lets_streams_finish() {
    for upstream in [Speaks::Http1, Speaks::Http2] {
        let (arrived, release, greeted) = (Latch::default(), Latch::default(), Latch::default());
        let (seen, held, met) = (arrived.clone(), release.clone(), greeted.clone());
        let service = match upstream {
            Speaks::Http1 => Upstream::http(move |request| {
                if request.line().contains("/held") {
                    seen.open();
                    held.wait();
                }
                ok("done")
            }),
            Speaks::Http2 => http2::streams(async move |mut stream| {
                if stream.path() == "/held" {
                    seen.open();
                    held.opened().await;
                }
                stream.ok("done");
            }),
        };
        let gate = gate(&service, upstream);
        let idle = gate.start(move |address| {
            block_on(async {
                let talk = Talk::connect(address).await;
                talk.get("/").await.unwrap();
                met.open();
                talk.end.await.unwrap()
            })
        });
        let busy = gate.start(|address| {
            block_on(async {
                let talk = Talk::connect(address).await;
                let text = talk.get("/held").await.unwrap().text();
                let more = talk.send.clone().ready().await.map(|_| ());
                (text, more.map_err(|error| error.is_go_away()), talk.end.await.unwrap().map_err(|e| e.to_string()))
            })
        });
        gate.until("a request under way", || arrived.is_open() && greeted.is_open());
        assert_eq!(gate.engine.connections(), 2);
        gate.engine.drain();
        assert!(gate.join(&idle).is_ok());
        gate.until("the end of the idle connection", || gate.engine.connections() == 1);
        assert_eq!(gate.engine.in_flight(), 1);
        release.open();
        let (text, more, end) = gate.join(&busy);
        assert_eq!((text.as_str(), end), ("done", Ok(())));
        assert!(more.is_err(), "no further request after the GOAWAY");
        gate.assert_settled();
    }
}

#[test]
fn draining_does_not_wait_for_a_client_that_does_not_listen() {
    let gate = Gate::new(&all_to(Upstream::refusing()));
    let greeted = Latch::default();
    let met = greeted.clone();
    let silent = gate.start(move |address| {
        let mut wire = connect(address);
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        let settings = 4;
        assert_eq!(wire.take(9)[3], settings);
        met.open();
        wire.rest()
    });
    gate.until("a connection of HTTP/2", || greeted.is_open());
    gate.engine.drain();
    let said = gate.join(&silent);
    let goaway = 7;
    assert!(said.windows(9).any(|frame| frame[3] == goaway && frame[4..] == [0; 5]), "{said:?}");
    gate.assert_settled();
}

#[test]
fn draining_lets_go_of_idle_connections() {
    let upstream = service(Speaks::Http2, |_| Reply::ok(Body::of(b"x")));
    let gate = gate(&upstream, Speaks::Http2);
    assert_eq!(gate.run(|address| exchange(address, GET)).status(), 200);
    gate.engine.drain();
    assert_eq!(gate.engine.idle_upstreams(), 0);
    gate.assert_settled();
}

#[test]
fn an_idle_connection_is_asked_to_leave() {
    let upstream = Upstream::http(|_| ok("x"));
    let mut sections = all_to(upstream.address);
    sections.push(("options", json!({"listener_idle_timeout_ms": 50})));
    let gate = Gate::new(&sections);
    let end = gate.run(|address| {
        block_on(async {
            let talk = Talk::connect(address).await;
            assert_eq!(talk.get("/").await.unwrap().text(), "x");
            talk.end.await.unwrap().map_err(|error| error.to_string())
        })
    });
    assert_eq!(end, Ok(()));
    gate.assert_settled();
}

#[test]
fn an_idle_connection_may_stay_without_limit() {
    let (_never, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let slow = Upstream::http(move |_| {
        assert!(held.lock().unwrap().recv().is_err(), "nobody lets it go");
        ok("late")
    });
    let upstream = Upstream::http(|_| ok("x"));
    let mut timed = route("/slow", "slow");
    timed["choices"][0]["forward"]["timeout_ms"] = json!(50);
    let mut sections = plain(&[timed, route("/", "one")], &[("slow", slow.address), ("one", upstream.address)]);
    sections.push(("options", json!({"listener_idle_timeout_ms": 0})));
    let gate = Gate::new(&sections);
    gate.run(|address| {
        block_on(async {
            let talk = Talk::connect(address).await;
            assert_eq!(talk.get("/").await.unwrap().text(), "x");
            // A deadline that was set before this one has passed when this one has.
            assert_eq!(Talk::connect(address).await.get("/slow").await.unwrap().status(), 504);
            assert!(!talk.end.is_finished());
            assert_eq!(talk.get("/").await.unwrap().text(), "x");
        });
    });
    gate.assert_settled();
}

#[test]
fn a_connection_that_is_too_old() {
    let (asked, release) = (Latch::default(), Latch::default());
    let (seen, held) = (asked.clone(), release.clone());
    let upstream = streams(async move |mut stream| {
        if stream.path() == "/held" {
            seen.open();
            held.opened().await;
        }
        stream.ok(&stream.connection.to_string());
    });
    let mut sections = all_speaking(upstream.address, Speaks::Http2);
    sections[2].1["max_connection_lifetime_ms"] = json!(1);
    let gate = Gate::new(&sections);
    let old = gate.start(|address| exchange(address, b"GET /held HTTP/1.1\r\nHost: h\r\n\r\n").text());
    gate.until("a request under way", || asked.is_open());
    gate.until("a younger connection", || {
        assert_eq!(gate.run(|address| exchange(address, GET)).status(), 200);
        upstream.connections() >= 2
    });
    release.open();
    assert_eq!(gate.join(&old), "0", "requests that are under way stay where they are");
    gate.assert_settled();
}

#[test]
fn idle_connections_are_closed() {
    let closed = Latch::default();
    let told = closed.clone();
    let upstream = http2::connections(Builder::new(), async move |mut connection, number| {
        let serve = Arc::new(async |mut stream: http2::Stream| stream.ok("x"));
        http2::drive(&mut connection, number, &serve).await;
        told.open();
    });
    let mut sections = all_speaking(upstream.address, Speaks::Http2);
    sections[2].1["idle_timeout_ms"] = json!(1);
    let gate = Gate::new(&sections);
    assert_eq!(gate.run(|address| exchange(address, GET)).status(), 200);
    assert_eq!(gate.engine.idle_upstreams(), 1);
    gate.until("the sweep", || gate.engine.idle_upstreams() == 0 && closed.is_open());
    assert_eq!(gate.run(|address| exchange(address, GET)).status(), 200);
    gate.assert_settled();
}

//! Endpoints that speak HTTP/2: connections that many requests share, and how they end.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use h2::server::Builder;
use serde_json::json;
use sluice_policy::stats::Field;
use support::config::{cluster, host, listener, route};
use support::http2::{self, streams, streams_with, talk};
use support::latch::Latch;
use support::pair::{Ask, Body, Reply, Speaks, all_speaking, gate, service};
use support::upstream::Upstream;
use support::{Client, Gate};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Numbers of the connections that requests came on, in their order.
type Came = Arc<Mutex<Vec<usize>>>;

/// An endpoint that notes every request and answers when it is told to.
fn held(settings: Builder, release: &Latch) -> (Upstream, Came) {
    let came = Came::default();
    let (log, release) = (Arc::clone(&came), release.clone());
    let upstream = streams_with(settings, async move |mut stream| {
        log.lock().unwrap().push(stream.connection);
        release.opened().await;
        stream.ok("done");
    });
    (upstream, came)
}

/// Starts `count` requests over one connection of the client; their answers.
fn many(gate: &Gate, count: usize) -> Client<Vec<String>> {
    gate.start(move |address| {
        talk(address, async |talk| {
            let mut responses = Vec::new();
            for _ in 0..count {
                responses.push(talk.start(http2::get("/"), true).await.0);
            }
            let mut texts = Vec::new();
            for response in responses {
                texts.push(http2::receive(response).await.unwrap().text());
            }
            texts
        })
    })
}

#[test]
fn a_second_connection_once_the_first_is_full() {
    let release = Latch::default();
    let (upstream, came) = held(Builder::new(), &release);
    let gate = gate(&upstream, Speaks::Http2);
    let first = many(&gate, 100);
    gate.until("a hundred requests", || came.lock().unwrap().len() == 100);
    assert_eq!(upstream.connections(), 1);
    let more: Vec<_> = (0..5).map(|_| many(&gate, 10)).collect();
    gate.until("fifty more", || came.lock().unwrap().len() == 150);
    assert_eq!(upstream.connections(), 2);
    let came = came.lock().unwrap().clone();
    assert!(came[..100].iter().all(|number| *number == 0) && came[100..].iter().all(|number| *number == 1));
    assert_eq!(gate.cluster(1, Field::InFlight), 150);
    release.open();
    for client in more.iter().chain([&first]) {
        assert!(gate.join(client).iter().all(|text| text == "done"));
    }
    assert_eq!(gate.engine.idle_upstreams(), 2);
    gate.assert_settled();
}

#[test]
fn an_endpoint_that_takes_few_at_a_time() {
    let release = Latch::default();
    let mut settings = Builder::new();
    settings.max_concurrent_streams(3);
    let (upstream, came) = held(settings, &release);
    let gate = gate(&upstream, Speaks::Http2);
    // The endpoint's limit is known once it has greeted.
    let first = many(&gate, 1);
    gate.until("the first request", || came.lock().unwrap().len() == 1);
    let more = many(&gate, 8);
    gate.until("all of them", || came.lock().unwrap().len() == 9);
    assert_eq!(upstream.connections(), 3);
    release.open();
    assert_eq!((gate.join(&first).len(), gate.join(&more).len()), (1, 8));
    gate.assert_settled();
}

#[test]
fn one_connection_for_one_request_after_the_other() {
    let upstream = service(Speaks::Http2, |_| Reply::ok(Body::of(b"x")));
    let gate = gate(&upstream, Speaks::Http2);
    for _ in 0..20 {
        assert_eq!(gate.run(|address| support::exchange(address, GET)).status(), 200);
    }
    assert_eq!((upstream.connections(), gate.engine.idle_upstreams()), (1, 1));
    assert_eq!(gate.cluster(1, Field::Connections), 1);
    gate.assert_settled();
}

#[test]
fn connections_stay_when_endpoints_come_and_go() {
    let (first, second) =
        (service(Speaks::Http2, |_| Reply::ok(Body::of(b"x"))), service(Speaks::Http2, |_| Reply::ok(Body::of(b"x"))));
    let sections = |addresses: &[SocketAddr]| {
        let mut one = cluster("one", addresses);
        one["protocol"] = json!("http2");
        vec![("listener", listener()), ("virtual_host", host(&[route("/", "one")])), ("cluster", one)]
    };
    let ask = |gate: &Gate| assert_eq!(gate.run(|address| support::exchange(address, GET)).status(), 200);
    let gate = Gate::new(&sections(&[first.address]));
    ask(&gate);
    gate.apply(2, &sections(&[first.address, second.address]));
    for _ in 0..4 {
        ask(&gate);
    }
    assert_eq!((first.connections(), second.connections(), gate.engine.idle_upstreams()), (1, 1, 2));
    gate.apply(3, &sections(&[second.address]));
    assert_eq!(gate.engine.idle_upstreams(), 1);
    ask(&gate);
    assert_eq!((first.connections(), second.connections()), (1, 1));
    gate.assert_settled();
}

#[test]
fn nobody_listens() {
    let gate = Gate::new(&all_speaking(Upstream::refusing(), Speaks::Http2));
    // All but one of them wait for the one that connects.
    let statuses = gate.run(|address| {
        talk(address, async |talk| {
            let mut responses = Vec::new();
            for _ in 0..20 {
                responses.push(talk.start(http2::get("/"), true).await.0);
            }
            let mut statuses = Vec::new();
            for response in responses {
                statuses.push(response.await.unwrap().status().as_u16());
            }
            statuses
        })
    });
    assert_eq!(statuses, [503; 20]);
    let failed = gate.cluster(1, Field::ConnectionsFailed);
    assert!((2..=40).contains(&failed), "{failed}");
    gate.assert_settled();
}

#[test]
fn an_endpoint_that_speaks_something_else() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        wire.rest();
    });
    let gate = gate(&upstream, Speaks::Http2);
    for client in [Speaks::Http1, Speaks::Http2] {
        let answer = gate.run(move |address| Ask::new("GET").send(client, address));
        assert!([502, 503].contains(&answer.status()), "{}", answer.head);
    }
    gate.until("the end of the connections", || gate.engine.idle_upstreams() == 0);
    gate.assert_settled();
}

#[test]
fn an_endpoint_that_hangs_up() {
    let upstream = Upstream::raw(|_, _| ());
    let gate = gate(&upstream, Speaks::Http2);
    for ask in [Ask::new("GET"), Ask::new("POST").with(Body::of(b"x"))] {
        let answer = gate.run(move |address| ask.send(Speaks::Http1, address));
        assert_eq!(answer.status(), 503);
    }
    gate.until("the end of the connections", || gate.engine.idle_upstreams() == 0);
    gate.assert_settled();
}

#[test]
fn interim_answers_are_not_the_answer() {
    let upstream = streams(async |mut stream| {
        for _ in 0..3 {
            let hints = http::Response::builder().status(103).header("link", "</x>").body(()).unwrap();
            stream.respond.send_informational(hints).unwrap();
        }
        stream.ok("final");
    });
    let gate = gate(&upstream, Speaks::Http2);
    for client in [Speaks::Http1, Speaks::Http2] {
        let answer = gate.run(move |address| Ask::new("GET").send(client, address));
        assert_eq!((answer.status(), answer.text()), (200, "final".to_owned()));
        assert_eq!(answer.header("link"), None);
    }
    gate.assert_settled();
}

#[test]
fn a_chunked_body_that_comes_with_its_head_and_a_next_request() {
    let upstream = service(Speaks::Http2, |seen| Reply::ok(Body::of(&seen.body)));
    let gate = gate(&upstream, Speaks::Http2);
    let texts = gate.run(|address| {
        let mut wire = support::connect(address);
        let chunked =
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
        wire.send(&[&chunked[..], b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nde", GET].concat());
        [wire.answer(false).text(), wire.answer(false).text(), wire.answer(false).text()]
    });
    assert_eq!(texts, ["abc", "de", ""]);
    assert_eq!(upstream.seen()[0].trailers, "x-sum: 1\r\n");
    gate.assert_settled();
}

#[test]
fn a_request_that_was_let_go_leaves_its_connection_to_others() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let upstream = streams(async move |mut stream| {
        if stream.path() == "/held" {
            seen.fetch_add(1, Ordering::SeqCst);
            stream.reset().await.unwrap();
            seen.fetch_add(1, Ordering::SeqCst);
        } else {
            stream.ok(&stream.connection.to_string());
        }
    });
    let gate = gate(&upstream, Speaks::Http2);
    let leaving = gate.start(|address| {
        let mut wire = support::connect(address);
        wire.send(b"GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
        wire
    });
    let wire = gate.join(&leaving);
    gate.until("the request", || count.load(Ordering::SeqCst) == 1);
    wire.reset();
    gate.until("its end", || count.load(Ordering::SeqCst) == 2);
    assert_eq!(gate.run(|address| support::exchange(address, GET)).text(), "0");
    gate.assert_settled();
}

//! Upstreams and clients that fail, and what is left of them.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use sluice_policy::stats::Field;
use support::config::{all_to, cluster, plain, route};
use support::upstream::{Upstream, ok};
use support::wire::Answer;
use support::{Gate, connect, exchange};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";

/// Answers the first request of the first connection and closes it while the second request is on its way.
fn dying(answered: &Arc<AtomicUsize>) -> Upstream {
    let answered = Arc::clone(answered);
    Upstream::raw(move |mut wire, connection| {
        while let Some(head) = wire.head() {
            if connection == 0 && answered.load(Ordering::SeqCst) > 0 {
                return;
            }
            wire.body(&head);
            answered.fetch_add(1, Ordering::SeqCst);
            wire.send(&ok("alive"));
        }
    })
}

#[test]
fn a_dead_reused_connection_is_tried_again_where_that_is_safe() {
    for (request, status, retries) in [(GET, 200, 1), (POST, 503, 0)] {
        let answered = Arc::default();
        let upstream = dying(&answered);
        let gate = Gate::new(&all_to(upstream.address));
        assert_eq!(gate.run(|address| exchange(address, GET)).status(), 200);
        let answer = gate.run(move |address| exchange(address, request));
        assert_eq!((answer.status(), gate.cluster(1, Field::Retries)), (status, retries));
        assert_eq!(answered.load(Ordering::SeqCst), 1 + usize::try_from(retries).unwrap());
        gate.assert_settled();
    }
}

#[test]
fn a_fresh_connection_that_dies_is_not_tried_again() {
    let upstream = Upstream::raw(|mut wire, _| drop(wire.head()));
    let gate = Gate::new(&all_to(upstream.address));
    assert_eq!(gate.run(|address| exchange(address, GET)).status(), 503);
    assert_eq!(upstream.connections(), 1);
    gate.assert_settled();
}

#[test]
fn nobody_listens() {
    let gate = Gate::new(&all_to(Upstream::refusing()));
    let answers = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        let first = wire.answer(false);
        wire.send(POST);
        [first, wire.answer(false)]
    });
    assert_eq!(answers.map(|answer| answer.status()), [503, 503]);
    assert_eq!(gate.cluster(1, Field::ConnectionsFailed), 4, "each request tries twice");
    gate.assert_settled();
}

#[test]
fn another_endpoint_takes_over() {
    let upstream = Upstream::http(|_| ok("here"));
    let mut sections = plain(&[route("/", "one")], &[]);
    sections.push(("cluster", cluster("one", &[Upstream::refusing(), upstream.address])));
    let gate = Gate::new(&sections);
    for _ in 0..6 {
        assert_eq!(gate.run(|address| exchange(address, POST)).text(), "here");
    }
    gate.assert_settled();
}

#[test]
fn a_cluster_without_endpoints() {
    let mut sections = plain(&[route("/", "one")], &[]);
    sections.push(("cluster", cluster("one", &[])));
    let gate = Gate::new(&sections);
    assert_eq!(gate.run(|address| exchange(address, GET)).status(), 503);
    gate.assert_settled();
}

#[test]
fn an_answer_that_does_not_come() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head();
        wire.rest();
    });
    let mut sections = all_to(upstream.address);
    sections[1].1["routes"][0]["choices"][0]["forward"]["timeout_ms"] = json!(50);
    let gate = Gate::new(&sections);
    let (first, second) = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        let first = wire.answer(false);
        wire.send(GET);
        (first.status(), wire.answer(false).status())
    });
    assert_eq!((first, second), (504, 504), "and the connection goes on");
    assert_eq!((gate.cluster(1, Field::Timeouts), upstream.connections()), (2, 2));
    assert_eq!(gate.engine.idle_upstreams(), 0);
    gate.assert_settled();
}

#[test]
fn silence_in_the_middle_of_an_answer() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head();
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        wire.rest();
    });
    let mut sections = all_to(upstream.address);
    let forward = &mut sections[1].1["routes"][0]["choices"][0]["forward"];
    (forward["timeout_ms"], forward["idle_timeout_ms"]) = (json!(0), json!(50));
    let gate = Gate::new(&sections);
    let rest = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        wire.head().unwrap();
        wire.rest()
    });
    assert_eq!(rest, b"half");
    gate.assert_settled();
}

#[test]
fn an_upload_that_stalls() {
    let upstream = Upstream::echo();
    let mut sections = all_to(upstream.address);
    sections.push(("options", json!({"body_idle_timeout_ms": 50})));
    let gate = Gate::new(&sections);
    let answer = gate.run(|address| exchange(address, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf"));
    assert_eq!((answer.status(), answer.header("connection").unwrap()), (408, "close".to_owned()));
    gate.assert_settled();
}

#[test]
fn a_head_that_stalls() {
    let mut sections = all_to(Upstream::refusing());
    sections.push(("options", json!({"request_head_timeout_ms": 50})));
    let gate = Gate::new(&sections);
    gate.run(|address| {
        let answer = exchange(address, b"GET / HTTP/1.1\r\nHos");
        assert_eq!((answer.status(), answer.header("connection").unwrap()), (408, "close".to_owned()));
        assert!(connect(address).rest().is_empty(), "silence is closed without a word");
    });
    gate.assert_settled();
}

#[test]
fn answers_that_are_no_http() {
    let garbage: [&[u8]; 7] = [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 20",
    ];
    for bytes in garbage {
        let upstream = Upstream::raw(move |mut wire, _| {
            wire.head();
            wire.send(bytes);
        });
        let gate = Gate::new(&all_to(upstream.address));
        let answer = gate.run(|address| exchange(address, GET));
        assert_eq!(answer.status(), 502, "{:?}", String::from_utf8_lossy(bytes));
        assert_eq!(gate.engine.idle_upstreams(), 0);
        gate.assert_settled();
    }
}

#[test]
fn endless_interim_answers() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head();
        wire.send("HTTP/1.1 102 Processing\r\n\r\n".repeat(100).as_bytes());
        wire.rest();
    });
    let gate = Gate::new(&all_to(upstream.address));
    assert_eq!(gate.run(|address| exchange(address, GET)).status(), 502);
}

#[test]
fn requests_that_are_refused_reach_nobody() {
    let upstream = Upstream::echo();
    let gate = Gate::new(&all_to(upstream.address));
    let refused: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ];
    for bytes in refused {
        let answer: Answer = gate.run(move |address| {
            let mut wire = connect(address);
            wire.send(&[bytes, GET].concat());
            let answer = wire.answer(false);
            assert!(wire.rest().is_empty(), "what follows is not looked at");
            answer
        });
        assert!((400..=501).contains(&answer.status()), "{:?}", String::from_utf8_lossy(bytes));
    }
    assert!(upstream.seen().is_empty());
    gate.assert_settled();
}

#[test]
fn aborted_requests_leave_nothing() {
    let upstream = Upstream::raw(|mut wire, connection| {
        while wire.head().is_some() {
            match connection % 3 {
                0 => {}
                1 => wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin"),
                _ => return,
            }
        }
    });
    let gate = Gate::new(&all_to(upstream.address));
    let requests: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: h",
        GET,
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ];
    for round in 0..40 {
        let request = requests[round % 4];
        let before = (upstream.connections(), gate.engine.connections());
        let client = gate.start(move |address| {
            let mut wire = connect(address);
            wire.send(request);
            wire
        });
        let wire = gate.join(&client);
        if round % 4 != 0 {
            gate.until("the request at the upstream", || upstream.connections() > before.0);
        }
        wire.reset();
    }
    gate.assert_settled();
    assert_eq!(gate.engine.idle_upstreams(), 0);
}

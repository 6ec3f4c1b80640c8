//! Every exchange in all four combinations of protocols: clients and services may each speak HTTP/1.1 or HTTP/2.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::json;
use sluice_policy::stats::Field;
use support::Gate;
use support::pair::{Ask, Body, PAIRS, Reply, Speaks, all_speaking, gate, service};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// The request line that the service saw, without its version.
fn line(head: &str) -> &str {
    head.split(" HTTP/").next().unwrap()
}

#[test]
fn requests_without_a_body() {
    for (client, upstream) in PAIRS {
        let service = service(upstream, |seen| {
            let mut reply = Reply::ok(Body::of(b"hello"));
            reply.fields = vec![("x-two", "1"), ("x-two", "2"), ("content-type", "text/plain")];
            assert_eq!(seen.header("x-one").as_deref(), Some("a, b"));
            reply
        });
        let gate = gate(&service, upstream);
        let mut ask = Ask::new("GET");
        ask.fields = vec![("x-one", "a"), ("x-one", "b")];
        let answer = gate.run(move |address| ask.send(client, address));
        assert_eq!((answer.status(), answer.text()), (200, "hello".to_owned()), "{client:?} {upstream:?}");
        assert_eq!(answer.header("x-two").unwrap(), "1, 2");
        assert_eq!(answer.header("content-length").unwrap(), "5");
        let seen = &service.seen()[0];
        assert_eq!((line(&seen.head), seen.body.len()), ("GET /", 0));
        assert_eq!(seen.header("host").unwrap(), "h");
        assert_eq!(seen.header("x-forwarded-proto").unwrap(), "http");
        assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, None));
        gate.assert_settled();
    }
}

#[test]
fn bodies_with_and_without_a_length() {
    for (client, upstream) in PAIRS {
        for length in [0, 1, 5, 4096, 70_000, 300_000] {
            for open in [false, true] {
                let service = service(upstream, move |seen| {
                    let mut body = Body::of(&seen.body);
                    body.open = open;
                    Reply::ok(body)
                });
                let gate = gate(&service, upstream);
                let mut body = Body::of(&pattern(length));
                body.open = open;
                let ask = Ask::new("POST").with(body);
                let answer = gate.run(move |address| ask.send(client, address));
                let what = format!("{client:?} {upstream:?} {length} {open}");
                let got = (answer.status(), answer.body.len());
                assert!(answer.body == pattern(length), "{what}: {got:?}");
                let all = service.seen();
                let heads: Vec<_> = all.iter().map(|seen| (seen.connection, &seen.head)).collect();
                let lengths: Vec<usize> = all.iter().map(|seen| seen.body.len()).collect();
                assert_eq!(lengths, [length], "{what}: {heads:?}");
                let seen = &all[0];
                assert!(seen.body == pattern(length), "{what}");
                let announced = (!open).then(|| length.to_string());
                assert_eq!(seen.header("content-length"), announced, "{what}");
                assert_eq!(answer.header("content-length"), announced, "{what}");
                gate.assert_settled();
            }
        }
    }
}

#[test]
fn trailers_both_ways() {
    const SENT: [(&str, &str); 2] = [("x-sum", "42"), ("content-type", "no/trailer")];
    for (client, upstream) in PAIRS {
        for length in [0, 3, 100_000] {
            let service = service(upstream, |seen| Reply::ok(Body::open(&seen.body, &SENT)));
            let gate = gate(&service, upstream);
            let ask = Ask::new("POST").with(Body::open(&pattern(length), &SENT));
            let answer = gate.run(move |address| ask.send(client, address));
            let what = format!("{client:?} {upstream:?} {length}");
            assert!(answer.body == pattern(length), "{what}");
            assert_eq!(answer.trailers, "x-sum: 42\r\n", "{what}");
            let seen = &service.seen()[0];
            assert!(seen.body == pattern(length), "{what}");
            assert_eq!(seen.trailers, "x-sum: 42\r\n", "{what}");
            gate.assert_settled();
        }
    }
}

#[test]
fn answers_to_head() {
    for (client, upstream) in PAIRS {
        let service = service(upstream, |_| Reply {
            fields: vec![("content-length", "12345"), ("x-kind", "head")],
            ..Reply::new(200)
        });
        let gate = gate(&service, upstream);
        for _ in 0..2 {
            let answer = gate.run(move |address| Ask::new("HEAD").send(client, address));
            assert_eq!((answer.status(), answer.body.len()), (200, 0), "{client:?} {upstream:?}");
            assert_eq!(answer.header("content-length").unwrap(), "12345");
            assert_eq!(answer.header("x-kind").unwrap(), "head");
        }
        assert!(service.seen().iter().all(|seen| line(&seen.head) == "HEAD /"));
        assert_eq!(service.connections(), 1);
        gate.assert_settled();
    }
}

#[test]
fn answers_that_have_no_body() {
    for (client, upstream) in PAIRS {
        for (status, fields) in [(204, vec![]), (304, vec![("etag", "\"x\"")]), (304, vec![("content-length", "9")])] {
            let told = fields.clone();
            let service = service(upstream, move |_| Reply { fields: told.clone(), ..Reply::new(status) });
            let gate = gate(&service, upstream);
            for _ in 0..2 {
                let answer = gate.run(move |address| Ask::new("GET").send(client, address));
                assert_eq!((answer.status(), answer.body.len()), (status, 0), "{client:?} {upstream:?}");
                for (name, value) in &fields {
                    assert_eq!(answer.header(name).as_deref(), Some(*value), "{client:?} {upstream:?}");
                }
                if status == 204 {
                    assert_eq!(answer.header("content-length"), None);
                }
            }
            assert_eq!(service.connections(), 1, "{client:?} {upstream:?} {status}");
            gate.assert_settled();
        }
    }
}

#[test]
fn an_answer_that_ends_with_its_head() {
    for client in [Speaks::Http1, Speaks::Http2] {
        // An answer of HTTP/2 needs no length to have no body.
        let service = service(Speaks::Http2, |_| Reply::new(404));
        let gate = gate(&service, Speaks::Http2);
        let answer = gate.run(move |address| Ask::new("GET").send(client, address));
        assert_eq!((answer.status(), answer.body.len()), (404, 0));
        if client == Speaks::Http1 {
            assert_eq!(answer.header("content-length").unwrap(), "0");
        }
        gate.assert_settled();
    }
}

#[test]
fn the_request_timeout() {
    for (client, upstream) in PAIRS {
        let service = match upstream {
            Speaks::Http1 => support::upstream::Upstream::raw(|mut wire, _| {
                wire.head();
                wire.rest();
            }),
            Speaks::Http2 => support::http2::streams(async |mut stream| {
                assert_eq!(stream.reset().await.unwrap(), h2::Reason::CANCEL);
            }),
        };
        let mut sections = all_speaking(service.address, upstream);
        sections[1].1["routes"][0]["choices"][0]["forward"]["timeout_ms"] = json!(50);
        let gate = Gate::new(&sections);
        let answer = gate.run(move |address| Ask::new("GET").send(client, address));
        assert_eq!(answer.status(), 504, "{client:?} {upstream:?}");
        let answer = gate.run(move |address| Ask::new("POST").with(Body::of(b"x")).send(client, address));
        assert_eq!(answer.status(), 504, "{client:?} {upstream:?}");
        assert_eq!(gate.cluster(1, Field::Timeouts), 2);
        gate.assert_settled();
    }
}

//! Bodies in both directions: chunks, trailers, uploads that the answer does not wait for.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use support::config::all_to;
use support::upstream::{Upstream, ok};
use support::{Gate, connect, exchange};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// A body in chunks of `size`, with a trailer.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        out.extend(format!("{:x}\r\n", piece.len()).bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\nX-Sum: 42\r\nContent-Length: 7\r\n\r\n");
    out
}

#[test]
fn chunks_and_trailers_both_ways() {
    for length in [0, 5, 4096, 70_000, 400_000] {
        let upstream = Upstream::http(move |seen| {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n".to_vec();
            bytes.extend(chunked(&seen.body, 999));
            bytes
        });
        let gate = Gate::new(&all_to(upstream.address));
        for _ in 0..2 {
            let answer = gate.run(move |address| {
                let mut request = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                request.extend(chunked(&pattern(length), 7777));
                exchange(address, &request)
            });
            assert!(answer.body == pattern(length), "{length}");
            assert_eq!(answer.trailers.to_ascii_lowercase(), "x-sum: 42\r\n");
        }
        for seen in upstream.seen() {
            assert!(seen.body == pattern(length));
            assert!(seen.trailers.to_ascii_lowercase().contains("x-sum: 42") && !seen.trailers.contains("ength"));
            assert_eq!(seen.header("content-length"), None);
        }
        assert_eq!(upstream.connections(), 1, "{length}");
        gate.assert_settled();
    }
}

#[test]
fn chunks_that_arrive_byte_by_byte() {
    let upstream = Upstream::echo();
    let gate = Gate::new(&all_to(upstream.address));
    let text = gate.run(|address| {
        let mut wire = connect(address);
        for byte in b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        {
            wire.send(&[*byte]);
        }
        wire.answer(false).text()
    });
    assert_eq!(text, "abcde");
}

#[test]
fn an_answer_that_ends_with_its_connection() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head().unwrap();
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n");
        wire.send(&pattern(100_000));
    });
    let gate = Gate::new(&all_to(upstream.address));
    let bodies = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let new = wire.answer(false).body;
        let mut wire = connect(address);
        wire.send(b"GET / HTTP/1.0\r\n\r\n");
        wire.head().unwrap();
        [new, wire.rest()]
    });
    assert!(bodies.iter().all(|body| *body == pattern(100_000)));
    assert_eq!(gate.engine.idle_upstreams(), 0);
    gate.assert_settled();
}

#[test]
fn bodies_larger_than_every_buffer() {
    let upstream = Upstream::http(|seen| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", seen.body.len()).into_bytes();
        bytes.extend_from_slice(&seen.body);
        bytes
    });
    let gate = Gate::new(&all_to(upstream.address));
    let answer = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
        wire.send(&pattern(3_000_000));
        wire.answer(false)
    });
    assert!(answer.body == pattern(3_000_000));
    gate.assert_settled();
}

#[test]
fn a_client_that_waits_for_leave_gets_it_from_the_gateway() {
    let upstream = Upstream::echo();
    let gate = Gate::new(&all_to(upstream.address));
    let text = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        assert!(wire.head().unwrap().starts_with("HTTP/1.1 100 "));
        wire.send(b"body");
        wire.answer(false).text()
    });
    assert_eq!(text, "body");
    assert_eq!(upstream.seen()[0].header("expect"), None);
}

#[test]
fn an_early_answer_to_a_large_upload_arrives_whole() {
    // The upstream refuses at the head, and reads nothing more until the answer is through.
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head().unwrap();
        wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\ntoo big");
        wire.finish();
        drop(wire.rest());
    });
    let gate = Gate::new(&all_to(upstream.address));
    let (answer, end) = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
        wire.send(&pattern(200_000));
        (wire.answer(false), wire.rest())
    });
    assert_eq!((answer.status(), answer.text()), (413, "too big".to_owned()));
    assert_eq!(answer.header("connection").unwrap(), "close");
    assert!(end.is_empty());
    assert_eq!(gate.engine.idle_upstreams(), 0);
    gate.assert_settled();
}

#[test]
fn a_broken_upload_is_refused_and_ends_both_connections() {
    let upstream = Upstream::echo();
    let gate = Gate::new(&all_to(upstream.address));
    for first in [&b"3\r\nabc\r\n"[..], b""] {
        let answer = gate.run(move |address| {
            let mut wire = connect(address);
            wire.send(&[b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", first].concat());
            wire.send(b"zz\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
            let answer = wire.answer(false);
            assert!(wire.rest().is_empty());
            answer
        });
        assert_eq!(answer.status(), 400);
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(gate.engine.idle_upstreams(), 0);
    gate.assert_settled();
}

#[test]
fn a_cut_answer_is_not_passed_off_as_whole() {
    let heads = ["Content-Length: 100", "Transfer-Encoding: chunked"];
    for head in heads {
        let upstream = Upstream::raw(move |mut wire, _| {
            wire.head().unwrap();
            wire.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n40\r\nabc").as_bytes());
        });
        let gate = Gate::new(&all_to(upstream.address));
        let rest = gate.run(|address| {
            let mut wire = connect(address);
            wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            wire.head().unwrap();
            wire.rest()
        });
        assert!(rest.len() < 100 && !rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
        gate.assert_settled();
    }
}

#[test]
fn a_refused_request_with_a_small_body_keeps_the_connection() {
    let upstream = Upstream::http(|_| ok("x"));
    let mut sections = all_to(upstream.address);
    sections[1].1["routes"][0]["match"]["path"]["value"] = serde_json::json!("/known");
    let gate = Gate::new(&sections);
    let statuses = gate.run(|address| {
        let mut wire = connect(address);
        let mut ask = |request: &[u8]| {
            wire.send(request);
            wire.answer(false).status()
        };
        let bodies = [
            ask(b"POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"),
            ask(b"POST /no HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        ];
        let streamed =
            ask(&[&b"POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n"[..], &pattern(50_000)].concat());
        [bodies[0], bodies[1], streamed, ask(b"GET /known HTTP/1.1\r\nHost: h\r\n\r\n")]
    });
    assert_eq!(statuses, [404, 404, 404, 200]);
    gate.assert_settled();
}

//! How header names are written in HTTP/1.1, on both sides, and that HTTP/2 has lower case only.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::{Value, json};
use support::config::{cluster, plain, route};
use support::http2::{streams, talk};
use support::upstream::Upstream;
use support::{Gate, exchange};

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nx-USER-id: x-user-id: 1\r\nContent-Length: 9\r\n\r\nx-body: 1";

fn gate(upstream: &Upstream, options: Value) -> Gate {
    let mut sections = plain(&[route("/", "one")], &[("one", upstream.address)]);
    sections.push(("options", options));
    Gate::new(&sections)
}

/// Names of a head as written.
fn names(head: &str) -> Vec<&str> {
    head.split("\r\n").skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect()
}

fn upstream() -> Upstream {
    Upstream::http(|_| b"HTTP/1.1 200 OK\r\nx-answer-id: x-a: 1\r\ncontent-length: 7\r\n\r\nx-b: 12".to_vec())
}

#[test]
fn proper_case() {
    let upstream = upstream();
    let gate = gate(&upstream, json!({"proper_case": true}));
    let answer = gate.run(|address| exchange(address, POST));
    let seen = &upstream.seen()[0];
    assert_eq!((seen.line(), &seen.body[..]), ("POST / HTTP/1.1", &b"x-body: 1"[..]));
    let sent = names(&seen.head);
    assert!(
        ["Host", "X-User-Id", "X-Forwarded-For", "Content-Length"].iter().all(|name| sent.contains(name)),
        "{sent:?}"
    );
    assert_eq!(seen.header("x-user-id").unwrap(), "x-user-id: 1");
    assert_eq!((answer.text(), answer.header("x-answer-id").unwrap()), ("x-b: 12".to_owned(), "x-a: 1".to_owned()));
    let got = names(&answer.head);
    assert!(["X-Answer-Id", "Date", "Server", "Content-Length"].iter().all(|name| got.contains(name)), "{got:?}");
    // What the gateway answers by itself, and refuses before there is a request.
    for request in [&b"GET http://h/ HTTP/1.1\r\nHost: other\r\n\r\n"[..], b"nonsense\r\n\r\n"] {
        let refused = gate.run(move |address| exchange(address, request));
        assert!(names(&refused.head).contains(&"Content-Length"), "{}", refused.head);
    }
    gate.assert_settled();
}

#[test]
fn listed_names() {
    let upstream = upstream();
    let gate = gate(&upstream, json!({"header_case_overrides": ["X-USER-ID", "X-aNSWER-iD"]}));
    let answer = gate.run(|address| exchange(address, POST));
    assert!(names(&upstream.seen()[0].head).contains(&"X-USER-ID"));
    let got = names(&answer.head);
    assert!(got.contains(&"X-aNSWER-iD") && got.contains(&"server"), "{got:?}");
    gate.assert_settled();
}

#[test]
fn frames_stay_in_lower_case() {
    let upstream = streams(async |mut stream| {
        let lower = !stream.head.split("\r\n").skip(1).any(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
        stream.ok(if lower { "lower" } else { "upper" });
    });
    let mut sections = plain(&[route("/", "one")], &[]);
    let mut target = cluster("one", &[upstream.address]);
    target["protocol"] = json!("http2");
    sections.push(("cluster", target));
    sections.push(("options", json!({"proper_case": true})));
    let gate = Gate::new(&sections);
    let answer = gate.run(|address| talk(address, async |talk| talk.get("/").await.unwrap()));
    assert_eq!((answer.status(), answer.text()), (200, "lower".to_owned()));
    let got = names(&answer.head);
    assert!(got.contains(&"server") && !got.contains(&"Server"), "{got:?}");
    assert!(names(&gate.run(|address| exchange(address, POST)).head).contains(&"Server"));
    gate.assert_settled();
}

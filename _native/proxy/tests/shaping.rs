//! Traffic that is slowed down or failed on purpose.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::{Value, json};
use sluice_policy::stats::Global;
use support::config::{cluster, plain, route};
use support::http2::{self, streams, talk};
use support::upstream::{Upstream, ok};
use support::wire::Answer;
use support::{Gate, connect, exchange};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn gate(upstream: &Upstream, field: &str, value: Value) -> Gate {
    let mut shaped = route("/", "one");
    shaped[field] = value;
    Gate::new(&plain(&[shaped], &[("one", upstream.address)]))
}

#[test]
fn some_requests_are_aborted() {
    let upstream = Upstream::http(|_| ok("fine"));
    let gate = gate(&upstream, "fault", json!({"abort_status": 418, "abort_percent": 50.0}));
    let statuses = gate.run(|address| {
        let mut wire = connect(address);
        [0; 200].map(|_| {
            wire.send(GET);
            wire.answer(false).status()
        })
    });
    let aborted = statuses.iter().filter(|&&status| status == 418).count();
    // The generator of the test has a fixed seed.
    assert!((50..150).contains(&aborted) && statuses.iter().all(|status| [200, 418].contains(status)), "{aborted}");
    assert_eq!((gate.global(Global::FaultAborts), upstream.seen().len()), (aborted as u64, 200 - aborted));
    gate.assert_settled();
}

#[test]
fn a_delay_comes_before_the_upstream_and_the_abort() {
    let upstream = Upstream::http(|_| ok("fine"));
    let delayed = gate(&upstream, "fault", json!({"delay_ms": 50}));
    assert_eq!(delayed.run(|address| exchange(address, GET)).text(), "fine");
    let answer = delayed.run(|address| talk(address, async |talk| talk.get("/").await.unwrap()));
    assert_eq!((answer.text(), delayed.global(Global::FaultDelays)), ("fine".to_owned(), 2));
    delayed.assert_settled();
    let both = gate(&upstream, "fault", json!({"delay_ms": 1, "abort_status": 503}));
    assert_eq!(both.run(|address| exchange(address, GET)).status(), 503);
    assert_eq!((both.global(Global::FaultDelays), both.global(Global::FaultAborts)), (1, 1));
    both.assert_settled();
}

#[test]
fn a_client_that_leaves_does_not_wait_for_the_end_of_its_delay() {
    let upstream = Upstream::http(|_| ok("fine"));
    let gate = gate(&upstream, "fault", json!({"delay_ms": 86_400_000}));
    let client = gate.start(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        wire
    });
    let wire = gate.join(&client);
    gate.until("the delay", || gate.global(Global::FaultDelays) == 1);
    wire.reset();
    gate.assert_settled();
    assert!(upstream.seen().is_empty());
}

/// Every body comes whole, over both protocols on both sides, however it is framed.
#[test]
fn paced_bodies_are_whole() {
    let body: String = ('a'..='z').cycle().take(30_000).collect();
    let (first, rest) = (body.clone(), body.clone());
    let framed = streams(async move |mut stream| {
        let mut sending = stream.answer(200, &[], false);
        http2::write(&mut sending, first.clone().into(), |_| ()).await.unwrap();
        http2::finish(&mut sending, &[("x-end", "1")]).unwrap();
    });
    let text = Upstream::http(move |seen| {
        let (half, other) = rest.split_at(10_000);
        let head = "HTTP/1.1 200 OK\r\n";
        match seen.line().split(' ').nth(1).unwrap() {
            "/length" => format!("{head}Content-Length: {}\r\n\r\n{rest}", rest.len()),
            "/chunked" => format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n{:x}\r\n{other}\r\n0\r\nx-end: 1\r\n\r\n",
                half.len(),
                other.len()
            ),
            "/close" => format!("{head}Connection: close\r\n\r\n{rest}"),
            _ => format!("{head}Content-Length: 0\r\n\r\n"),
        }
        .into_bytes()
    });
    let at = |prefix: &str, cluster: &str| {
        let mut paced = route(prefix, cluster);
        paced["bandwidth"] = json!({"bytes_per_second": 200_000, "after_bytes": 5_000});
        paced
    };
    let mut sections = plain(&[at("/frames", "two"), at("/", "one")], &[("one", text.address)]);
    let mut second = cluster("two", &[framed.address]);
    second["protocol"] = json!("http2");
    sections.push(("cluster", second));
    let gate = Gate::new(&sections);
    for path in ["/length", "/chunked", "/close", "/frames", "/empty"] {
        let want = if path == "/empty" { "" } else { &body };
        let check = |answer: &Answer| {
            assert_eq!((answer.status(), answer.text().len()), (200, want.len()), "{path}");
            assert_eq!(answer.text(), want, "{path}");
            let trailers = answer.trailers.trim().to_owned();
            assert_eq!(trailers, if ["/chunked", "/frames"].contains(&path) { "x-end: 1" } else { "" }, "{path}");
        };
        check(&gate.run(move |address| talk(address, async |talk| talk.get(path).await.unwrap())));
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        check(&gate.run(move |address| exchange(address, request.as_bytes())));
    }
    gate.assert_settled();
}

#[test]
fn what_is_beyond_the_rate_waits() {
    let upstream = Upstream::http(|_| ok(&"x".repeat(50_000)));
    let gate = gate(&upstream, "bandwidth", json!({"bytes_per_second": 1, "after_bytes": 1000}));
    let waiting = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        wire.head().unwrap();
        wire.take(1000);
        wire
    });
    // Time for the gateway to send more, if it would.
    let head = gate.run(|address| exchange(address, b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(head.header("content-length").unwrap(), "50000");
    waiting.stream.set_nonblocking(true).unwrap();
    let more = waiting.stream.peek(&mut vec![0; 49_000]).unwrap_or(0);
    assert!(more < 1000, "{more} bytes came that nobody had time to wait for");
    waiting.reset();
    gate.assert_settled();
}

#[test]
fn the_first_bytes_are_not_slowed_down() {
    let upstream = Upstream::http(|_| ok(&"x".repeat(50_000)));
    // At a byte a second nothing else than the allowance arrives while anybody looks.
    let gate = gate(&upstream, "bandwidth", json!({"bytes_per_second": 1, "after_bytes": 49_999}));
    let answer = gate.run(|address| exchange(address, GET));
    assert_eq!(answer.body.len(), 50_000);
    gate.assert_settled();
}

/// RFC 9110 sections 15.3.5 and 15.4.5: there would be nothing to tell that body from the next answer.
#[test]
fn an_abort_with_a_status_without_body_has_none() {
    let upstream = Upstream::http(|_| ok("fine"));
    for status in [204, 304] {
        let gate = gate(&upstream, "fault", json!({"abort_status": status}));
        gate.run(move |address| {
            let mut wire = connect(address);
            for _ in 0..2 {
                wire.send(GET);
                let head = wire.head().unwrap();
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
                assert!(!head.to_ascii_lowercase().contains("content-"), "{head}");
            }
        });
        gate.assert_settled();
    }
}

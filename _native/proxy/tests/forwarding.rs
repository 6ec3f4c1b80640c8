//! Requests and answers through the gateway, and the connections they use.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::json;
use sluice_policy::stats::{Field, Global};
use support::config::{all_to, plain, route, route_to};
use support::upstream::{Upstream, ok};
use support::{Gate, connect, exchange};

#[test]
fn a_request_and_its_answer() {
    let upstream = Upstream::http(|_| b"HTTP/1.1 201 Made\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi".to_vec());
    let gate = Gate::new(&all_to(upstream.address));
    let answer = gate.run(|address| {
        let request = "POST /a/../b?q=1 HTTP/1.1\r\nHost: h.test\r\nX-Own: 1\r\nConnection: X-Hop\r\nX-Hop: 2\r\n\
                       Keep-Alive: x\r\nContent-Length: 3\r\n\r\nabc";
        exchange(address, request.as_bytes())
    });
    assert_eq!((answer.status(), answer.text()), (201, "hi".to_owned()));
    assert_eq!(answer.header("x-a").unwrap(), "b");
    assert_eq!(answer.header("server").unwrap(), "sluice");
    assert!(answer.header("date").is_some() && answer.header("connection").is_none());
    let seen = &upstream.seen()[0];
    assert_eq!(seen.line(), "POST /b?q=1 HTTP/1.1");
    assert_eq!((seen.header("host").unwrap(), seen.body.as_slice()), ("h.test".to_owned(), &b"abc"[..]));
    assert_eq!(
        (seen.header("x-own").unwrap(), seen.header("x-forwarded-for").unwrap()),
        ("1".into(), "127.0.0.1".into())
    );
    for hop in ["connection", "x-hop", "keep-alive", "transfer-encoding"] {
        assert_eq!(seen.header(hop), None, "{hop}");
    }
    gate.assert_settled();
}

#[test]
fn upstream_connections_are_reused() {
    // Bodies that end exactly with a buffer, within one and beyond one.
    for length in [0, 10, 4096, 5000, 65_536, 300_000] {
        let upstream = Upstream::http(move |_| ok(&"x".repeat(length)));
        let gate = Gate::new(&all_to(upstream.address));
        for _ in 0..3 {
            let answer = gate.run(|address| exchange(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
            assert_eq!((answer.status(), answer.body.len()), (200, length));
        }
        assert_eq!(upstream.connections(), 1, "{length}");
        gate.assert_settled();
        assert_eq!(gate.engine.idle_upstreams(), 1);
    }
}

#[test]
fn an_upstream_that_closes_is_not_reused() {
    let upstream = Upstream::http(|_| b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx".to_vec());
    let gate = Gate::new(&all_to(upstream.address));
    for _ in 0..3 {
        assert_eq!(gate.run(|address| exchange(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status(), 200);
    }
    assert_eq!(upstream.connections(), 3);
    assert_eq!(gate.engine.idle_upstreams(), 0);
}

#[test]
fn more_than_an_answer_ends_the_upstream_connection() {
    for (number, garbage) in [&b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"[..], b"x"].into_iter().enumerate()
    {
        let upstream = Upstream::http(move |_| [&ok("good")[..], garbage].concat());
        let gate = Gate::new(&all_to(upstream.address));
        for _ in 0..3 {
            let answer = gate.run(|address| exchange(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
            assert_eq!(answer.text(), "good", "{number}");
        }
        assert_eq!(upstream.connections(), 3);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::http(|seen| ok(seen.line()));
    let gate = Gate::new(&all_to(upstream.address));
    let lines = gate.run(|address| {
        let mut wire = connect(address);
        let mut all = Vec::new();
        for number in 0..50 {
            all.extend(format!("POST /{number} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody").bytes());
            let chunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
            all.extend(chunked.bytes());
        }
        wire.send(&all);
        (0..100).map(|_| wire.answer(false).text()).collect::<Vec<_>>()
    });
    for (number, line) in lines.iter().enumerate() {
        let path = if number % 2 == 0 { format!("/{}", number / 2) } else { "/c".to_owned() };
        assert_eq!(*line, format!("POST {path} HTTP/1.1"));
    }
    assert_eq!(upstream.connections(), 1);
    gate.assert_settled();
}

#[test]
fn a_pipelined_request_behind_a_streamed_upload() {
    let upstream = Upstream::http(|seen| ok(&format!("{} {}", seen.line(), seen.body.len())));
    let gate = Gate::new(&all_to(upstream.address));
    for coding in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let (first, second) = gate.run(move |address| {
            let mut wire = connect(address);
            wire.send(format!("POST /up HTTP/1.1\r\nHost: h\r\n{coding}\r\n\r\n").as_bytes());
            let mut rest = vec![b'x'; 100_000];
            if coding.starts_with('T') {
                rest.splice(..0, *b"186a0\r\n");
                rest.extend_from_slice(b"\r\n0\r\n\r\n");
            }
            rest.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
            wire.send(&rest);
            (wire.answer(false).text(), wire.answer(false).text())
        });
        assert_eq!((first.as_str(), second.as_str()), ("POST /up HTTP/1.1 100000", "GET /next HTTP/1.1 0"));
    }
    gate.assert_settled();
}

#[test]
fn bodiless_answers_keep_the_connection_in_step() {
    let upstream = Upstream::http(|seen| match seen.line().split(' ').nth(1).unwrap() {
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: \"x\"\r\n\r\n".to_vec(),
        "/early" => [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", &ok("late")[..]].concat(),
        _ if seen.head.starts_with("HEAD") => b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n".to_vec(),
        _ => ok("x"),
    });
    let gate = Gate::new(&all_to(upstream.address));
    let answers = gate.run(|address| {
        let mut wire = connect(address);
        let mut ask = |line: &str, bare| {
            wire.send(format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
            wire.answer(bare)
        };
        [
            ask("GET /204", true),
            ask("GET /304", true),
            ask("HEAD /", true),
            ask("GET /early", false),
            ask("GET /", false),
        ]
    });
    let statuses: Vec<_> = answers.iter().map(support::wire::Answer::status).collect();
    assert_eq!(statuses, [204, 304, 200, 200, 200]);
    let lengths: Vec<_> = answers.iter().map(|answer| answer.header("content-length")).collect();
    assert_eq!(lengths, [None, Some("500".into()), Some("700".into()), Some("4".into()), Some("1".into())]);
    assert_eq!((answers[3].text(), upstream.connections()), ("late".to_owned(), 1));
}

#[test]
fn old_clients() {
    let upstream = Upstream::http(|seen| {
        assert!(seen.head.contains("HTTP/1.1\r\n"));
        match seen.line().split(' ').nth(1).unwrap() {
            "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
            _ => ok("abc"),
        }
    });
    let gate = Gate::new(&all_to(upstream.address));
    gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let kept = wire.answer(false);
        assert_eq!((kept.header("connection").unwrap(), kept.text()), ("keep-alive".to_owned(), "abc".to_owned()));
        // Chunks are unknown to this client: the close ends the body.
        wire.send(b"GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let head = wire.head().unwrap();
        assert!(head.contains("connection: close") && !head.contains("chunked"), "{head}");
        assert_eq!(wire.rest(), b"abc");
        let mut wire = connect(address);
        wire.send(b"GET / HTTP/1.0\r\n\r\n");
        assert!(String::from_utf8(wire.rest()).unwrap().ends_with("abc"));
    });
    gate.assert_settled();
}

#[test]
fn a_client_may_end_its_direction_and_still_get_the_answer() {
    let upstream = Upstream::http(|_| ok("late but whole"));
    let gate = Gate::new(&all_to(upstream.address));
    let text = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wire.finish();
        wire.answer(false).text()
    });
    assert_eq!(text, "late but whole");
    gate.assert_settled();
}

#[test]
fn endpoints_take_turns() {
    let upstreams = [Upstream::echo(), Upstream::echo(), Upstream::echo()];
    let mut sections = plain(&[route("/", "one")], &[]);
    sections.push(("cluster", support::config::cluster("one", &upstreams.clone().map(|upstream| upstream.address))));
    let gate = Gate::new(&sections);
    for _ in 0..9 {
        gate.run(|address| exchange(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    assert_eq!(upstreams.map(|upstream| upstream.seen().len()), [3, 3, 3]);
}

#[test]
fn direct_answers_have_no_body_where_none_may_be() {
    let direct =
        |prefix: &str, status: u16, body: &str| route_to(prefix, "direct", json!({"status": status, "body": body}));
    let gate = Gate::new(&plain(&[direct("/ok", 200, "fine"), direct("/", 404, "nothing here")], &[]));
    gate.run(|address| {
        let mut wire = connect(address);
        wire.send(
            b"HEAD /ok HTTP/1.1\r\nHost: h\r\n\r\nGET /ok HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        );
        assert_eq!(wire.answer(true).header("content-length").unwrap(), "4");
        assert_eq!(wire.answer(false).text(), "fine");
        assert_eq!((wire.answer(false)).status(), 404);
    });
}

#[test]
fn numbers_after_a_known_number_of_requests() {
    let upstream = Upstream::echo();
    let gate = Gate::new(&all_to(upstream.address));
    gate.run(|address| {
        let mut wire = connect(address);
        for _ in 0..10 {
            wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
            assert_eq!(wire.answer(false).text(), "hello");
        }
        exchange(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let refused = exchange(address, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
        assert_eq!(refused.status(), 400);
    });
    gate.assert_settled();
    assert_eq!((gate.global(Global::Requests), gate.global(Global::Accepted)), (11, 3));
    assert_eq!(gate.global(Global::ConfigVersion), 1);
    assert_eq!((gate.listener(Field::Connections), gate.listener(Field::BytesIn)), (3, 50));
    assert_eq!(gate.listener(Field::BytesOut), 50);
    assert_eq!((gate.cluster(1, Field::Connections), gate.cluster(1, Field::ConnectionsActive)), (1, 1));
    assert_eq!((gate.cluster(1, Field::BytesIn), gate.cluster(1, Field::BytesOut)), (50, 50));
    assert_eq!((gate.cluster(1, Field::Retries), gate.cluster(1, Field::Timeouts)), (0, 0));
}

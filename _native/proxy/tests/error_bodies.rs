//! Error answers whose body the configuration replaces.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::io::Write;

use serde_json::{Value, json};
use support::config::{cluster, plain, route, route_to};
use support::http2::{self, streams, talk};
use support::upstream::Upstream;
use support::wire::Answer;
use support::{Gate, connect, exchange};

const GET: &[u8] = b"GET /a?q HTTP/1.1\r\nHost: h\r\nX-User: <me>\r\n\r\n";

fn text(status: u16, body: &str) -> Value {
    json!({"status": status, "format": "text", "body": body})
}

/// One listener whose options replace bodies, and `clusters`.
fn sections(overrides: &[Value], routes: &[Value], clusters: &[(&str, &Upstream)]) -> Vec<(&'static str, Value)> {
    let addresses: Vec<_> = clusters.iter().map(|(name, upstream)| (*name, upstream.address)).collect();
    let mut sections = plain(routes, &addresses);
    sections.push(("options", json!({"error_overrides": overrides})));
    sections
}

fn failing(framing: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 503 Broken\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nETag: \"1\"\r\nX-Why: tired\r\n\
         {framing}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What a client must never see of the body that was replaced.
fn assert_replaced(answer: &Answer, body: &str) {
    assert_eq!((answer.status(), answer.text()), (503, body.to_owned()));
    assert_eq!(answer.header("content-length").unwrap(), body.len().to_string());
    assert_eq!(answer.header("content-type").unwrap(), "text/plain");
    for gone in ["content-encoding", "etag", "transfer-encoding", "trailer"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.header("x-why").unwrap(), "tired");
}

#[test]
fn the_upstreams_body_is_dropped_and_its_connection_used_again() {
    let long = "secret".repeat(400);
    let bodies = [
        failing(&format!("Content-Length: {}", long.len()), &long),
        failing("Transfer-Encoding: chunked\r\nTrailer: x-t", "6\r\nsecret\r\n0\r\nx-t: 1\r\n\r\n"),
        failing("Content-Length: 0", ""),
    ];
    let upstream = Upstream::http(move |seen| bodies[seen.line()[5..6].parse::<usize>().unwrap()].clone());
    let text =
        text(503, "%RESPONSE_CODE% %REQ(X-USER)% %RESP(X-WHY)% %REQ(:PATH)% %UPSTREAM_CLUSTER% [%LOCAL_REPLY_BODY%]");
    let gate = Gate::new(&sections(&[text], &[route("/", "one")], &[("one", &upstream)]));
    gate.run(|address| {
        let mut wire = connect(address);
        for path in ["/0", "/1", "/2"] {
            wire.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-User: <me>\r\n\r\n").as_bytes());
            assert_replaced(&wire.answer(false), &format!("503 <me> tired {path} one []"));
        }
    });
    assert_eq!(upstream.connections(), 1);
    gate.assert_settled();
}

#[test]
fn the_answer_to_head_tells_the_length_and_has_no_body() {
    let upstream = Upstream::http(|_| failing("Content-Length: 4000", ""));
    let gate = Gate::new(&sections(&[text(503, "down")], &[route("/", "one")], &[("one", &upstream)]));
    gate.run(|address| {
        let mut wire = connect(address);
        for _ in 0..2 {
            wire.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
            let answer = wire.answer(true);
            assert_eq!((answer.status(), answer.header("content-length").unwrap().as_str()), (503, "4"));
        }
        wire.finish();
        assert_eq!(wire.rest(), b"");
    });
    assert_eq!(upstream.connections(), 1);
    gate.assert_settled();
}

#[test]
fn a_body_that_is_not_all_there_is_not_waited_for() {
    // The first never ends, the second is more than is worth reading, the third ends with its connection.
    for framing in ["Content-Length: 100", "Content-Length: 1000000", "Connection: close"] {
        let upstream = Upstream::raw(move |mut wire, _| {
            while wire.head().is_some() {
                let body = if framing.ends_with("000") { "x".repeat(1_000_000) } else { "secret".to_owned() };
                // The gateway may leave while this is written.
                let _left = wire.stream.write_all(&failing(framing, &body));
            }
        });
        let gate = Gate::new(&sections(&[text(503, "down")], &[route("/", "one")], &[("one", &upstream)]));
        gate.run(|address| {
            let mut wire = connect(address);
            for _ in 0..2 {
                wire.send(GET);
                assert_replaced(&wire.answer(false), "down");
            }
        });
        assert_eq!(upstream.connections(), 2, "{framing}");
        gate.assert_settled();
        assert_eq!(gate.engine.idle_upstreams(), 0, "{framing}");
    }
}

#[test]
fn over_frames_on_either_side() {
    let framed = streams(async |mut stream| {
        let mut body = stream.answer(503, &[("x-why", "tired"), ("content-type", "text/html")], false);
        body.send_data("secret".into(), true).unwrap();
    });
    let plain_upstream = Upstream::http(|_| failing("Content-Length: 6", "secret"));
    let mut sections =
        sections(&[text(503, "down")], &[route("/f", "two"), route("/", "one")], &[("one", &plain_upstream)]);
    let mut second = cluster("two", &[framed.address]);
    second["protocol"] = json!("http2");
    sections.push(("cluster", second));
    let gate = Gate::new(&sections);
    for path in ["/p", "/f"] {
        for _ in 0..2 {
            let answer = gate.run(move |address| talk(address, async |talk| talk.get(path).await.unwrap()));
            assert_replaced(&answer, "down");
            let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_replaced(&gate.run(move |address| exchange(address, request.as_bytes())), "down");
        }
    }
    assert_eq!((plain_upstream.connections(), framed.connections()), (1, 1));
    gate.assert_settled();
}

#[test]
fn answers_of_the_gateway_are_replaced_too() {
    let overrides = [
        text(404, "nothing at %REQ(:PATH)%"),
        json!({"status": 503, "format": "json",
            "body": r#"{"code": "%RESPONSE_CODE%", "why": "was %LOCAL_REPLY_BODY%", "flags": "%RESPONSE_FLAGS%", "none": "%REQ(X-NONE)%"}"#}),
        json!({"status": 403, "format": "text", "body": "<p>%REQ(X-USER)%</p>", "content_type": "text/html"}),
    ];
    let mut own = route("/own", "dead");
    own["error_overrides"] = json!([text(503, "")]);
    let mut bare = route("/bare", "dead");
    bare["bypass_error_overrides"] = json!(true);
    let denied = route_to("/denied", "direct", json!({"status": 403, "body": "no"}));
    let dead = Upstream::refusing();
    let mut sections = plain(&[own, bare, denied, route("/dead", "dead")], &[("dead", dead)]);
    sections.push(("options", json!({"error_overrides": overrides})));
    let gate = Gate::new(&sections);
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-User: <me>\r\n\r\n");
        let answer = gate.run(move |address| exchange(address, request.as_bytes()));
        (answer.status(), answer.header("content-type"), answer.text())
    };
    let kind = |text: &str| Some(text.to_owned());
    assert_eq!(ask("/none?q"), (404, kind("text/plain"), "nothing at /none?q".to_owned()));
    let why = r#"{"code":503,"why":"was the upstream could not be reached\n","flags":"UF","none":null}"#;
    assert_eq!(ask("/dead"), (503, kind("application/json"), why.to_owned()));
    assert_eq!(ask("/own"), (503, None, String::new()));
    assert_eq!(ask("/bare").2, "the upstream could not be reached\n");
    assert_eq!(ask("/denied"), (403, kind("text/html"), "<p>&lt;me&gt;</p>".to_owned()));
    // gRPC has its own words for errors.
    let answer = gate.run(|address| {
        talk(address, async |talk| {
            let (response, _) = talk.start(http2::post("/dead", &[("content-type", "application/grpc")]), true).await;
            http2::receive(response).await.unwrap()
        })
    });
    assert_eq!(answer.header("grpc-message").unwrap(), "the upstream could not be reached");
    gate.assert_settled();
}

#[test]
fn grpc_clients_keep_the_answer_of_the_upstream() {
    let upstream = Upstream::http(|_| failing("Content-Length: 4", "body"));
    let gate = Gate::new(&sections(&[text(503, "replaced")], &[route("/", "one")], &[("one", &upstream)]));
    for (kind, body) in
        [("application/grpc", "body"), ("application/grpc-web+proto", "body"), ("text/plain", "replaced")]
    {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: 0\r\n\r\n");
        let answer = gate.run(move |address| exchange(address, request.as_bytes()));
        assert_eq!((answer.status(), answer.text().as_str()), (503, body), "{kind}");
    }
    gate.assert_settled();
}

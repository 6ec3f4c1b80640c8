//! What browsers may read of the answers that the gateway gives by itself.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::{Value, json};
use sluice_proxy::UpcallAnswer;
use support::config::{plain, route, route_to};
use support::http2::{post, receive, talk};
use support::upstream::Upstream;
use support::wire::Answer;
use support::{Gate, exchange};

const ORIGIN: &str = "https://a.test";

fn shared(mut route: Value) -> Value {
    route["cors"] = json!({"origins": [{"kind": "exact", "value": ORIGIN}], "exposed_headers": ["x-trace"]});
    route
}

fn with(mut route: Value, field: &str, value: Value) -> Value {
    route[field] = value;
    route
}

/// The same over HTTP/1.1 and over HTTP/2.
fn ask(gate: &Gate, path: &'static str, origin: &'static str) -> [Answer; 2] {
    let request = format!("POST {path} HTTP/1.1\r\nHost: h\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n");
    let plain = gate.run(move |address| exchange(address, request.as_bytes()));
    let framed = gate.run(move |address| {
        talk(address, async |talk| {
            let (response, _) = talk.start(post(path, &[("origin", origin)]), true).await;
            receive(response).await.unwrap()
        })
    });
    [plain, framed]
}

/// Status, and all values of the field that grants.
fn told(answer: &Answer) -> (u16, Vec<String>) {
    let fields = answer.head.lines().filter_map(|line| line.split_once(": "));
    let granted = fields.filter(|(name, _)| name.eq_ignore_ascii_case("access-control-allow-origin"));
    (answer.status(), granted.map(|(_, value)| value.to_owned()).collect())
}

#[test]
fn every_answer_of_a_shared_route_can_be_read() {
    let limit = json!([{"name": "few", "rate": 1, "period_ms": 3_600_000, "burst": 1}]);
    let routes = [
        shared(route("/dead", "dead")),
        shared(with(route("/fault", "dead"), "fault", json!({"abort_status": 418}))),
        shared(with(route("/guarded", "dead"), "filters", json!(["guard"]))),
        shared(with(route_to("/limited", "direct", json!({"status": 200})), "limits", limit)),
        shared(route_to("/moved", "redirect", json!({"status": 302, "path": "/there"}))),
        shared(route_to("/fine", "direct", json!({"status": 200, "body": "fine"}))),
        route("/", "dead"),
    ];
    let mut gate = Gate::new(&plain(&routes, &[("dead", Upstream::refusing())]));
    gate.filter = Box::new(|_| {
        // A filter that knows less about origins than the route.
        let headers = [("Access-Control-Allow-Origin", "*"), ("x-own", "1")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Some(UpcallAnswer::Respond { status: 401, headers, body: b"who?".to_vec() })
    });
    assert_eq!(ask(&gate, "/limited", ORIGIN)[0].status(), 200);
    let expected =
        [("/dead", 503), ("/fault", 418), ("/guarded", 401), ("/limited", 429), ("/moved", 302), ("/fine", 200)];
    for (path, status) in expected {
        for answer in ask(&gate, path, ORIGIN) {
            assert_eq!(told(&answer), (status, vec![ORIGIN.to_owned()]), "{path}");
            assert_eq!(answer.header("access-control-expose-headers").unwrap(), "x-trace", "{path}");
            assert_eq!(answer.header("x-own").is_some(), path == "/guarded");
        }
    }
    for answer in ask(&gate, "/dead", "https://other.test") {
        assert_eq!(told(&answer), (503, vec![]), "not to other origins");
        assert_eq!(answer.header("vary").unwrap(), "Origin", "a cache must not give this answer to the allowed one");
    }
    for answer in ask(&gate, "/elsewhere", ORIGIN) {
        assert_eq!(told(&answer), (503, vec![]), "nor from other routes");
    }
    gate.assert_settled();
}

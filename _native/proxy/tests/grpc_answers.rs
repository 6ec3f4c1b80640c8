//! What gRPC clients are told where the gateway answers by itself.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::json;
use sluice_proxy::UpcallAnswer;
use support::config::{plain, route, route_to};
use support::http2::{post, receive, talk};
use support::upstream::Upstream;
use support::wire::Answer;
use support::{Gate, exchange};

/// Asks over HTTP/1.1 for an answer to a request of this content type.
fn ask(gate: &Gate, path: &str, content_type: &str) -> Answer {
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\nContent-Length: 0\r\n\r\n");
    gate.run(move |address| exchange(address, request.as_bytes()))
}

/// The same over HTTP/2.
fn ask_frames(gate: &Gate, path: &'static str, content_type: &'static str) -> Answer {
    gate.run(move |address| {
        talk(address, async |talk| {
            let (response, _) = talk.start(post(path, &[("content-type", content_type)]), true).await;
            receive(response).await.unwrap()
        })
    })
}

fn told(answer: &Answer) -> (u16, Option<String>, Option<String>, Option<String>) {
    let field = |name| answer.header(name);
    (answer.status(), field("content-type"), field("grpc-status"), field("grpc-message"))
}

fn says(
    content_type: &str,
    status: u8,
    message: Option<&str>,
) -> (u16, Option<String>, Option<String>, Option<String>) {
    (200, Some(content_type.to_owned()), Some(status.to_string()), message.map(str::to_owned))
}

#[test]
fn errors_and_refusals_are_statuses_of_grpc() {
    let limit = json!([{"name": "none", "rate": 1, "period_ms": 3_600_000, "burst": 1}]);
    let mut limited = route("/limited", "dead");
    limited["limits"] = limit;
    let routes = [
        limited,
        route("/dead", "dead"),
        route_to("/denied", "direct", json!({"status": 403, "body": "100 % no\n"})),
        route_to("/moved", "redirect", json!({"status": 302, "path": "/there"})),
        route_to("/fine", "direct", json!({"status": 200, "body": "fine"})),
    ];
    let gate = Gate::new(&plain(&routes, &[("dead", Upstream::refusing())]));
    for asking in [
        &ask as &dyn Fn(&Gate, &'static str, &'static str) -> Answer,
        &ask_frames as &dyn Fn(&Gate, &'static str, &'static str) -> Answer,
    ] {
        let grpc = "application/grpc";
        assert_eq!(told(&asking(&gate, "/none", grpc)), says(grpc, 12, None));
        assert_eq!(told(&asking(&gate, "/denied", "application/grpc+proto")), says(grpc, 7, Some("100 %25 no")));
        let unreachable = Some("the upstream could not be reached");
        assert_eq!(told(&asking(&gate, "/dead", grpc)), says(grpc, 14, unreachable));
        assert_eq!(
            told(&asking(&gate, "/dead", "application/grpc-web-text")),
            says("application/grpc-web-text+proto", 14, unreachable)
        );
        let moved = asking(&gate, "/moved", grpc);
        assert_eq!((told(&moved), moved.header("location")), (says(grpc, 2, None), Some("http://h/there".to_owned())));
        let fine = asking(&gate, "/fine", grpc);
        assert_eq!((fine.status(), fine.text(), fine.header("grpc-status")), (200, "fine".to_owned(), None));
        let plain = asking(&gate, "/denied", "application/json");
        assert_eq!((plain.status(), plain.text()), (403, "100 % no\n".to_owned()));
    }
    assert_eq!(ask(&gate, "/limited", "application/grpc").header("grpc-status").unwrap(), "14");
    let limited = ask(&gate, "/limited", "application/grpc");
    assert_eq!(told(&limited), says("application/grpc", 14, Some("rate limit exceeded")));
    assert!(limited.header("retry-after").is_some());
    gate.assert_settled();
}

#[test]
fn an_answer_over_frames_ends_with_its_head() {
    let gate = Gate::new(&plain(&[], &[]));
    let answer = ask_frames(&gate, "/none", "application/grpc");
    assert_eq!((answer.header("content-length"), answer.body.len()), (None, 0));
    // HTTP/1.1 has to say where the answer ends.
    assert_eq!(ask(&gate, "/none", "application/grpc").header("content-length").unwrap(), "0");
    gate.assert_settled();
}

#[test]
fn a_filter_may_choose_the_status_of_grpc() {
    let mut guarded = route("/", "one");
    guarded["filters"] = json!(["guard"]);
    let mut gate = Gate::new(&plain(&[guarded], &[("one", Upstream::refusing())]));
    gate.filter = Box::new(|upcall| {
        let own = upcall.path == "/own";
        let mut headers = vec![("content-type".to_owned(), "text/html".to_owned())];
        headers.extend(own.then(|| ("grpc-status".to_owned(), "8".to_owned())));
        Some(UpcallAnswer::Respond { status: 401, headers, body: b"who?".to_vec() })
    });
    assert_eq!(told(&ask(&gate, "/", "application/grpc")), says("application/grpc", 16, Some("who?")));
    assert_eq!(told(&ask(&gate, "/own", "application/grpc")), says("application/grpc", 8, None));
    gate.assert_settled();
}

//! The decision: hosts, cleartext, weights, broken routes.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::json;
use support::{choice, cluster, decide, full, host, issues, listener, route};

#[test]
fn hosts_and_routes() {
    let compiled = full(&[
        ("listener", listener("http", &["a", "any"])),
        ("virtual_host", host("a", &["a.com", "*.a.com"], &[route("deep", "/api/"), route("root", "/")])),
        ("virtual_host", host("any", &["*"], &[route("other", "/x")])),
        ("cluster", cluster("one", "10.0.0.1")),
    ]);
    assert_eq!(compiled.issues, []);
    let to = " to one Some([(10.0.0.1:80, 1)])";
    assert_eq!(decide(&compiled, "a.com", "/api/1", true, 0.0), format!("deep{to}"));
    assert_eq!(decide(&compiled, "b.a.com", "/", true, 0.0), format!("root{to}"));
    assert_eq!(decide(&compiled, "b.com", "/x", true, 0.0), format!("other{to}"));
    assert_eq!(decide(&compiled, "b.com", "/y", true, 0.0), "no route");
}

#[test]
fn cleartext() {
    let mut hosts =
        [host("to", &["to"], &[route("acme", "/.well-known/"), route("root", "/")]), host("no", &["no"], &[])];
    hosts[0]["insecure_action"] = json!("redirect");
    hosts[0]["routes"][0]["insecure_exempt"] = json!(true);
    hosts[1]["insecure_action"] = json!("reject");
    let [to, no] = hosts;
    let compiled = full(&[
        ("listener", listener("http", &["to", "no"])),
        ("virtual_host", to),
        ("virtual_host", no),
        ("cluster", cluster("one", "10.0.0.1")),
    ]);
    assert_eq!(decide(&compiled, "to", "/", false, 0.0), "redirect to");
    assert!(decide(&compiled, "to", "/.well-known/x", false, 0.0).starts_with("acme"));
    assert!(decide(&compiled, "to", "/", true, 0.0).starts_with("root"));
    assert_eq!(decide(&compiled, "no", "/", false, 0.0), "reject");
    assert_eq!(decide(&compiled, "no", "/", true, 0.0), "no route");
    assert_eq!(decide(&compiled, "nobody", "/", false, 0.0), "no host");
}

#[test]
fn weights_fall_through() {
    let mut canary = route("canary", "/");
    canary["choices"] = json!([choice("a", 10.0), choice("b", 20.0)]);
    let mut whole = route("whole", "/");
    whole["choices"] = json!([choice("c", 33.3), choice("d", 33.3), choice("e", 33.4)]);
    let compiled =
        full(&[("listener", listener("http", &["h"])), ("virtual_host", host("h", &["*"], &[canary, whole]))]);
    for (roll, want) in [
        (0.0, "canary to a"),
        (9.99, "canary to a"),
        (10.0, "canary to b"),
        (29.99, "canary to b"),
        (30.0, "whole to c"),
        (40.0, "whole to d"),
        (99.999_999_9, "whole to e"),
    ] {
        let found = decide(&compiled, "h", "/", true, roll);
        assert!(found.starts_with(want), "{roll}: {found}");
    }
}

#[test]
fn a_broken_route_answers_and_a_bad_match_is_left_out() {
    let mut edits = route("edits", "/edits");
    edits["choices"][0]["request_headers"] = json!({"add": [{"name": "a b", "value": "x"}]});
    let mut rewrite = route("rewrite", "/rewrite");
    rewrite["choices"][0]["forward"]["path_rewrite"] = json!({"kind": "regex", "value": "\\3", "pattern": "(a)"});
    let mut empty = route("empty", "/empty");
    empty["choices"] = json!([]);
    let mut some = route("some", "/some");
    some["choices"] = json!([{"weight": 10.0, "origin": support::origin()}]);
    let mut regex = route("regex", "(");
    regex["match"]["path"]["kind"] = json!("regex");
    let routes = [edits, rewrite, empty, some, regex, route("root", "/")];
    let compiled = full(&[("listener", listener("http", &["h"])), ("virtual_host", host("h", &["*"], &routes))]);
    assert_eq!(decide(&compiled, "h", "/edits", true, 0.0), "broken edits");
    assert_eq!(decide(&compiled, "h", "/rewrite", true, 0.0), "broken rewrite");
    assert_eq!(decide(&compiled, "h", "/empty", true, 99.0), "broken empty");
    assert_eq!(decide(&compiled, "h", "/some", true, 9.0), "broken some");
    assert_eq!(decide(&compiled, "h", "/some", true, 10.0), "root to one None");
    let paths: Vec<_> = issues(&compiled).into_iter().map(|(_, path)| path).collect();
    assert_eq!(
        paths,
        [
            "routes[0].choices[0].request_headers",
            "routes[1].choices[0].forward.path_rewrite",
            "routes[2].choices",
            "routes[3].choices[0]",
            "routes[4].match.path",
        ]
    );
}

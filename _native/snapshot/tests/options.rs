//! Compiled options: compression, error bodies, case of names, address rules, streams.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::{Value, json};
use sluice_policy::content_coding::Coding;
use sluice_snapshot::{Cidr, Compiled, ErrorBody, HeaderCase, UNLIMITED_NS};
use support::{delta, full, host, issues, listener, route};

fn with(options: &Value) -> Compiled {
    full(&[("options", options.clone())])
}

fn paths(compiled: &Compiled) -> Vec<String> {
    issues(compiled).into_iter().map(|(_, path)| path).collect()
}

#[test]
fn defaults() {
    let options = with(&json!({})).options;
    assert!(options.compression.is_none() && options.ip_rules.is_none() && options.error_overrides.is_empty());
    assert_eq!((options.max_request_bytes, options.buffer_limit_bytes), (None, None));
    assert_eq!((&options.header_case, options.http2_max_concurrent_streams), (&HeaderCase::Keep, 100));
    assert!(!options.grpc_web && !options.grpc_http11_bridge);
}

#[test]
fn compression() {
    let compiled = with(&json!({"gzip": {}}));
    let gzip = compiled.options.compression.as_ref().unwrap();
    assert_eq!(gzip.codings.as_ref(), [Coding::Brotli, Coding::Zstd, Coding::Gzip]);
    assert_eq!((gzip.min_content_length, gzip.level, gzip.window_bits, gzip.memory_level), (30, 6, 12, 5));
    assert!(gzip.takes(b"text/html") && gzip.takes(b"Application/JSON ; charset=utf-8"));
    assert!(!gzip.takes(b"text/htm") && !gzip.takes(b"image/png") && !gzip.takes(b""));
    let compiled = with(&json!({"gzip": {
        "level": 0, "window_bits": 16, "memory_level": 9, "algorithms": ["gzip", "deflate", "gzip"],
        "content_types": ["Text/X"],
    }}));
    let gzip = compiled.options.compression.as_ref().unwrap();
    assert_eq!(gzip.codings.as_ref(), [Coding::Gzip]);
    assert_eq!((gzip.level, gzip.window_bits, gzip.memory_level), (6, 12, 9));
    assert!(gzip.takes(b"text/x") && !gzip.takes(b"text/html"));
    assert_eq!(paths(&compiled), ["gzip.algorithms[1]", "gzip.level", "gzip.window_bits"]);
    let compiled = with(&json!({"gzip": {"algorithms": []}}));
    assert!(compiled.options.compression.is_none());
    assert_eq!(paths(&compiled), ["gzip.algorithms"]);
}

#[test]
fn no_idle_timeout() {
    let idle = |ms: u64| with(&json!({"listener_idle_timeout_ms": ms})).options.listener_idle_timeout_ns;
    assert_eq!([0, u64::MAX].map(idle), [UNLIMITED_NS; 2]);
    assert_eq!((idle(1), with(&json!({})).options.listener_idle_timeout_ns), (1_000_000, 3_600_000_000_000));
}

fn override_of(status: u16, body: &str) -> Value {
    json!({"status": status, "format": "text", "body": body})
}

#[test]
fn error_bodies() {
    let mut own = route("own", "/own");
    own["error_overrides"] = json!([override_of(500, "own")]);
    let mut bypass = route("bypass", "/bypass");
    bypass["bypass_error_overrides"] = json!(true);
    let options = json!({"error_overrides": [
        {"status": 503, "format": "json", "body": "{\"code\": \"%RESPONSE_CODE%\", \"was\": \"%LOCAL_REPLY_BODY%\"}"},
        override_of(404, "no %REQ(:PATH)%"),
    ]});
    let routes = [own, bypass, route("plain", "/")];
    let compiled = full(&[
        ("options", options),
        ("listener", listener("http", &["h"])),
        ("virtual_host", host("h", &["*"], &routes)),
    ]);
    assert_eq!(compiled.issues, []);
    let options = &compiled.options;
    let [own, bypass, plain] = compiled.virtual_host("h").unwrap().routes.as_ref() else { panic!("three routes") };
    let json = plain.error_override(options, 503).unwrap();
    assert_eq!(json.content_type.as_ref(), b"application/json");
    assert!(matches!(&json.body, ErrorBody::Json(members) if members.len() == 2));
    let text = plain.error_override(options, 404).unwrap();
    assert_eq!(text.content_type.as_ref(), b"text/plain");
    assert!(matches!(&text.body, ErrorBody::Text(pieces) if pieces.len() == 2));
    assert!(plain.error_override(options, 500).is_none());
    assert!(own.error_override(options, 500).is_some() && own.error_override(options, 404).is_none());
    assert!(bypass.error_override(options, 404).is_none());
}

#[test]
fn error_bodies_that_cannot_be_used() {
    let compiled = with(&json!({"error_overrides": [
        override_of(200, ""),
        {"status": 500, "format": "json", "body": "[]"},
        {"status": 501, "format": "text", "body": "", "content_type": "a\nb"},
        override_of(502, "%WEATHER%"),
        override_of(502, "again"),
    ]}));
    let overrides = &compiled.options.error_overrides;
    assert!(overrides.get(502).is_some() && overrides.get(500).is_none() && overrides.get(501).is_none());
    assert_eq!(
        paths(&compiled),
        [
            "error_overrides[0].status",
            "error_overrides[1].body",
            "error_overrides[2].content_type",
            "error_overrides[3].body",
            "error_overrides[4].status",
        ]
    );
    let mut bad = route("r", "/");
    bad["error_overrides"] = json!([override_of(1, "")]);
    let compiled = full(&[("listener", listener("http", &["h"])), ("virtual_host", host("h", &["*"], &[bad]))]);
    assert_eq!(paths(&compiled), ["routes[0].error_overrides[0].status"]);
    assert!(compiled.virtual_host("h").unwrap().routes[0].broken.is_none());
}

#[test]
fn shaping_that_cannot_be_done_breaks_its_route() {
    for (field, value, path) in [
        ("bandwidth", json!({"bytes_per_second": 0}), "bandwidth.bytes_per_second"),
        ("fault", json!({"abort_status": 101}), "fault.abort_status"),
        ("fault", json!({"delay_ms": 1, "delay_percent": 101.0}), "fault.delay_percent"),
        ("fault", json!({"abort_status": 503, "abort_percent": -1.0}), "fault.abort_percent"),
    ] {
        let mut shaped = route("shaped", "/");
        shaped[field] = value;
        let compiled = full(&[("listener", listener("http", &["h"])), ("virtual_host", host("h", &["*"], &[shaped]))]);
        assert!(paths(&compiled).contains(&format!("routes[0].{path}")), "{path}: {:?}", paths(&compiled));
        assert!(compiled.virtual_host("h").unwrap().routes[0].broken.is_some(), "{path}");
    }
}

fn written(case: &HeaderCase, name: &str) -> String {
    let mut head = format!("GET /x-foo: HTTP/1.1\r\n{name}: x-foo: Y\r\n\r\nx-foo: body").into_bytes();
    case.apply(&mut head);
    let head = String::from_utf8(head).unwrap();
    let out = head.strip_prefix("GET /x-foo: HTTP/1.1\r\n").unwrap();
    let out = out.strip_suffix(": x-foo: Y\r\n\r\nx-foo: body").unwrap();
    out.to_owned()
}

#[test]
fn case_of_names() {
    let proper = with(&json!({"proper_case": true}));
    assert_eq!(written(&proper.options.header_case, "content-TYPE"), "Content-Type");
    assert_eq!(written(&proper.options.header_case, "x-b3$a1b"), "X-B3$A1b");
    let listed = with(&json!({"header_case_overrides": ["X-FOO", "eTag", "x-foo", "a b"]}));
    assert_eq!(written(&listed.options.header_case, "x-foo"), "X-FOO");
    assert_eq!(written(&listed.options.header_case, "Etag"), "eTag");
    assert_eq!(written(&listed.options.header_case, "Other"), "Other");
    assert_eq!(paths(&listed), ["header_case_overrides[3]"]);
    let both = with(&json!({"proper_case": true, "header_case_overrides": ["X"]}));
    assert_eq!((&both.options.header_case, paths(&both)), (&HeaderCase::Proper, vec!["header_case_overrides".into()]));
}

#[test]
fn ranges() {
    let holds = |range: &str, address: &str| Cidr::parse(range).unwrap().contains(address.parse().unwrap());
    assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.0"));
    assert!(holds("10.1.2.3/8", "10.0.0.0") && holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.4"));
    assert!(holds("0.0.0.0/0", "255.1.1.1") && !holds("0.0.0.0/0", "::1") && holds("::/0", "2001:db8::1"));
    assert!(holds("2001:db8::/32", "2001:db8:1::") && !holds("2001:db8::/32", "2001:db9::"));
    assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1") && holds("::ffff:10.0.0.0/104", "10.9.9.9"));
    for bad in
        ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "a/8", "10.0.0/8", "10.0.0.0/8/8"]
    {
        assert!(Cidr::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn address_rules() {
    let rules = |action: &str, entries: Value| with(&json!({"ip_rules": {"action": action, "entries": entries}}));
    let admits = |compiled: &Compiled, peer: &str, remote: &str| {
        compiled.options.ip_rules.as_ref().unwrap().admits(peer.parse().unwrap(), remote.parse().unwrap())
    };
    let entries = json!([{"source": "peer", "cidr": "10.0.0.0/8"}, {"source": "remote", "cidr": "192.0.2.1"}]);
    let allow = rules("allow", entries.clone());
    assert!(admits(&allow, "10.1.1.1", "1.1.1.1") && admits(&allow, "1.1.1.1", "192.0.2.1"));
    assert!(!admits(&allow, "1.1.1.1", "10.1.1.1"));
    let deny = rules("deny", entries);
    assert!(!admits(&deny, "10.1.1.1", "1.1.1.1") && admits(&deny, "1.1.1.1", "10.1.1.1"));
    let bad = json!([{"source": "peer", "cidr": "10.0.0.0/99"}]);
    for action in ["allow", "deny"] {
        let broken = rules(action, bad.clone());
        assert!(!admits(&broken, "1.1.1.1", "1.1.1.1"), "{action}: nobody is let in by a rule that cannot be read");
        assert_eq!(paths(&broken), ["ip_rules.entries[0].cidr"]);
    }
}

#[test]
fn streams_of_listeners() {
    let mut own = listener("own", &[]);
    own["http2_max_concurrent_streams"] = json!(7);
    own["http2"] = json!(false);
    let mut zero = listener("zero", &[]);
    zero["http2_max_concurrent_streams"] = json!(0);
    let first = full(&[
        ("options", json!({"http2_max_concurrent_streams": 50})),
        ("listener", own),
        ("listener", zero),
        ("listener", listener("plain", &[])),
    ]);
    let streams = |compiled: &Compiled, name: &str| compiled.listener(name).unwrap().http2_max_concurrent_streams;
    assert_eq!((streams(&first, "own"), streams(&first, "zero"), streams(&first, "plain")), (7, 50, 50));
    assert!(!first.listener("own").unwrap().http2 && first.listener("plain").unwrap().http2);
    assert_eq!(paths(&first), ["http2_max_concurrent_streams"]);
    let change = delta(2, Some(1), &[("options", json!({"http2_max_concurrent_streams": 0}))], &[]);
    let second = Compiled::apply(Some(&first), &change).unwrap();
    assert_eq!((streams(&second, "own"), streams(&second, "plain")), (7, 1));
}

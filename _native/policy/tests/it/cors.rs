use sluice_policy::cors::{Cors, CorsDecision, OriginRule};
use std::sync::Arc;

fn policy(origins: &[&str], credentials: bool) -> Cors {
    let origins = origins.iter().map(|origin| OriginRule::parse(origin).unwrap()).collect();
    Cors::new(origins, ["GET", "POST"], ["X-A, X-B"], ["X-C"], credentials, Some("86400")).unwrap()
}

/// The decision in words: what it is and the headers it writes.
fn ask(
    cors: &Cors,
    method: &str,
    origin: Option<&str>,
    asked: Option<&str>,
    headers: Option<&str>,
) -> (String, Vec<String>) {
    let bytes = |text: Option<&'static str>| text.map(str::as_bytes);
    let leak = |text: Option<&str>| text.map(|text| &*String::from(text).leak());
    let mut lines = Vec::new();
    let mut write =
        |name: &'static str, value: &[u8]| lines.push(format!("{name}: {}", String::from_utf8_lossy(value)));
    let kind = match cors.decide(method.as_bytes(), bytes(leak(origin)), bytes(leak(asked)), bytes(leak(headers))) {
        CorsDecision::Pass => "pass",
        CorsDecision::Preflight(grant) => {
            grant.preflight(&mut write);
            "preflight"
        }
        CorsDecision::Actual(grant) => {
            grant.actual(&mut write);
            "actual"
        }
    };
    (kind.to_owned(), lines)
}

#[test]
fn preflight() {
    let cors = policy(&["https://a.example"], true);
    let (kind, lines) = ask(&cors, "OPTIONS", Some("https://a.example"), Some("PUT"), Some("x-z"));
    assert_eq!(kind, "preflight");
    assert_eq!(
        lines,
        [
            "access-control-allow-origin: https://a.example",
            "access-control-allow-credentials: true",
            "vary: Origin",
            "access-control-allow-methods: GET, POST",
            "access-control-allow-headers: X-A, X-B",
            "access-control-max-age: 86400",
        ]
    );
}

#[test]
fn what_is_a_preflight() {
    let cors = policy(&["https://a.example"], false);
    for (method, origin, asked, want) in [
        ("OPTIONS", Some("https://a.example"), Some("PUT"), "preflight"),
        ("OPTIONS", Some("https://a.example"), None, "actual"),
        ("OPTIONS", Some("https://a.example"), Some(""), "actual"),
        ("GET", Some("https://a.example"), Some("PUT"), "actual"),
        ("options", Some("https://a.example"), Some("PUT"), "actual"),
        ("OPTIONS", Some("https://b.example"), Some("PUT"), "pass"),
        ("OPTIONS", None, Some("PUT"), "pass"),
        ("GET", Some(""), None, "pass"),
        ("GET", None, None, "pass"),
    ] {
        assert_eq!(ask(&cors, method, origin, asked, None).0, want, "{method} {origin:?} {asked:?}");
    }
}

#[test]
fn actual_answers() {
    let (kind, lines) = ask(&policy(&["https://a.example"], true), "GET", Some("https://a.example"), None, None);
    assert_eq!(kind, "actual");
    assert_eq!(
        lines,
        [
            "access-control-allow-origin: https://a.example",
            "access-control-allow-credentials: true",
            "vary: Origin",
            "access-control-expose-headers: X-C",
        ]
    );
}

#[test]
fn a_star_never_carries_credentials() {
    let (_, lines) = ask(&policy(&["*"], true), "GET", Some("https://evil.example"), None, None);
    assert_eq!(lines, ["access-control-allow-origin: *", "access-control-expose-headers: X-C"]);
    // A named origin beside the star keeps its credentials, and caches learn that answers differ.
    let both = policy(&["*", "https://a.example"], true);
    assert_eq!(
        ask(&both, "GET", Some("https://a.example"), None, None).1[..2],
        ["access-control-allow-origin: https://a.example", "access-control-allow-credentials: true"]
    );
    assert_eq!(
        ask(&both, "GET", Some("https://evil.example"), None, None).1[..2],
        ["access-control-allow-origin: *", "vary: Origin"]
    );
}

#[test]
fn origins() {
    let regex = |pattern| OriginRule::regex(pattern, false).unwrap();
    let predicate = OriginRule::Predicate(Arc::new(|origin: &[u8]| origin.ends_with(b".example")));
    for (rule, origin, want) in [
        (OriginRule::parse("*").unwrap(), "https://x", true),
        (OriginRule::parse("*").unwrap(), "null", false),
        (OriginRule::parse("null").unwrap(), "null", true),
        (OriginRule::parse("https://a").unwrap(), "https://a", true),
        (OriginRule::parse("https://a").unwrap(), "https://A", false),
        (OriginRule::parse("https://a").unwrap(), "https://a.evil", false),
        (OriginRule::parse("https://*.example.com").unwrap(), "https://a.example.com", true),
        (OriginRule::parse("https://*.example.com").unwrap(), "https://a.b.example.com", true),
        (OriginRule::parse("https://*.example.com").unwrap(), "https://.example.com", false),
        (OriginRule::parse("https://*.example.com").unwrap(), "https://example.com", false),
        (OriginRule::parse("https://*.example.com").unwrap(), "http://a.example.com", false),
        (OriginRule::parse("https://*.example.com").unwrap(), "https://evil/.example.com", false),
        (OriginRule::parse("https://*.example.com").unwrap(), "https://a.example.com.evil", false),
        (OriginRule::parse("http://localhost:*").unwrap(), "http://localhost:3000", true),
        (regex(r"https://[a-z]+\.example"), "https://ab.example", true),
        (regex(r"https://[a-z]+\.example"), "https://ab.example.evil", false),
        (regex("a|https://b"), "https://b.evil", false),
        (regex(".*"), "null", false),
        (OriginRule::Prefix("https://a".into()), "https://a.b", true),
        (OriginRule::Suffix("ll".into()), "null", false),
        (predicate.clone(), "https://a.example", true),
        (predicate, "https://a.test", false),
    ] {
        assert_eq!(rule.allows(origin), want, "{rule:?} {origin}");
    }
    assert!(OriginRule::parse("*.*").is_err());
    assert!(OriginRule::regex("(", false).is_err());
}

#[test]
fn lists() {
    let star = |headers: &'static str| Cors::new(vec![OriginRule::Any], ["*"], [headers], [], false, None).unwrap();
    let preflight = |cors: &Cors, asked| ask(cors, "OPTIONS", Some("https://x"), Some("PATCH"), asked).1;
    assert_eq!(
        preflight(&star("*"), Some("x-a,x-b"))[1..],
        ["access-control-allow-methods: PATCH", "access-control-allow-headers: x-a,x-b"]
    );
    assert_eq!(preflight(&star("*"), None)[1..], ["access-control-allow-methods: PATCH"]);
    assert_eq!(preflight(&star("*"), Some("a\r\nb"))[1..], ["access-control-allow-methods: PATCH"]);
    assert_eq!(preflight(&star(""), Some("x-a"))[1..], ["access-control-allow-methods: PATCH"]);
    assert!(Cors::new(vec![], ["GE T"], [], [], false, None).is_err());
    assert!(Cors::new(vec![], [], ["a\r\nb"], [], false, None).is_err());
    assert!(Cors::new(vec![], [], [], [], false, Some("1\r\n")).is_ok_and(|cors| !cors.varies()));
    assert!(Cors::new(vec![], [], [], [], false, Some("one")).is_err());
}

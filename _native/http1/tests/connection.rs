//! Hop-by-hop fields, persistence, upgrades and expectations.

// Clippy takes only functions marked as tests for tests, not their helpers.
#![allow(clippy::unwrap_used)]

use sluice_http1::{HeadLimits, NormalizePolicy, RequestHead, parse_request};

/// A head with this version and these field lines, and its text.
fn head(version: &str, lines: &str) -> (Vec<u8>, RequestHead) {
    let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n").into_bytes();
    let mut head = RequestHead::new();
    let policy = NormalizePolicy::default();
    let length = parse_request(&text, &HeadLimits::default(), &policy, &mut head).unwrap();
    assert_eq!(length, Some(text.len()));
    (text, head)
}

#[test]
fn persistence() {
    for (version, lines, expected) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: Close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: x, close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        assert_eq!(head(version, lines).1.keep_alive, expected, "{version} {lines:?}");
    }
}

#[test]
fn upgrades() {
    for (version, lines, expected) in [
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", Some("websocket")),
        ("1.1", "Connection: keep-alive, upgrade\r\nUpgrade: a/1 , b\r\n", Some("a/1")),
        ("1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade: H2C , websocket\r\n", Some("websocket")),
        ("1.1", "Upgrade: websocket\r\n", None),
        ("1.1", "Connection: upgrade\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade:\r\n", None),
        ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", None),
    ] {
        let (text, head) = head(version, lines);
        let upgrade = head.upgrade.map(|span| span.of(&text).to_vec());
        assert_eq!(upgrade.as_deref(), expected.map(str::as_bytes), "{lines:?}");
    }
}

#[test]
fn expectations() {
    assert!(head("1.1", "Expect: 100-Continue\r\n").1.expect_continue);
    assert!(!head("1.0", "Expect: 100-continue\r\n").1.expect_continue);
    assert!(!head("1.1", "Expect: x\r\n").1.expect_continue);
}

#[test]
fn trailers_must_be_asked_for() {
    assert!(head("1.1", "TE: gzip, Trailers\r\n").1.te_trailers());
    assert!(!head("1.1", "TE: gzip\r\n").1.te_trailers());
}

#[test]
fn hop_by_hop_fields_are_dropped() {
    let lines = "Keep-Alive: 5\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\nProxy: x\r\nProxy-Connection: x\r\n\
                 Proxy-Authorization: x\r\nProxy-Authenticate: x\r\nHTTP2-Settings: x\r\nConnection: close\r\n\
                 Transfer-Encoding: chunked\r\n";
    let (text, head) = head("1.1", lines);
    let kept: Vec<_> = head.headers.iter().filter(|entry| !entry.drop).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].name.of(&text), b"Host");
    assert_eq!(head.header(&text, b"upgrade"), Some(&b"h2c"[..]), "rules may still match it");
}

#[test]
fn nominated_fields_are_dropped_unless_protected() {
    let lines = "Connection: X-Auth-User, x-forwarded-for\r\nConnection: host, Cookie, authorization, content-length\r\n\
                 X-Auth-User: root\r\nx-auth-user: again\r\nX-Forwarded-For: 1\r\nCookie: c\r\nAuthorization: b\r\n\
                 Content-Length: 0\r\nX-Auth-User-2: stays\r\n";
    let (text, head) = head("1.1", lines);
    let kept: Vec<_> = head.headers.iter().filter(|entry| !entry.drop).map(|entry| entry.name.of(&text)).collect();
    assert_eq!(
        kept,
        [&b"Host"[..], b"X-Forwarded-For", b"Cookie", b"Authorization", b"Content-Length", b"X-Auth-User-2"]
    );
    assert_eq!(head.header(&text, b"x-auth-user"), None, "no rule sees what is not forwarded");
}

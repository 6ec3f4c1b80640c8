//! Request heads from the outside: what is accepted, and every refusal with its name.

// Clippy takes only functions marked as tests for tests, not their helpers.
#![allow(clippy::unwrap_used)]

use sluice_http1::{
    Framing, HeadLimits, HeaderKind, Method, NormalizePolicy, RejectReason, RequestError, RequestHead, Underscores,
    Version, parse_request,
};

fn parse(text: &[u8]) -> Result<Option<usize>, RequestError> {
    parse_head(text).map(|parsed| parsed.map(|(length, _)| length))
}

fn parse_head(text: &[u8]) -> Result<Option<(usize, RequestHead)>, RequestError> {
    let mut head = RequestHead::new();
    let policy = NormalizePolicy::default();
    let length = parse_request(text, &HeadLimits::default(), &policy, &mut head)?;
    Ok(length.map(|length| (length, head)))
}

fn accepted(text: &[u8]) -> RequestHead {
    parse_head(text).unwrap().unwrap().1
}

/// A GET with these additional field lines.
fn with(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
}

#[test]
fn a_typical_request() {
    let text = b"GET /a/b?x=1 HTTP/1.1\r\nHost: Example.COM.:8080\r\nUser-Agent: t\r\nAccept: */*\r\nX-Empty:\r\nX-Blank: \t \r\nX-Pad: v \t\r\n\r\nrest";
    let (length, head) = parse_head(text).unwrap().unwrap();
    assert_eq!(&text[length..], b"rest");
    assert_eq!((head.method, head.version, head.framing), (Method::Get, Version::Http11, Framing::None));
    assert_eq!(head.method_bytes(text), b"GET");
    assert_eq!(head.target.of(text), b"/a/b?x=1");
    assert_eq!(head.path(text), b"/a/b");
    assert_eq!(head.query(text), Some(&b"x=1"[..]));
    assert_eq!(head.host(text), b"example.com");
    assert_eq!(head.port, Some(8080));
    assert_eq!(head.authority.map(|span| span.of(text)), Some(&b"Example.COM.:8080"[..]));
    assert_eq!(head.header(text, b"user-agent"), Some(&b"t"[..]));
    assert_eq!(head.header_of_kind(text, HeaderKind::UserAgent), Some(&b"t"[..]));
    assert_eq!(head.header(text, b"x-empty"), Some(&b""[..]));
    assert_eq!(head.header(text, b"x-blank"), Some(&b""[..]));
    assert_eq!(head.header(text, b"x-pad"), Some(&b"v"[..]));
    assert_eq!(head.header(text, b"absent"), None);
    assert!(head.keep_alive && !head.expect_continue && head.upgrade.is_none());
    assert!(head.headers.iter().all(|entry| !entry.drop));
}

#[test]
fn a_reused_head_keeps_nothing() {
    let mut head = accepted(b"POST /%7E?q HTTP/1.1\r\nHost: A:1\r\nContent-Length: 3\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\nTE: trailers\r\nExpect: 100-continue\r\n\r\n");
    let next = b"GET / HTTP/1.0\r\n\r\n";
    parse_request(next, &HeadLimits::default(), &NormalizePolicy::default(), &mut head).unwrap();
    assert_eq!(head.path(next), b"/");
    assert_eq!(head.host(next), b"");
    assert_eq!(head.framing, Framing::None);
    assert!(head.query.is_none() && head.upgrade.is_none() && head.authority.is_none());
    assert!(head.port.is_none() && head.headers.is_empty() && !head.te_trailers());
    assert!(!head.expect_continue && !head.keep_alive);
}

#[test]
fn refused_messages() {
    use RejectReason::*;
    let cases: &[(&str, &[u8], RejectReason)] = &[
        ("two empty lines", b"\r\n\r\nGET / HTTP/1.1\r\n", EmptyLine),
        ("LF first", b"\nGET / HTTP/1.1\r\n", BareLf),
        ("CR first", b"\rGET", EmptyLine),
        ("lower case method", b"get / HTTP/1.1\r\n", InvalidMethod),
        ("mixed case method", b"Get / HTTP/1.1\r\n", InvalidMethod),
        ("method not a token", b"G(T / HTTP/1.1\r\n", InvalidMethod),
        ("no method", b" / HTTP/1.1\r\n", InvalidMethod),
        ("TLS hello", b"\x16\x03\x01", InvalidMethod),
        ("endless method", &[b'A'; 33], MethodTooLong),
        ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\n", ConnectRefused),
        ("TRACE", b"TRACE / HTTP/1.1\r\n", TraceRefused),
        ("HTTP/0.9", b"GET /\r\n", UnsupportedVersion),
        ("HTTP/0.9 LF", b"GET /\n", BareLf),
        ("version 2.0", b"GET / HTTP/2.0\r\n", UnsupportedVersion),
        ("version 1.2", b"GET / HTTP/1.2\r\n", UnsupportedVersion),
        ("version 1.32", b"GET / HTTP/1.32\r\n", InvalidVersion),
        ("version 1.10", b"GET / HTTP/1.10\r\n", InvalidVersion),
        ("version blank", b"GET / HTTP/ 1.1\r\n", InvalidVersion),
        ("version case", b"GET / http/1.1\r\n", InvalidVersion),
        ("version tail", b"GET / HTTP/1.1 \r\n", InvalidVersion),
        ("version CR", b"GET / HTTP/1.1\rX", InvalidVersion),
        ("two blanks", b"GET  / HTTP/1.1\r\n", InvalidTarget),
        ("blank in target", b"GET /a b HTTP/1.1\r\n", InvalidVersion),
        ("tab in line", b"GET\t/ HTTP/1.1\r\n", InvalidMethod),
        ("NUL in target", b"GET /\0", InvalidTarget),
        ("fragment", b"GET /a#b HTTP/1.1\r\n", FragmentInTarget),
        ("query fragment", b"GET /?a#b HTTP/1.1\r\n", FragmentInTarget),
        ("raw non-ASCII", b"GET /\xC3\xA9 HTTP/1.1\r\n", NonAsciiTarget),
        ("backslash", b"GET /a\\b HTTP/1.1\r\n", BackslashInPath),
        ("LF after request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", BareLf),
        ("LF after field", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n", BareLf),
        ("LF between fields", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", BareLf),
        ("LF after last field", b"GET / HTTP/1.1\r\nHost: a\n\r\n", BareLf),
        ("LF as empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf),
        ("CR in value", b"GET / HTTP/1.1\r\nHost: a\rb", InvalidHeaderValue),
        ("NUL in value", b"GET / HTTP/1.1\r\nX: a\0", InvalidHeaderValue),
        ("DEL in value", b"GET / HTTP/1.1\r\nX: a\x7f", InvalidHeaderValue),
        ("VT in front of value", b"GET / HTTP/1.1\r\nX: \x0bchunked\r\n", InvalidHeaderValue),
        ("space before colon", b"GET / HTTP/1.1\r\nHost : a\r\n", InvalidHeaderName),
        ("empty name", b"GET / HTTP/1.1\r\n: a\r\n", InvalidHeaderName),
        ("no colon", b"GET / HTTP/1.1\r\nHost\r\n", InvalidHeaderName),
        ("folded line", b"GET / HTTP/1.1\r\nX: a\r\n b\r\n", InvalidHeaderName),
        ("leading blank", b"GET / HTTP/1.1\r\n Host: a\r\n", InvalidHeaderName),
        ("high byte in name", b"GET / HTTP/1.1\r\nX\x85: a\r\n", InvalidHeaderName),
        ("no Host", b"GET / HTTP/1.1\r\n\r\n", MissingHost),
        ("absolute, no Host", b"GET http://a/ HTTP/1.1\r\n\r\n", MissingHost),
        ("other Host", b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HostMismatch),
        ("userinfo", b"GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", InvalidHost),
        ("no authority", b"GET http:///x HTTP/1.1\r\nHost:\r\n\r\n", InvalidHost),
        ("scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", InvalidTarget),
        ("no slash", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", InvalidTarget),
        ("asterisk GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", InvalidTarget),
        ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", InvalidHost),
        ("TE on 1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingInHttp10),
        ("above root", b"GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", PathAboveRoot),
    ];
    for (name, text, reason) in cases {
        let error = parse(text).expect_err(name);
        assert_eq!(error.reason, *reason, "{name}");
        assert_eq!(error.status, reason.status(), "{name}");
    }
}

#[test]
fn refused_fields() {
    use RejectReason::*;
    for (lines, reason) in [
        ("Host: a\r\n", DuplicateHost),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", ConflictingContentLength),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", ConflictingContentLength),
        ("Content-Length: 5,6\r\n", ConflictingContentLength),
        ("Content-Length: +5\r\n", InvalidContentLength),
        ("Content-Length:\r\n", InvalidContentLength),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ContentLengthWithTransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", InvalidTransferEncoding),
        ("Transfer-Encoding: ,chunked\r\n", InvalidTransferEncoding),
        ("Transfer-Encoding: gzip, chunked\r\n", UnsupportedTransferEncoding),
        ("X_Auth_User: root\r\n", UnderscoreInName),
    ] {
        assert_eq!(parse(&with(lines)).unwrap_err().reason, reason, "{lines:?}");
    }
    let many = format!("Connection: {}\r\n", "a,".repeat(40));
    assert_eq!(parse(&with(&many)).unwrap_err().reason, TooManyConnectionOptions);
}

#[test]
fn accepted_forms() {
    for (name, text, method, path, host) in [
        ("empty line first", "\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", Method::Get, "/x", "a"),
        ("extension method", "PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", Method::Other, "/", "a"),
        ("hyphenated method", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", Method::Other, "/", "a"),
        ("asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Method::Options, "*", "a"),
        ("absolute", "GET HTTP://A/x/../y?q HTTP/1.1\r\nHost: a\r\n\r\n", Method::Get, "/y", "a"),
        ("absolute, no path", "GET http://a:80?q HTTP/1.1\r\nHost: a:80\r\n\r\n", Method::Get, "/", "a"),
        ("absolute OPTIONS", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", Method::Options, "*", "a"),
        ("absolute 1.0", "GET http://a/x HTTP/1.0\r\n\r\n", Method::Get, "/x", "a"),
        ("IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Method::Get, "/", "[::1]"),
        ("encoded dots", "GET /a/%2e%2E/b HTTP/1.1\r\nHost: a\r\n\r\n", Method::Get, "/b", "a"),
        ("twice encoded", "GET /%252e HTTP/1.1\r\nHost: a\r\n\r\n", Method::Get, "/%252e", "a"),
    ] {
        let head = accepted(text.as_bytes());
        assert_eq!(head.method, method, "{name}");
        assert_eq!(head.path(text.as_bytes()), path.as_bytes(), "{name}");
        assert_eq!(head.host(text.as_bytes()), host.as_bytes(), "{name}");
    }
}

#[test]
fn http10_can_be_switched_off() {
    let policy = NormalizePolicy { enable_http10: false, ..NormalizePolicy::default() };
    let mut head = RequestHead::new();
    let error = parse_request(b"GET / HTTP/1.0\r\n", &HeadLimits::default(), &policy, &mut head);
    assert_eq!(error.unwrap_err().reason, RejectReason::Http10Disabled);
}

#[test]
fn underscores_follow_the_policy() {
    let text = with("X_A: 1\r\n");
    for (underscores, dropped) in [(Underscores::Allow, false), (Underscores::Drop, true)] {
        let policy = NormalizePolicy { underscores, ..NormalizePolicy::default() };
        let mut head = RequestHead::new();
        parse_request(&text, &HeadLimits::default(), &policy, &mut head).unwrap();
        assert_eq!(head.headers[1].drop, dropped);
        assert_eq!(head.header(&text, b"x_a").is_none(), dropped);
    }
}

//! Response heads: framing (RFC 9112 6.3) and what makes an upstream untrustworthy.

// Clippy takes only functions marked as tests for tests, not their helpers.
#![allow(clippy::unwrap_used)]

use sluice_http1::{
    HeadLimits, HeaderKind, Method, RejectReason, ResponseError, ResponseFraming, ResponseHead, Version, parse_response,
};

fn parse(text: &[u8], method: Method) -> Result<Option<(usize, ResponseHead)>, ResponseError> {
    let mut head = ResponseHead::new();
    let length = parse_response(text, &HeadLimits::default(), method, &mut head)?;
    Ok(length.map(|length| (length, head)))
}

fn accepted(text: &str) -> ResponseHead {
    parse(text.as_bytes(), Method::Get).unwrap().unwrap().1
}

#[test]
fn a_typical_response() {
    let text =
        b"HTTP/1.1 200 Very \xC3\xA9 OK\r\nServer: s\r\nContent-Length: 2\r\nConnection: X-A\r\nX-A: 1\r\n\r\nok";
    let (length, head) = parse(text, Method::Get).unwrap().unwrap();
    assert_eq!(&text[length..], b"ok");
    assert_eq!((head.status, head.version), (200, Version::Http11));
    assert_eq!(head.reason.of(text), b"Very \xC3\xA9 OK");
    assert_eq!(head.framing, ResponseFraming::Length(2));
    assert_eq!(head.header_of_kind(text, HeaderKind::Server), Some(&b"s"[..]));
    assert_eq!(head.header(text, b"x-a"), None, "nominated");
    assert!(head.keep_alive && !head.is_interim());
}

#[test]
fn framing() {
    use ResponseFraming::{Chunked, Length, None, UntilClose};
    for (method, status, lines, expected, keep_alive) in [
        (Method::Get, 200, "Content-Length: 0\r\n", Length(0), true),
        (Method::Get, 200, "Transfer-Encoding: chunked\r\n", Chunked, true),
        (Method::Get, 200, "", UntilClose, false),
        (Method::Head, 200, "Content-Length: 5\r\n", None, true),
        (Method::Head, 200, "Transfer-Encoding: chunked\r\n", None, true),
        (Method::Head, 200, "", None, true),
        (Method::Get, 304, "Content-Length: 5\r\n", None, true),
        (Method::Get, 204, "", None, true),
        (Method::Get, 204, "Content-Length: 0\r\n", None, true),
        (Method::Get, 204, "Content-Length: 5\r\n", None, false),
        (Method::Get, 100, "", None, true),
        (Method::Get, 103, "Transfer-Encoding: chunked\r\n", None, false),
        (Method::Get, 101, "", None, false),
        (Method::Get, 200, "Content-Length: 5\r\nConnection: close\r\n", Length(5), false),
    ] {
        let text = format!("HTTP/1.1 {status} x\r\n{lines}\r\n");
        let head = parse(text.as_bytes(), method).unwrap().unwrap().1;
        assert_eq!((head.framing, head.keep_alive), (expected, keep_alive), "{method:?} {status} {lines:?}");
    }
}

#[test]
fn http10_closes_by_default() {
    assert!(!accepted("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n").keep_alive);
    assert!(accepted("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n").keep_alive);
}

#[test]
fn upgrade_needs_101_and_connection() {
    let text = "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(accepted(text).upgrade.map(|span| span.of(text.as_bytes())), Some(&b"websocket"[..]));
    assert!(accepted("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n").upgrade.is_none());
    assert!(accepted("HTTP/1.1 200 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade.is_none());
}

#[test]
fn a_length_that_must_not_be_is_dropped() {
    let head = accepted("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n");
    assert!(head.headers[0].drop);
}

#[test]
fn status_lines() {
    for (text, reason) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "OK"),
        ("HTTP/1.1 200 \r\n\r\n", ""),
        ("HTTP/1.1 200\r\n\r\n", ""),
        ("HTTP/1.1 999 x\r\n\r\n", "x"),
    ] {
        assert_eq!(accepted(text).reason.of(text.as_bytes()), reason.as_bytes(), "{text:?}");
        for end in 0..text.len() {
            assert!(parse(&text.as_bytes()[..end], Method::Get).unwrap().is_none(), "{text:?} {end}");
        }
    }
}

#[test]
fn refused() {
    use RejectReason::*;
    for (name, text, reason) in [
        ("junk", "junk", InvalidStatusLine),
        ("empty line", "\r\nHTTP/1.1 200 OK\r\n", InvalidStatusLine),
        ("version", "HTTP/2.0 200 OK\r\n", InvalidStatusLine),
        ("two blanks", "HTTP/1.1  200 OK\r\n", InvalidStatusLine),
        ("short status", "HTTP/1.1 20 OK\r\n", InvalidStatusLine),
        ("long status", "HTTP/1.1 2000 OK\r\n", InvalidStatusLine),
        ("low status", "HTTP/1.1 099 OK\r\n", InvalidStatusLine),
        ("signed status", "HTTP/1.1 +20 OK\r\n", InvalidStatusLine),
        ("NUL in phrase", "HTTP/1.1 200 O\0", InvalidStatusLine),
        ("CR in phrase", "HTTP/1.1 200 O\rK", InvalidStatusLine),
        ("LF line", "HTTP/1.1 200 OK\n", BareLf),
        ("LF field", "HTTP/1.1 200 OK\r\na: b\n\r\n", BareLf),
        ("NUL value", "HTTP/1.1 200 OK\r\na: \0\r\n\r\n", InvalidHeaderValue),
        ("folded", "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", InvalidHeaderName),
        (
            "CL and TE",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ContentLengthWithTransferEncoding,
        ),
        ("two CL", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", ConflictingContentLength),
        ("bad CL", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", InvalidContentLength),
        ("TE", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", UnsupportedTransferEncoding),
        ("TE on 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingInHttp10),
    ] {
        let error = parse(text.as_bytes(), Method::Get).expect_err(name);
        assert_eq!(error.reason, reason, "{name}");
    }
}

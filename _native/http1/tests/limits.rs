//! Limits hold, and hold before the head is complete.

// Clippy takes only functions marked as tests for tests, not their helpers.
#![allow(clippy::unwrap_used)]

use sluice_http1::{HeadLimits, MAX_HEADERS, NormalizePolicy, RejectReason, RequestError, RequestHead, parse_request};

fn parse(text: &[u8], limits: &HeadLimits) -> Result<Option<usize>, RequestError> {
    parse_request(text, limits, &NormalizePolicy::default(), &mut RequestHead::new())
}

#[test]
fn target() {
    let limits = HeadLimits { max_target_bytes: 10, ..HeadLimits::default() };
    let longest = b"GET /23456789? HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(&longest[4..14], b"/23456789?");
    assert_eq!(parse(longest, &limits), Ok(Some(longest.len())));
    for text in [&b"GET /2345678901"[..], b"GET /?345678901", b"GET /2345678?01 HTTP/1.1\r\n"] {
        let error = parse(text, &limits).unwrap_err();
        assert_eq!((error.status, error.reason), (414, RejectReason::TargetTooLong));
    }
}

#[test]
fn head_bytes() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\nX: 1234567890\r\n\r\nbody";
    let length = text.len() - 4;
    let limits = |max_head_bytes| HeadLimits { max_head_bytes, ..HeadLimits::default() };
    assert_eq!(parse(text, &limits(length)), Ok(Some(length)));
    let error = parse(text, &limits(length - 1)).unwrap_err();
    assert_eq!((error.status, error.reason), (431, RejectReason::HeaderTooLarge));
    assert!(parse(&text[..30], &limits(30)).is_err(), "before the end is there");
    assert_eq!(parse(&text[..29], &limits(30)), Ok(None));
}

#[test]
fn field_lines() {
    let text = |count: usize| {
        let lines = "a: b\r\n".repeat(count - 1);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
    };
    for max in [1, 5, 31, 32, 33, 100, MAX_HEADERS] {
        let limits = HeadLimits { max_headers: max, ..HeadLimits::default() };
        let most = text(max);
        assert_eq!(parse(&most, &limits), Ok(Some(most.len())), "{max}");
        let error = parse(&text(max + 1), &limits).unwrap_err();
        assert_eq!((error.status, error.reason), (431, RejectReason::TooManyHeaders), "{max}");
        let unfinished = text(max + 2);
        assert!(parse(&unfinished[..unfinished.len() - 2], &limits).is_err(), "{max} early");
    }
}

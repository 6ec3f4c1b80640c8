//! Trailer fields (RFC 9110 6.5).

use crate::bytes::{is_field_byte, is_token, trim_ows};
use crate::kind::HeaderKind;

/// Whether a field must not be in a trailer section: framing, routing, credentials, request modifiers, response
/// control and content description (RFC 9110 6.5.1), and everything the gateway says about the client.
pub fn is_forbidden_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: &[&str] = &[
        "age",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-location",
        "content-range",
        "content-type",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "set-cookie",
        "vary",
        "warning",
        "www-authenticate",
    ];
    let kind = HeaderKind::of(name);
    let special = kind.is_hop_by_hop()
        || kind.is_protected()
        || matches!(kind, HeaderKind::Expect | HeaderKind::Date | HeaderKind::Origin);
    special || FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}

/// Splits a trailer line without its CRLF; `None` if it is malformed (RFC 9112 5).
pub(crate) fn parse_trailer(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], trim_ows(&line[colon + 1..]));
    (is_token(name) && value.iter().all(|&byte| is_field_byte(byte))).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::{is_forbidden_trailer, parse_trailer};

    #[test]
    fn forbidden() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "HOST",
            "Authorization",
            "X-Forwarded-For",
            "Set-Cookie",
            "TE",
            "Content-Type",
        ] {
            assert!(is_forbidden_trailer(name.as_bytes()), "{name}");
        }
        for name in ["grpc-status", "x-checksum", "etag", "digest", "server-timing"] {
            assert!(!is_forbidden_trailer(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn lines() {
        assert_eq!(parse_trailer(b"a: b "), Some((&b"a"[..], &b"b"[..])));
        assert_eq!(parse_trailer(b"a:"), Some((&b"a"[..], &b""[..])));
        for line in [&b"a : b"[..], b": b", b"a", b" a: b", b"a: b\0", b"a: \rb", b"\x85: b"] {
            assert_eq!(parse_trailer(line), None, "{line:?}");
        }
    }
}

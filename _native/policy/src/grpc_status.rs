//! What a gRPC client is told where an HTTP client is told a status.
//!
//! Sources: gRPC, "HTTP to gRPC Status Code Mapping" (`http-grpc-status-mapping.md`), which Envoy's
//! `Grpc::Utility::httpToGrpcStatus` follows; gRPC, "PROTOCOL-HTTP2" (`Status-Message`); `PROTOCOL-WEB.md`.

use crate::escape;

/// Longest `grpc-message` before it is encoded, in bytes: it travels in a head.
pub const MAX_MESSAGE: usize = 1024;

/// The content type of an answer to a request of this content type; `None` if that is not gRPC.
#[must_use]
pub fn answer_type(asked: &[u8]) -> Option<&'static [u8]> {
    let is = |name: &[u8]| {
        let (start, rest) = asked.split_at_checked(name.len())?;
        let ends = matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'));
        (start.eq_ignore_ascii_case(name) && ends).then_some(())
    };
    if is(b"application/grpc").is_some() {
        Some(b"application/grpc")
    } else if is(b"application/grpc-web").is_some() {
        Some(b"application/grpc-web+proto")
    } else if is(b"application/grpc-web-text").is_some() {
        Some(b"application/grpc-web-text+proto")
    } else {
        None
    }
}

/// The gRPC status that stands for an HTTP status. 429 is `UNAVAILABLE`, as in Envoy unless it is told otherwise.
#[must_use]
pub fn status(http: u16) -> u8 {
    match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// Append `message` as `grpc-message`: percent-encoded outside of printable ASCII, without line ends at its end.
pub fn message(out: &mut Vec<u8>, message: &[u8]) {
    for &byte in escape::truncate(message.trim_ascii_end(), MAX_MESSAGE) {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789ABCDEF"[usize::from(digit)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for (asked, want) in [
            ("application/grpc", "application/grpc"),
            ("Application/GRPC+proto", "application/grpc"),
            ("application/grpc; charset=utf-8", "application/grpc"),
            ("application/grpc-web", "application/grpc-web+proto"),
            ("application/grpc-web+json", "application/grpc-web+proto"),
            ("application/grpc-web-text", "application/grpc-web-text+proto"),
        ] {
            assert_eq!(answer_type(asked.as_bytes()), Some(want.as_bytes()), "{asked}");
        }
        for other in ["", "application/grp", "application/grpcx", "application/grpc-website", "text/plain"] {
            assert_eq!(answer_type(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn statuses() {
        let table = [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14)];
        for (http, grpc) in table {
            assert_eq!(status(http), grpc, "{http}");
        }
        for other in [301, 408, 413, 421, 500, 501, 505] {
            assert_eq!(status(other), 2, "{other}");
        }
    }

    #[test]
    fn messages() {
        let encoded = |text: &[u8]| {
            let mut out = Vec::new();
            message(&mut out, text);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(encoded(b"no healthy upstream\n"), "no healthy upstream");
        assert_eq!(encoded("100% \u{e9}\r\nx".as_bytes()), "100%25 %C3%A9%0D%0Ax");
        assert_eq!(encoded(&[b'a'; 5000]).len(), MAX_MESSAGE);
    }
}

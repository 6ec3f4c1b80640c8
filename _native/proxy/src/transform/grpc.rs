//! Which requests a gRPC bridge is for.
//!
//! Source: Envoy's filters `grpc_web` and `grpc_http1_bridge`; PROTOCOL-WEB.md and PROTOCOL-HTTP2.md of gRPC.

use sluice_http1::{Method, RequestHead};
use sluice_snapshot::Options;

/// The bridge that a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bridge {
    #[default]
    None,
    /// From gRPC-Web. `text`: the body is base64.
    Web {
        /// Of the request.
        text: bool,
        /// The answer shall be base64.
        answer_text: bool,
    },
    /// From gRPC over HTTP/1.
    Http1,
}

impl Bridge {
    /// Chooses by the type of the request. `http1`: the client speaks HTTP/1.
    pub(crate) fn of(options: &Options, head: &RequestHead, bytes: &[u8], http1: bool) -> Self {
        if !options.grpc_web && !options.grpc_http11_bridge || head.method != Method::Post {
            return Self::None;
        }
        let Some(kind) = head.header(bytes, b"content-type") else { return Self::None };
        if options.grpc_web
            && let Some(text) = web_text(kind)
        {
            let accept = head.header(bytes, b"accept").unwrap_or_default();
            let answer_text = accept.split(|&byte| byte == b',').any(|range| web_text(range) == Some(true));
            return Self::Web { text, answer_text };
        }
        if options.grpc_http11_bridge && http1 && is_grpc(kind) { Self::Http1 } else { Self::None }
    }

    /// The request's body is base64, which the upstream must not see.
    pub(crate) fn decodes(self) -> bool {
        matches!(self, Self::Web { text: true, .. })
    }
}

/// What follows `prefix` in a media type without its parameters: nothing, or a suffix such as `+proto`.
pub(crate) fn suffix<'v>(value: &'v [u8], prefix: &str) -> Option<&'v [u8]> {
    let value = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let (start, rest) = value.split_at_checked(prefix.len())?;
    let plain = rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(byte));
    (start.eq_ignore_ascii_case(prefix.as_bytes()) && plain && matches!(rest.first(), None | Some(b'+')))
        .then_some(rest)
}

/// Whether a media type is gRPC's.
pub(crate) fn is_grpc(value: &[u8]) -> bool {
    suffix(value, "application/grpc").is_some()
}

/// Whether a media type of gRPC-Web is its text form; `None` if it is none of gRPC-Web.
fn web_text(value: &[u8]) -> Option<bool> {
    if suffix(value, "application/grpc-web-text").is_some() {
        return Some(true);
    }
    suffix(value, "application/grpc-web").map(|_| false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        assert_eq!(suffix(b"application/grpc", "application/grpc"), Some(&b""[..]));
        assert_eq!(suffix(b"Application/gRPC+proto ; a=b", "application/grpc"), Some(&b"+proto"[..]));
        assert_eq!(suffix(b"application/grpc-web", "application/grpc"), None);
        assert_eq!(suffix(b"application/grpc+a b", "application/grpc"), None);
        assert_eq!(web_text(b"application/grpc-web-text+proto"), Some(true));
        assert_eq!(web_text(b"application/grpc-web"), Some(false));
        assert_eq!(web_text(b"application/grpc-webby"), None);
    }
}

//! Why a message was refused, as a closed set of names for metrics and logs.

use std::fmt;

/// Declares the reasons once: variant, name, status.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal;)*) => {
        /// Why a message was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RejectReason {
            $($(#[$doc])* $variant,)*
        }

        impl RejectReason {
            /// Every reason, to create bounded metric series up front.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The `snake_case` name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status a client gets for it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

reasons! {
    /// A line ends in LF without CR (RFC 9112 2.2).
    BareLf = "bare_lf", 400;
    /// More than one empty line before the request line (RFC 9112 2.2).
    EmptyLine = "empty_line", 400;
    /// The method is not an upper case token.
    InvalidMethod = "invalid_method", 400;
    /// The method is longer than any known one (RFC 9112 3).
    MethodTooLong = "method_too_long", 501;
    /// CONNECT: this is a gateway, not a forward proxy.
    ConnectRefused = "connect_refused", 501;
    /// TRACE would reflect credentials.
    TraceRefused = "trace_refused", 405;
    /// The version is not `HTTP/` DIGIT `.` DIGIT, or does not end the line.
    InvalidVersion = "invalid_version", 400;
    /// A well-formed version other than 1.0 and 1.1, or none (HTTP/0.9).
    UnsupportedVersion = "unsupported_version", 505;
    /// HTTP/1.0 is switched off.
    Http10Disabled = "http10_disabled", 505;
    /// The target is in no form the method permits, or has a forbidden byte (RFC 9112 3.2).
    InvalidTarget = "invalid_target", 400;
    /// The target is above the limit.
    TargetTooLong = "target_too_long", 414;
    /// A raw byte above 0x7F in the target.
    NonAsciiTarget = "non_ascii_target", 400;
    /// `#` in the target (RFC 9112 3.2).
    FragmentInTarget = "fragment_in_target", 400;
    /// A raw backslash in the path.
    BackslashInPath = "backslash_in_path", 400;
    /// `%` without two hexadecimal digits.
    BadPercentEncoding = "bad_percent_encoding", 400;
    /// `%00` in the path.
    EncodedNul = "encoded_nul", 400;
    /// `%2F` or `%5C` in the path under [`crate::EscapedSlashes::Reject`].
    EscapedSlash = "escaped_slash", 400;
    /// An escaped overlong UTF-8 sequence in the path.
    OverlongUtf8 = "overlong_utf8", 400;
    /// `;` in the path under [`crate::PathParameters::Reject`].
    PathParameter = "path_parameter", 400;
    /// A dot segment that only some parsers would resolve: `..;x`, `..%2F`.
    AmbiguousDotSegment = "ambiguous_dot_segment", 400;
    /// `..` climbs above the root.
    PathAboveRoot = "path_above_root", 400;
    /// An HTTP/1.1 request without `Host` (RFC 9112 3.2).
    MissingHost = "missing_host", 400;
    /// More than one `Host`.
    DuplicateHost = "duplicate_host", 400;
    /// The host or port is malformed.
    InvalidHost = "invalid_host", 400;
    /// The authority of an absolute target differs from `Host`.
    HostMismatch = "host_mismatch", 400;
    /// The head is above the limit in bytes.
    HeaderTooLarge = "header_too_large", 431;
    /// The head has too many field lines.
    TooManyHeaders = "too_many_headers", 431;
    /// A field name with a forbidden byte, an empty one, a missing colon, or a folded line (RFC 9112 5).
    InvalidHeaderName = "invalid_header_name", 400;
    /// A field value with a control byte or a bare CR.
    InvalidHeaderValue = "invalid_header_value", 400;
    /// A field name with `_` under [`crate::Underscores::Reject`].
    UnderscoreInName = "underscore_in_name", 400;
    /// `Content-Length` is not a plain decimal number below 2^63.
    InvalidContentLength = "invalid_content_length", 400;
    /// More than one `Content-Length`.
    ConflictingContentLength = "conflicting_content_length", 400;
    /// `Content-Length` together with `Transfer-Encoding` (RFC 9112 6.1).
    ContentLengthWithTransferEncoding = "content_length_with_transfer_encoding", 400;
    /// `Transfer-Encoding` is malformed or repeated.
    InvalidTransferEncoding = "invalid_transfer_encoding", 400;
    /// A transfer coding other than `chunked` (RFC 9112 6.1).
    UnsupportedTransferEncoding = "unsupported_transfer_encoding", 501;
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112 6.1).
    TransferEncodingInHttp10 = "transfer_encoding_in_http10", 400;
    /// More options in `Connection` than any client sends.
    TooManyConnectionOptions = "too_many_connection_options", 400;
    /// The status line of a response is malformed (RFC 9112 4).
    InvalidStatusLine = "invalid_status_line", 502;
    /// A client of HTTP/2 or HTTP/3 opened streams only to cancel them (CVE-2023-44487); its connection was closed.
    StreamResets = "stream_resets", 400;
    /// Pseudo-header fields that are missing, repeated, unknown or behind others (RFC 9114 4.3).
    PseudoField = "pseudo_field", 400;
    /// A field of a connection in a message that is made of frames (RFC 9114 4.2).
    ConnectionField = "connection_field", 400;
    /// The body of a request is larger than what is read before it is forwarded.
    BodyTooLarge = "body_too_large", 413;
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that must not be forwarded; answer `status`, then close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request refused with {status}: {reason}")]
pub struct RequestError {
    /// 400, 405, 414, 431, 501 or 505.
    pub status: u16,
    /// What was wrong.
    pub reason: RejectReason,
}

impl From<RejectReason> for RequestError {
    fn from(reason: RejectReason) -> Self {
        Self { status: reason.status(), reason }
    }
}

/// A response that must not be forwarded; answer 502 and close the upstream connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid response: {reason}")]
pub struct ResponseError {
    /// What was wrong.
    pub reason: RejectReason,
}

impl From<RejectReason> for ResponseError {
    fn from(reason: RejectReason) -> Self {
        Self { reason }
    }
}

#[cfg(test)]
mod tests {
    use super::RejectReason;

    #[test]
    fn names_are_distinct_snake_case() {
        let mut names: Vec<_> = RejectReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert!(
            names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RejectReason::ALL.len());
    }

    #[test]
    fn statuses_are_errors() {
        for reason in RejectReason::ALL {
            assert!(matches!(reason.status(), 400 | 405 | 413 | 414 | 431 | 501 | 502 | 505), "{reason}");
        }
    }
}

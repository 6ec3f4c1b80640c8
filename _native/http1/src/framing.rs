//! How long a body is (RFC 9112 6), decided so that no other parser can decide otherwise.

use crate::bytes::{is_token, list};
use crate::digits::parse_digits;
use crate::fields::Summary;
use crate::method::{Method, Version};
use crate::reason::RejectReason;

/// Framing of a request body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Framing of a response body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body, whatever the fields say.
    #[default]
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Everything until the upstream closes.
    UntilClose,
}

/// The framing the fields declare, `None` if they declare none.
pub(crate) fn declared(buf: &[u8], summary: &Summary, version: Version) -> Result<Framing, RejectReason> {
    match (summary.content_length, summary.transfer_encoding) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err(RejectReason::ContentLengthWithTransferEncoding),
        (Some(length), None) => {
            // Identical duplicates are refused too: the next hop may pick another one.
            if summary.content_lengths > 1 {
                return Err(RejectReason::ConflictingContentLength);
            }
            content_length(length.of(buf)).map(Framing::Length)
        }
        (None, Some(coding)) => {
            if version == Version::Http10 {
                return Err(RejectReason::TransferEncodingInHttp10);
            }
            if summary.transfer_encodings > 1 {
                return Err(RejectReason::InvalidTransferEncoding);
            }
            transfer_encoding(coding.of(buf)).map(|()| Framing::Chunked)
        }
    }
}

/// A length below 2^63, so sums of lengths never overflow.
fn content_length(value: &[u8]) -> Result<u64, RejectReason> {
    if value.contains(&b',') {
        return Err(RejectReason::ConflictingContentLength);
    }
    if value.len() > 1 && value.starts_with(b"0") {
        return Err(RejectReason::InvalidContentLength);
    }
    parse_digits(value).filter(|&length| i64::try_from(length).is_ok()).ok_or(RejectReason::InvalidContentLength)
}

/// Accepts exactly `chunked`.
fn transfer_encoding(value: &[u8]) -> Result<(), RejectReason> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let well_formed = list(value).all(is_token);
    let foreign = list(value).any(|coding| !coding.eq_ignore_ascii_case(b"chunked"));
    if well_formed && foreign {
        Err(RejectReason::UnsupportedTransferEncoding)
    } else {
        Err(RejectReason::InvalidTransferEncoding)
    }
}

/// The framing of a response (RFC 9112 6.3).
pub(crate) fn of_response(declared: Framing, status: u16, request_method: Method) -> ResponseFraming {
    if request_method == Method::Head || matches!(status, 100..=199 | 204 | 304) {
        return ResponseFraming::None;
    }
    match declared {
        Framing::None => ResponseFraming::UntilClose,
        Framing::Length(length) => ResponseFraming::Length(length),
        Framing::Chunked => ResponseFraming::Chunked,
    }
}

#[cfg(test)]
mod tests {
    use super::{content_length, transfer_encoding};
    use crate::RejectReason::*;

    #[test]
    fn lengths() {
        for (value, expected) in [
            ("0", Ok(0)),
            ("42", Ok(42)),
            ("9223372036854775807", Ok(i64::MAX as u64)),
            ("9223372036854775808", Err(InvalidContentLength)),
            ("18446744073709551616", Err(InvalidContentLength)),
            ("010", Err(InvalidContentLength)),
            ("00", Err(InvalidContentLength)),
            ("+1", Err(InvalidContentLength)),
            ("-1", Err(InvalidContentLength)),
            ("0x10", Err(InvalidContentLength)),
            ("1_0", Err(InvalidContentLength)),
            ("1 1", Err(InvalidContentLength)),
            ("", Err(InvalidContentLength)),
            ("5,6", Err(ConflictingContentLength)),
            ("5,5", Err(ConflictingContentLength)),
        ] {
            assert_eq!(content_length(value.as_bytes()), expected, "{value:?}");
        }
    }

    #[test]
    fn codings() {
        for (value, expected) in [
            ("chunked", Ok(())),
            ("Chunked", Ok(())),
            ("xchunked", Err(UnsupportedTransferEncoding)),
            ("gzip", Err(UnsupportedTransferEncoding)),
            ("chunked, identity", Err(UnsupportedTransferEncoding)),
            ("gzip, chunked", Err(UnsupportedTransferEncoding)),
            (",chunked", Err(InvalidTransferEncoding)),
            ("chunked,", Err(InvalidTransferEncoding)),
            ("chunked, chunked", Err(InvalidTransferEncoding)),
            ("chunked;q=1", Err(InvalidTransferEncoding)),
            ("\"chunked\"", Err(InvalidTransferEncoding)),
            ("", Err(InvalidTransferEncoding)),
        ] {
            assert_eq!(transfer_encoding(value.as_bytes()), expected, "{value:?}");
        }
    }
}

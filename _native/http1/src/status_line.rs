//! The status line (RFC 9112 4).

use crate::bytes::is_field_byte;
use crate::method::Version;
use crate::reason::RejectReason;
use crate::request_line::parse_version;
use crate::span::Span;

/// A complete status line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusLine {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason: Span,
    /// Where the first field line begins.
    pub(crate) end: usize,
}

/// Offset of the status code, behind the version and a space.
const STATUS: usize = 9;

/// Parses the status line; `None` if more bytes are needed and those so far are sound.
pub(crate) fn parse_status_line(buf: &[u8]) -> Result<Option<StatusLine>, RejectReason> {
    let invalid = RejectReason::InvalidStatusLine;
    let Some(version) = parse_version(buf).map_err(|_| invalid)? else {
        return Ok(None);
    };
    if buf.get(8).is_some_and(|&byte| byte != b' ') {
        return Err(invalid);
    }
    let digits = buf.get(STATUS..).unwrap_or_default();
    let mut status = 0_u16;
    for &byte in digits.iter().take(3) {
        if !byte.is_ascii_digit() {
            return Err(invalid);
        }
        status = status * 10 + u16::from(byte - b'0');
    }
    if digits.len() < 3 {
        return Ok(None);
    }
    if status < 100 {
        return Err(invalid);
    }
    // The space is part of the grammar even without a phrase, but servers leave it out and nothing depends on it.
    let Some(rest) = buf.get(STATUS + 3..).filter(|rest| !rest.is_empty()) else {
        return Ok(None);
    };
    let start = if rest[0] == b' ' { STATUS + 4 } else { STATUS + 3 };
    let phrase = &buf[start..];
    let Some(len) = phrase.iter().position(|&byte| !is_field_byte(byte)) else {
        return if start == STATUS + 3 { Err(invalid) } else { Ok(None) };
    };
    if len > 0 && start == STATUS + 3 {
        return Err(invalid);
    }
    match &phrase[len..] {
        [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => {
            Ok(Some(StatusLine { version, status, reason: Span::new(start, start + len), end: start + len + 2 }))
        }
        [b'\n', ..] => Err(RejectReason::BareLf),
        _ => Err(invalid),
    }
}

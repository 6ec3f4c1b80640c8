//! The request line (RFC 9112 3), byte by byte so that nonsense is refused as soon as it arrives.

use crate::method::{MAX_METHOD, Method, Version};
use crate::reason::RejectReason;
use crate::span::Span;
use crate::target::{PathFlags, scan_path, scan_query};

/// A complete request line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    pub(crate) method_span: Span,
    pub(crate) target: Span,
    /// The target up to the query.
    pub(crate) path: Span,
    pub(crate) path_flags: PathFlags,
    pub(crate) query: Option<Span>,
    pub(crate) version: Version,
    /// Where the first field line begins.
    pub(crate) end: usize,
}

/// Parses the request line; `None` if more bytes are needed and those so far are sound.
pub(crate) fn parse_request_line(buf: &[u8], max_target: usize) -> Result<Option<RequestLine>, RejectReason> {
    let Some(start) = skip_empty_line(buf)? else {
        return Ok(None);
    };
    let Some(method_len) = method_len(&buf[start..])? else {
        return Ok(None);
    };
    let method_span = Span::new(start, start + method_len);
    let method = Method::from_bytes(method_span.of(buf));
    match method {
        Method::Trace => return Err(RejectReason::TraceRefused),
        Method::Connect => return Err(RejectReason::ConnectRefused),
        _ => {}
    }

    let target_start = start + method_len + 1;
    // One byte more than permitted is enough to see that the target is too long, and bounds the scan.
    let window_end = buf.len().min(target_start.saturating_add(max_target).saturating_add(1));
    let window = &buf[..window_end];
    let (path_len, path_flags) = scan_path(&window[target_start..])?;
    let path_end = target_start + path_len;
    let (target_end, query) = if window.get(path_end) == Some(&b'?') {
        let end = path_end + 1 + scan_query(&window[path_end + 1..])?;
        (end, Some(Span::new(path_end + 1, end)))
    } else {
        (path_end, None)
    };
    if target_end - target_start > max_target {
        return Err(RejectReason::TargetTooLong);
    }
    match buf.get(target_end) {
        None => return Ok(None),
        Some(_) if target_end == target_start => return Err(RejectReason::InvalidTarget),
        Some(b' ') => {}
        Some(b'\n') => return Err(RejectReason::BareLf),
        // A line without a version is HTTP/0.9.
        Some(_) => return Err(RejectReason::UnsupportedVersion),
    }
    let Some((version, end)) = version_line(buf, target_end + 1)? else {
        return Ok(None);
    };
    Ok(Some(RequestLine {
        method,
        method_span,
        target: Span::new(target_start, target_end),
        path: Span::new(target_start, path_end),
        path_flags,
        query,
        version,
        end,
    }))
}

/// Skips one CRLF, which old clients send behind a body (RFC 9112 2.2).
fn skip_empty_line(buf: &[u8]) -> Result<Option<usize>, RejectReason> {
    let start = match buf {
        [] | [b'\r'] => return Ok(None),
        [b'\n', ..] => return Err(RejectReason::BareLf),
        [b'\r', b'\n', ..] => 2,
        [b'\r', ..] => return Err(RejectReason::EmptyLine),
        _ => 0,
    };
    match buf.get(start) {
        None => Ok(None),
        Some(b'\r' | b'\n') => Err(RejectReason::EmptyLine),
        Some(_) => Ok(Some(start)),
    }
}

/// Bytes of the method in front of its space.
fn method_len(bytes: &[u8]) -> Result<Option<usize>, RejectReason> {
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'A'..=b'Z' => {}
            b' ' if index > 0 => return Ok(Some(index)),
            b'-' | b'_' | b'0'..=b'9' if index > 0 => {}
            _ => return Err(RejectReason::InvalidMethod),
        }
        if index >= MAX_METHOD {
            return Err(RejectReason::MethodTooLong);
        }
    }
    Ok(None)
}

/// The version at `start` and where the next line begins.
fn version_line(buf: &[u8], start: usize) -> Result<Option<(Version, usize)>, RejectReason> {
    let rest = buf.get(start..).unwrap_or_default();
    if rest.starts_with(b"HTTP/1.1\r\n") {
        return Ok(Some((Version::Http11, start + 10)));
    }
    let Some(version) = parse_version(rest)? else {
        return Ok(None);
    };
    match (rest.get(8), rest.get(9)) {
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\r'), Some(b'\n')) => Ok(Some((version, start + 10))),
        (Some(b'\n'), _) => Err(RejectReason::BareLf),
        _ => Err(RejectReason::InvalidVersion),
    }
}

/// The version in the first eight bytes (RFC 9112 2.3); `None` if there are fewer and they are sound.
pub(crate) fn parse_version(bytes: &[u8]) -> Result<Option<Version>, RejectReason> {
    let sound = bytes.iter().zip(b"HTTP/1.1").enumerate().all(|(index, (byte, pattern))| match index {
        5 | 7 => byte.is_ascii_digit(),
        _ => byte == pattern,
    });
    if !sound {
        return Err(RejectReason::InvalidVersion);
    }
    match bytes.get(5..8) {
        None => Ok(None),
        Some(b"1.1") => Ok(Some(Version::Http11)),
        Some(b"1.0") => Ok(Some(Version::Http10)),
        // `1.32` is malformed, not a version that could be supported one day.
        Some(_) if bytes.get(8).is_some_and(u8::is_ascii_digit) => Err(RejectReason::InvalidVersion),
        Some(_) => Err(RejectReason::UnsupportedVersion),
    }
}

//! From bytes to a request head.

use crate::connection::{self, Options};
use crate::fields::{Summary, parse_fields};
use crate::framing;
use crate::host::split_host;
use crate::method::{Method, Version};
use crate::path::{check_parameters, needs_rewrite, rewrite_path};
use crate::policy::{HeadLimits, NormalizePolicy};
use crate::reason::{RejectReason, RequestError};
use crate::request::RequestHead;
use crate::request_line::{RequestLine, parse_request_line};
use crate::span::Span;
use crate::target::authority_range;

/// Parses and normalises the request head at the start of `buf`.
///
/// Returns the length of the head in bytes, or `None` if more bytes are needed. The bytes so far are checked each
/// time: limits and forbidden bytes are reported without waiting for the end. `head` is cleared first; it is
/// meaningful only after `Some`.
///
/// # Errors
///
/// The status to answer and the reason. The connection must be closed afterwards (RFC 9112 9.3).
pub fn parse_request(
    buf: &[u8],
    limits: &HeadLimits,
    policy: &NormalizePolicy,
    head: &mut RequestHead,
) -> Result<Option<usize>, RequestError> {
    head.clear();
    let max = limits.max_head_bytes.min(u32::MAX as usize);
    let window = buf.get(..max).unwrap_or(buf);
    match parse_window(window, limits, *policy, head)? {
        None if buf.len() >= max => Err(RejectReason::HeaderTooLarge.into()),
        length => Ok(length),
    }
}

fn parse_window(
    buf: &[u8],
    limits: &HeadLimits,
    policy: NormalizePolicy,
    head: &mut RequestHead,
) -> Result<Option<usize>, RejectReason> {
    let Some(line) = parse_request_line(buf, limits.max_target_bytes)? else {
        return Ok(None);
    };
    if line.version == Version::Http10 && !policy.enable_http10 {
        return Err(RejectReason::Http10Disabled);
    }
    let fields = parse_fields(buf, line.end, limits.max_headers, policy.underscores, &mut head.headers)?;
    let Some((len, summary)) = fields else {
        return Ok(None);
    };
    head.method = line.method;
    head.method_span = line.method_span;
    head.version = line.version;
    head.target = line.target;
    head.query = line.query;
    head.framing = framing::declared(buf, &summary, line.version)?;
    set_connection(buf, &summary, head)?;
    set_target(buf, &line, &summary, policy, head)?;
    set_host(buf, &summary, head)?;
    Ok(Some(len))
}

/// Persistence, upgrades and expectations (RFC 9112 9.3).
fn set_connection(buf: &[u8], summary: &Summary, head: &mut RequestHead) -> Result<(), RejectReason> {
    let options = if summary.connection { connection::apply(buf, &mut head.headers)? } else { Options::default() };
    let current = head.version == Version::Http11;
    head.keep_alive = !options.close && (current || options.keep_alive);
    if current && options.upgrade && summary.upgrade {
        head.upgrade = connection::upgrade(buf, &head.headers);
    }
    if current && let Some(expect) = summary.expect {
        head.expect_continue = expect.of(buf).eq_ignore_ascii_case(b"100-continue");
    }
    head.te_trailers = summary.te && connection::te_trailers(buf, &head.headers);
    Ok(())
}

/// The path, and the authority of an absolute target (RFC 9112 3.2).
fn set_target(
    buf: &[u8],
    line: &RequestLine,
    summary: &Summary,
    policy: NormalizePolicy,
    head: &mut RequestHead,
) -> Result<(), RejectReason> {
    let raw = line.path.of(buf);
    if raw.first() == Some(&b'/') {
        check_parameters(line.path_flags, policy)?;
        if needs_rewrite(line.path_flags, policy) {
            return rewrite_path(raw, policy, head.path.rewrite());
        }
        head.path.borrow(line.path);
        return Ok(());
    }
    if raw == b"*" && line.method == Method::Options && line.query.is_none() {
        head.path.borrow(line.path);
        return Ok(());
    }
    set_absolute_target(buf, line, summary, policy, head)
}

fn set_absolute_target(
    buf: &[u8],
    line: &RequestLine,
    summary: &Summary,
    policy: NormalizePolicy,
    head: &mut RequestHead,
) -> Result<(), RejectReason> {
    let raw = line.path.of(buf);
    let (start, end) = authority_range(raw)?;
    let offset = line.path.start as usize;
    let authority = Span::new(offset + start, offset + end);
    if let Some(host) = summary.host
        && !host.of(buf).eq_ignore_ascii_case(authority.of(buf))
    {
        return Err(RejectReason::HostMismatch);
    }
    head.authority = Some(authority);
    check_parameters(line.path_flags, policy)?;
    let path = &raw[end..];
    let out = head.path.rewrite();
    match path {
        // RFC 9112 3.2.4: the server-wide OPTIONS in absolute form has an empty path.
        [] if line.method == Method::Options && line.query.is_none() => out.push(b'*'),
        [] => out.push(b'/'),
        path => rewrite_path(path, policy, out)?,
    }
    Ok(())
}

fn set_host(buf: &[u8], summary: &Summary, head: &mut RequestHead) -> Result<(), RejectReason> {
    if summary.hosts > 1 {
        return Err(RejectReason::DuplicateHost);
    }
    if summary.hosts == 0 && head.version == Version::Http11 {
        return Err(RejectReason::MissingHost);
    }
    let Some(authority) = summary.host.or(head.authority) else {
        return Ok(());
    };
    head.authority = Some(authority);
    let raw = authority.of(buf);
    let split = split_host(raw)?;
    head.port = split.port;
    if split.upper {
        let out = head.host.rewrite();
        out.extend_from_slice(&raw[..split.len]);
        out.make_ascii_lowercase();
    } else {
        let start = authority.start as usize;
        head.host.borrow(Span::new(start, start + split.len));
    }
    Ok(())
}

//! The head of a response.

use crate::connection::{self, Options};
use crate::fields::{HeaderEntry, Summary, parse_fields};
use crate::framing::{self, Framing, ResponseFraming};
use crate::kind::HeaderKind;
use crate::method::{Method, Version};
use crate::policy::{HeadLimits, Underscores};
use crate::reason::{RejectReason, ResponseError};
use crate::request::find;
use crate::span::Span;
use crate::status_line::parse_status_line;

/// A parsed response head; reuse one per upstream connection.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The protocol version of the upstream.
    pub version: Version,
    /// How the body is framed (RFC 9112 6.3).
    pub framing: ResponseFraming,
    /// Whether the upstream connection can be used again once the body is read.
    pub keep_alive: bool,
    /// The field lines in order.
    pub headers: Vec<HeaderEntry>,
    /// The reason phrase, possibly empty.
    pub reason: Span,
    /// The protocol of a 101 whose `Connection` lists `upgrade`.
    pub upgrade: Option<Span>,
}

impl ResponseHead {
    /// An empty head.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything but the capacity.
    pub fn clear(&mut self) {
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        *self = Self { headers, ..Self::default() };
    }

    /// The first value of a field, ignoring case; nominated fields are invisible.
    pub fn header<'a>(&self, buf: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        find(&self.headers, buf, name)
    }

    /// The first value of a kind of field.
    pub fn header_of_kind<'a>(&self, buf: &'a [u8], kind: HeaderKind) -> Option<&'a [u8]> {
        self.headers.iter().find(|entry| entry.kind == kind).map(|entry| entry.value.of(buf))
    }

    /// Whether this is an interim response, to be followed by another head (RFC 9110 15.2).
    pub const fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }
}

/// Parses the response head at the start of `buf`, the answer to a request with `request_method`.
///
/// Returns the length of the head in bytes, or `None` if more bytes are needed. `head` is cleared first; it is
/// meaningful only after `Some`.
///
/// # Errors
///
/// The response must not be forwarded, and the upstream connection must be closed.
pub fn parse_response(
    buf: &[u8],
    limits: &HeadLimits,
    request_method: Method,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseError> {
    head.clear();
    let max = limits.max_head_bytes.min(u32::MAX as usize);
    let window = buf.get(..max).unwrap_or(buf);
    match parse_window(window, limits, request_method, head)? {
        None if buf.len() >= max => Err(RejectReason::HeaderTooLarge.into()),
        length => Ok(length),
    }
}

fn parse_window(
    buf: &[u8],
    limits: &HeadLimits,
    request_method: Method,
    head: &mut ResponseHead,
) -> Result<Option<usize>, RejectReason> {
    let Some(line) = parse_status_line(buf)? else {
        return Ok(None);
    };
    let fields = parse_fields(buf, line.end, limits.max_headers, Underscores::Allow, &mut head.headers)?;
    let Some((len, summary)) = fields else {
        return Ok(None);
    };
    head.status = line.status;
    head.version = line.version;
    head.reason = line.reason;
    let declared = framing::declared(buf, &summary, line.version)?;
    head.framing = framing::of_response(declared, line.status, request_method);
    set_connection(buf, &summary, declared, head)?;
    Ok(Some(len))
}

fn set_connection(
    buf: &[u8],
    summary: &Summary,
    declared: Framing,
    head: &mut ResponseHead,
) -> Result<(), RejectReason> {
    let options = if summary.connection { connection::apply(buf, &mut head.headers)? } else { Options::default() };
    let current = head.version == Version::Http11;
    head.keep_alive = !options.close
        && (current || options.keep_alive)
        && head.framing != ResponseFraming::UntilClose
        && head.status != 101;
    if head.status == 101 && current && options.upgrade && summary.upgrade {
        head.upgrade = connection::upgrade(buf, &head.headers);
    }
    if matches!(head.status, 100..=199 | 204) {
        // RFC 9110 8.6 and RFC 9112 6.1 forbid framing here. A server that announces a body may send one, so its
        // connection is not trusted with another request.
        if !matches!(declared, Framing::None | Framing::Length(0)) {
            head.keep_alive = false;
        }
        for entry in head.headers.iter_mut().filter(|entry| entry.kind == HeaderKind::ContentLength) {
            entry.drop = true;
        }
    }
    Ok(())
}

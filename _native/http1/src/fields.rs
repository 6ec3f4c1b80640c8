//! Field lines (RFC 9112 5): scanned by `httparse`, then held to the letter and sorted by meaning.

use httparse::{EMPTY_HEADER, Error, Header, Status};

use crate::kind::HeaderKind;
use crate::policy::Underscores;
use crate::reason::RejectReason;
use crate::span::Span;

/// The most field lines any limit can permit.
pub const MAX_HEADERS: usize = 256;

/// Most heads fit here; initialising more slots would cost more than parsing them.
const USUAL_HEADERS: usize = 32;

/// One field line of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderEntry {
    /// The name as received.
    pub name: Span,
    /// The value without surrounding white space.
    pub value: Span,
    /// What the name means.
    pub kind: HeaderKind,
    /// Must not be forwarded: hop-by-hop, nominated by `Connection`, or dropped by policy.
    pub drop: bool,
}

/// Where the fields that govern a message are; only the first of each, with counts where more than one is an error.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) host: Option<Span>,
    pub(crate) hosts: u32,
    pub(crate) content_length: Option<Span>,
    pub(crate) content_lengths: u32,
    pub(crate) transfer_encoding: Option<Span>,
    pub(crate) transfer_encodings: u32,
    pub(crate) connection: bool,
    pub(crate) upgrade: bool,
    pub(crate) te: bool,
    pub(crate) expect: Option<Span>,
}

impl Summary {
    #[inline]
    fn note(&mut self, kind: HeaderKind, value: Span) {
        match kind {
            HeaderKind::Host => {
                self.host.get_or_insert(value);
                self.hosts += 1;
            }
            HeaderKind::ContentLength => {
                self.content_length.get_or_insert(value);
                self.content_lengths += 1;
            }
            HeaderKind::TransferEncoding => {
                self.transfer_encoding.get_or_insert(value);
                self.transfer_encodings += 1;
            }
            HeaderKind::Connection => self.connection = true,
            HeaderKind::Upgrade => self.upgrade = true,
            HeaderKind::Te => self.te = true,
            HeaderKind::Expect => {
                self.expect.get_or_insert(value);
            }
            _ => {}
        }
    }
}

/// Parses the field lines of `buf` from `start` up to and including the empty line.
///
/// Returns where the body begins; `None` if more bytes are needed, in which case the bytes so far were checked.
pub(crate) fn parse_fields(
    buf: &[u8],
    start: usize,
    max_headers: usize,
    underscores: Underscores,
    out: &mut Vec<HeaderEntry>,
) -> Result<Option<(usize, Summary)>, RejectReason> {
    let region = buf.get(start..).unwrap_or_default();
    let max = max_headers.min(MAX_HEADERS);
    let mut usual = [EMPTY_HEADER; USUAL_HEADERS];
    let mut many;
    let parsed = match httparse::parse_headers(region, &mut usual[..max.min(USUAL_HEADERS)]) {
        Err(Error::TooManyHeaders) if max > USUAL_HEADERS => {
            many = [EMPTY_HEADER; MAX_HEADERS];
            httparse::parse_headers(region, &mut many[..max])
        }
        parsed => parsed,
    };
    match parsed {
        Ok(Status::Complete((len, headers))) => {
            check_line_ends(region, len, headers)?;
            let summary = collect(buf, headers, underscores, out)?;
            Ok(Some((start + len, summary)))
        }
        Ok(Status::Partial) if bare_lf(region) => Err(RejectReason::BareLf),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(reason_of(error, region)),
    }
}

fn reason_of(error: Error, region: &[u8]) -> RejectReason {
    match error {
        Error::TooManyHeaders => RejectReason::TooManyHeaders,
        _ if bare_lf(region) => RejectReason::BareLf,
        Error::HeaderValue | Error::NewLine => RejectReason::InvalidHeaderValue,
        _ => RejectReason::InvalidHeaderName,
    }
}

/// Position of a part of `buf`; the part must lie in it.
#[inline]
fn span_in(buf: &[u8], part: &[u8]) -> Span {
    let start = (part.as_ptr() as usize).wrapping_sub(buf.as_ptr() as usize);
    Span::new(start, start.wrapping_add(part.len()))
}

/// Refuses the bare LF that `httparse` takes as a line end: two bytes before each name and at the end tell.
fn check_line_ends(region: &[u8], len: usize, headers: &[Header<'_>]) -> Result<(), RejectReason> {
    let follows_crlf = |end: usize| end == 0 || region.get(..end).is_some_and(|before| before.ends_with(b"\r\n"));
    let names_ok = headers.iter().all(|header| follows_crlf(span_in(region, header.name.as_bytes()).start as usize));
    let end_ok = region.get(..len).is_some_and(|head| head == b"\r\n" || head.ends_with(b"\r\n\r\n"));
    if names_ok && end_ok { Ok(()) } else { Err(RejectReason::BareLf) }
}

/// Whether some LF does not follow a CR.
fn bare_lf(region: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', region).any(|index| index == 0 || region[index - 1] != b'\r')
}

fn collect(
    buf: &[u8],
    headers: &[Header<'_>],
    underscores: Underscores,
    out: &mut Vec<HeaderEntry>,
) -> Result<Summary, RejectReason> {
    let mut summary = Summary::default();
    out.reserve(headers.len());
    for header in headers {
        let name_bytes = header.name.as_bytes();
        let name = span_in(buf, name_bytes);
        let value = if header.value.is_empty() {
            // An empty slice may point anywhere.
            Span { start: name.end, end: name.end }
        } else {
            span_in(buf, header.value)
        };
        let kind = HeaderKind::of(name_bytes);
        let mut drop = kind.is_hop_by_hop();
        if underscores != Underscores::Allow && name_bytes.contains(&b'_') {
            if underscores == Underscores::Reject {
                return Err(RejectReason::UnderscoreInName);
            }
            drop = true;
        }
        summary.note(kind, value);
        out.push(HeaderEntry { name, value, kind, drop });
    }
    Ok(summary)
}

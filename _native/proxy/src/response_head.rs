//! The answer's head as the client gets it.

use sluice_http1::{HeaderEntry, HeaderKind, ResponseHead};
use sluice_policy::HeaderEdits;
use sluice_policy::facts::RequestFacts;
use sluice_snapshot::HeaderCase;

use crate::shared::Shared;
use crate::transform::HeadChange;

/// How the body goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// No framing header: none allowed (1xx, 204) or the upstream's own is kept (304).
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The close of the connection ends it (clients that do not know chunks).
    UntilClose,
}

/// What is said about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionForm {
    /// HTTP/1.1 default: stays open, nothing is said.
    Open,
    /// HTTP/1.0 client that asked to keep it.
    KeepAlive,
    /// It will be closed.
    Close,
    /// It becomes a tunnel.
    Upgrade,
}

/// Standard phrase of a status (RFC 9110 section 15). Empty for others: the phrase carries no meaning.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// Appends the status line.
pub(crate) fn status_line(out: &mut Vec<u8>, status: u16, phrase: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(phrase);
    out.extend_from_slice(b"\r\n");
}

/// Appends one header line.
pub(crate) fn header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A field of CORS, by its name, or a line or lines that begin with one: a grant.
pub(crate) fn is_cors(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"access-control-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Says that HTTP/3 is served on a port of the same host (RFC 7838 section 3, RFC 9114 section 3.1.1).
pub(crate) fn alternative(out: &mut Vec<u8>, port: u16) {
    out.extend_from_slice(b"alt-svc: h3=\":");
    out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    out.extend_from_slice(b"\"; ma=86400\r\n");
}

/// Appends framing and connection headers and the empty line.
pub(crate) fn finish(out: &mut Vec<u8>, body: BodyForm, connection: ConnectionForm) {
    match body {
        BodyForm::None | BodyForm::UntilClose => {}
        BodyForm::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        BodyForm::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    match connection {
        ConnectionForm::Open => {}
        ConnectionForm::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
        ConnectionForm::Close => out.extend_from_slice(b"connection: close\r\n"),
        ConnectionForm::Upgrade => out.extend_from_slice(b"connection: Upgrade\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Fields that are about one representation (RFC 9110 section 8, RFC 9530) and wrong for another.
pub(crate) fn describes_body(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 14] = [
        b"accept-ranges",
        b"content-digest",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-location",
        b"content-md5",
        b"content-range",
        b"content-type",
        b"digest",
        b"etag",
        b"last-modified",
        b"repr-digest",
        b"trailer",
    ];
    NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// An upstream's head on its way to the client.
pub(crate) struct DownstreamHead<'r> {
    pub(crate) head: &'r ResponseHead,
    pub(crate) bytes: &'r [u8],
    pub(crate) head_len: usize,
    pub(crate) edits: &'r HeaderEdits,
    pub(crate) edit_facts: &'r RequestFacts<'r>,
    /// Cross-origin headers are the gateway's: the upstream's own are replaced.
    pub(crate) cors: Option<&'r [u8]>,
    pub(crate) server_name: &'r [u8],
    pub(crate) case: &'r HeaderCase,
    /// Milliseconds the upstream took; `None` leaves the header out.
    pub(crate) service_time_ms: Option<u64>,
    /// Port where HTTP/3 is served, to be told unless the answer or an edit names alternatives of its own.
    pub(crate) alternative: Option<u16>,
    /// A 101 or 304 keeps headers that otherwise belong to the framing.
    pub(crate) keep_length: bool,
    pub(crate) body: BodyForm,
    pub(crate) connection: ConnectionForm,
    /// What a changed body changes about its head.
    pub(crate) change: Option<&'r HeadChange>,
}

impl DownstreamHead<'_> {
    /// Appends the head to `out`.
    pub(crate) fn write(&self, shared: &Shared, out: &mut Vec<u8>) {
        let start = out.len();
        match self.change.and_then(|change| change.status) {
            Some(status) => status_line(out, status, reason(status).as_bytes()),
            None => status_line(out, self.head.status, self.head.reason.of(self.bytes)),
        }
        let dated = self.upstream_headers(out);
        if !dated {
            out.extend_from_slice(b"date: ");
            shared.append_date(out);
            out.extend_from_slice(b"\r\n");
        }
        header(out, b"server", self.server_name);
        if let Some(time) = self.service_time_ms {
            out.extend_from_slice(b"x-envoy-upstream-service-time: ");
            out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if let Some(port) = self.alternative.filter(|_| !self.names_alternatives()) {
            alternative(out, port);
        }
        if let Some(cors) = self.cors {
            out.extend_from_slice(cors);
        }
        if let Some(change) = self.change {
            out.extend_from_slice(&change.lines);
        }
        self.edits.append_added(out, self.edit_facts);
        finish(out, self.body, self.connection);
        self.case.apply(&mut out[start..]);
    }

    fn names_alternatives(&self) -> bool {
        const NAME: &[u8] = b"alt-svc";
        let own = |entry: &HeaderEntry| entry.name.of(self.bytes).eq_ignore_ascii_case(NAME);
        (!self.edits.removes(NAME) && self.head.headers.iter().any(own))
            || self.edits.additions().any(|added| added.name().eq_ignore_ascii_case(NAME))
    }

    /// Copies the upstream's lines that pass, neighbours in one piece. Tells whether there was a `Date`.
    fn upstream_headers(&self, out: &mut Vec<u8>) -> bool {
        let edited = !self.edits.is_empty();
        // A grant replaces what the upstream says; a lone `Vary` leaves it alone.
        let granted = self.cors.is_some_and(is_cors);
        let mut dated = false;
        let mut run: Option<usize> = None;
        for entry in &self.head.headers {
            let start = entry.name.start as usize;
            let passes = match entry.kind {
                HeaderKind::ContentLength => self.keep_length,
                HeaderKind::Upgrade => self.connection == ConnectionForm::Upgrade,
                HeaderKind::Connection
                | HeaderKind::KeepAlive
                | HeaderKind::TransferEncoding
                | HeaderKind::ProxyConnection
                | HeaderKind::Te
                | HeaderKind::Server => false,
                HeaderKind::Date => {
                    dated = true;
                    true
                }
                HeaderKind::Trailer => self.body == BodyForm::Chunked,
                _ => !entry.drop,
            };
            let name = entry.name.of(self.bytes);
            let passes = passes
                && !(edited && self.edits.removes(name))
                && self.change.is_none_or(|change| !change.drops(name))
                && !(granted && is_cors(name));
            match (passes, run) {
                (true, None) => run = Some(start),
                (false, Some(from)) => {
                    out.extend_from_slice(self.bytes.get(from..start).unwrap_or_default());
                    run = None;
                }
                _ => {}
            }
        }
        if let Some(from) = run {
            out.extend_from_slice(self.bytes.get(from..self.head_len.saturating_sub(2)).unwrap_or_default());
        }
        dated
    }
}

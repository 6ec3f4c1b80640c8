//! The head of a request.

use crate::fields::HeaderEntry;
use crate::framing::Framing;
use crate::kind::HeaderKind;
use crate::method::{Method, Version};
use crate::span::Span;
use crate::text::Text;

/// A parsed and normalised request head; reuse one per connection and nothing is allocated on the plain path.
///
/// Spans refer to the buffer given to [`crate::parse_request`], which every method takes again.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Its bytes, also for [`Method::Other`].
    pub method_span: Span,
    /// The protocol version of the client.
    pub version: Version,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the client lets the connection live on.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` (RFC 9110 10.1.1); never set for HTTP/1.0.
    pub expect_continue: bool,
    /// The first protocol of `Upgrade`, if `Connection` lists it and the version is 1.1; never `h2c`.
    pub upgrade: Option<Span>,
    /// The field lines in order.
    pub headers: Vec<HeaderEntry>,
    /// The target as received.
    pub target: Span,
    /// The query as received, without `?`.
    pub query: Option<Span>,
    /// The `Host` value or the authority of an absolute target, as to forward; `None` only in HTTP/1.0.
    pub authority: Option<Span>,
    /// The explicit port of the authority.
    pub port: Option<u16>,
    pub(crate) path: Text,
    pub(crate) host: Text,
    pub(crate) te_trailers: bool,
}

impl RequestHead {
    /// An empty head.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything but the capacity.
    pub fn clear(&mut self) {
        let mut headers = std::mem::take(&mut self.headers);
        let mut path = std::mem::take(&mut self.path);
        let mut host = std::mem::take(&mut self.host);
        headers.clear();
        path.clear();
        host.clear();
        *self = Self { headers, path, host, ..Self::default() };
    }

    /// The bytes of the method.
    pub fn method_bytes<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        self.method_span.of(buf)
    }

    /// The normal path: what to match, log and forward. `*` for a server-wide `OPTIONS`.
    #[inline]
    pub fn path<'a>(&'a self, buf: &'a [u8]) -> &'a [u8] {
        self.path.of(buf)
    }

    /// The query without `?`.
    pub fn query<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.query.map(|query| query.of(buf))
    }

    /// The normal host: lower case, no port, no trailing dot; IPv6 literals keep brackets. Empty if there is none.
    #[inline]
    pub fn host<'a>(&'a self, buf: &'a [u8]) -> &'a [u8] {
        self.host.of(buf)
    }

    /// The first value of a field, ignoring case.
    ///
    /// Fields that `Connection` nominated or the policy dropped are invisible, since the upstream will not see them.
    pub fn header<'a>(&self, buf: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        find(&self.headers, buf, name)
    }

    /// The first value of a kind of field.
    pub fn header_of_kind<'a>(&self, buf: &'a [u8], kind: HeaderKind) -> Option<&'a [u8]> {
        self.headers.iter().find(|entry| entry.kind == kind).map(|entry| entry.value.of(buf))
    }

    /// Whether the client accepts trailers (RFC 9110 10.1.4).
    pub fn te_trailers(&self) -> bool {
        self.te_trailers
    }
}

/// The first visible value of a field name.
pub(crate) fn find<'a>(headers: &[HeaderEntry], buf: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    headers
        .iter()
        .find(|entry| {
            entry.name.len() == name.len()
                && (!entry.drop || entry.kind.is_hop_by_hop())
                && entry.name.of(buf).eq_ignore_ascii_case(name)
        })
        .map(|entry| entry.value.of(buf))
}

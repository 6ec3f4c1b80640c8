//! Answers that the gateway gives by itself.

use std::borrow::Cow;

use sluice_policy::grpc_status;
use sluice_snapshot::Compiled;

use crate::response_head::{BodyForm, ConnectionForm, finish, header, is_cors, reason, status_line};
use crate::shared::Shared;

/// An answer in the making.
pub(crate) struct Reply<'r> {
    status: u16,
    content_type: &'r [u8],
    body: Cow<'r, [u8]>,
    extra: Vec<u8>,
    connection: ConnectionForm,
    head_only: bool,
    /// Its head ends a stream of HTTP/2: there is no length to tell.
    trailers_only: bool,
}

impl<'r> Reply<'r> {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            content_type: b"",
            body: Cow::Borrowed(b""),
            extra: Vec::new(),
            connection: ConnectionForm::Open,
            head_only: false,
            trailers_only: false,
        }
    }

    pub(crate) fn body(mut self, content_type: &'r [u8], body: &'r [u8]) -> Self {
        self.content_type = content_type;
        self.body = Cow::Borrowed(body);
        self
    }

    /// Says the same in other words.
    pub(crate) fn replace_body(mut self, content_type: &'r [u8], body: Vec<u8>) -> Self {
        self.remove(b"content-type");
        self.content_type = content_type;
        self.body = Cow::Owned(body);
        self
    }

    /// The text that it carries.
    pub(crate) fn text(&self) -> &[u8] {
        &self.body
    }

    /// Says the same to a gRPC client: 200, with the status and the message in its own terms and no body (gRPC,
    /// "PROTOCOL-HTTP2", Trailers-Only). `framed`: the client speaks HTTP/2. A `grpc-status` that is there stays.
    pub(crate) fn into_grpc(mut self, content_type: &'r [u8], framed: bool) -> Self {
        if !self.has(b"grpc-status") {
            let status = itoa::Buffer::new().format(grpc_status::status(self.status)).to_owned();
            header(&mut self.extra, b"grpc-status", status.as_bytes());
            if !self.body.is_empty() && !self.has(b"grpc-message") {
                let mut message = Vec::with_capacity(self.body.len());
                grpc_status::message(&mut message, &self.body);
                header(&mut self.extra, b"grpc-message", &message);
            }
        }
        self.remove(b"content-type");
        header(&mut self.extra, b"content-type", content_type);
        self.status = 200;
        self.body = Cow::Borrowed(b"");
        self.trailers_only = framed;
        self
    }

    fn has(&self, name: &[u8]) -> bool {
        self.lines_named(name).next().is_some()
    }

    /// Where the added lines of a name are.
    fn lines_named(&self, name: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut at = 0;
        self.extra.split_inclusive(|&byte| byte == b'\n').filter_map(move |line| {
            let start = at;
            at += line.len();
            let named =
                line.len() > name.len() && line[name.len()] == b':' && line[..name.len()].eq_ignore_ascii_case(name);
            named.then_some(start..at)
        })
    }

    /// Removes added headers of a name.
    fn remove(&mut self, name: &[u8]) {
        let found: Vec<_> = self.lines_named(name).collect();
        for range in found.into_iter().rev() {
            self.extra.drain(range);
        }
    }

    /// Adds a header. The value must be a field value.
    pub(crate) fn header(mut self, name: &[u8], value: &[u8]) -> Self {
        header(&mut self.extra, name, value);
        self
    }

    /// Adds complete header lines.
    pub(crate) fn lines(mut self, lines: &[u8]) -> Self {
        self.extra.extend_from_slice(lines);
        self
    }

    /// Adds what a CORS policy says. A grant replaces what is there, as in the answers of upstreams: browsers refuse
    /// an answer that grants twice.
    pub(crate) fn cors(mut self, lines: &[u8]) -> Self {
        if is_cors(lines) {
            let kept = self.extra.split_inclusive(|&byte| byte == b'\n').filter(|line| !is_cors(line));
            self.extra = kept.collect::<Vec<_>>().concat();
        }
        self.lines(lines)
    }

    pub(crate) fn connection(mut self, connection: ConnectionForm) -> Self {
        self.connection = connection;
        self
    }

    pub(crate) fn close(self) -> Self {
        self.connection(ConnectionForm::Close)
    }

    /// The answer to HEAD: the length is told, the body is not sent.
    pub(crate) fn head_only(mut self, head_only: bool) -> Self {
        self.head_only = head_only;
        self
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Body bytes that [`Reply::write`] appends.
    pub(crate) fn sent_body(&self) -> usize {
        if self.head_only || self.is_bodiless() { 0 } else { self.body.len() }
    }

    /// The status forbids a body, whatever was asked for (RFC 9110 sections 15.3.5 and 15.4.5).
    fn is_bodiless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    /// Appends head and body to `out`.
    pub(crate) fn write(&self, shared: &Shared, compiled: &Compiled, out: &mut Vec<u8>) {
        let start = out.len();
        status_line(out, self.status, reason(self.status).as_bytes());
        out.extend_from_slice(b"date: ");
        shared.append_date(out);
        out.extend_from_slice(b"\r\n");
        header(out, b"server", &compiled.options.server_name);
        let bare = self.is_bodiless() || self.trailers_only;
        if !bare && !self.body.is_empty() && !self.content_type.is_empty() {
            header(out, b"content-type", self.content_type);
        }
        out.extend_from_slice(&self.extra);
        let body = if bare { BodyForm::None } else { BodyForm::Length(self.body.len() as u64) };
        finish(out, body, self.connection);
        compiled.options.header_case.apply(&mut out[start..]);
        out.extend_from_slice(self.body.get(..self.sent_body()).unwrap_or_default());
    }
}

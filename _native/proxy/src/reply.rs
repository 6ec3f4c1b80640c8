//! Answers that the gateway gives by itself.

use sluice_snapshot::Compiled;

use crate::response_head::{BodyForm, ConnectionForm, finish, header, reason, status_line};
use crate::shared::Shared;

/// An answer in the making.
pub(crate) struct Reply<'r> {
    status: u16,
    content_type: &'r [u8],
    body: &'r [u8],
    extra: Vec<u8>,
    connection: ConnectionForm,
    head_only: bool,
}

impl<'r> Reply<'r> {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            content_type: b"",
            body: b"",
            extra: Vec::new(),
            connection: ConnectionForm::Open,
            head_only: false,
        }
    }

    pub(crate) fn body(mut self, content_type: &'r [u8], body: &'r [u8]) -> Self {
        self.content_type = content_type;
        self.body = body;
        self
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
        if self.head_only { 0 } else { self.body.len() }
    }

    /// Appends head and body to `out`.
    pub(crate) fn write(&self, shared: &Shared, compiled: &Compiled, out: &mut Vec<u8>) {
        status_line(out, self.status, reason(self.status).as_bytes());
        out.extend_from_slice(b"date: ");
        shared.append_date(out);
        out.extend_from_slice(b"\r\n");
        header(out, b"server", &compiled.options.server_name);
        if !self.body.is_empty() && !self.content_type.is_empty() {
            header(out, b"content-type", self.content_type);
        }
        out.extend_from_slice(&self.extra);
        let body = if self.status == 204 { BodyForm::None } else { BodyForm::Length(self.body.len() as u64) };
        finish(out, body, self.connection);
        if !self.head_only {
            out.extend_from_slice(self.body);
        }
    }
}

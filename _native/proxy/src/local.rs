//! Answers of the gateway itself, and what becomes of a body that nobody wanted.

use sluice_http1::{Framing, Method, Version};
use sluice_policy::grpc_status;

use crate::client::Client;
use crate::deadline::Meter;
use crate::downstream::{After, DRAIN_LIMIT, Downstream};
use crate::relay::Source;
use crate::reply::Reply;
use crate::request::Request;
use crate::response_head::{ConnectionForm, alternative};
use crate::stream::Stream;

impl Request<'_> {
    /// How the client's connection goes on after a complete answer.
    pub(crate) fn connection_form(&self, close: bool) -> ConnectionForm {
        let Client::Http1(_) = self.connection.client else { return ConnectionForm::Open };
        if close || self.connection.shared.closes_connections() || !self.head.keep_alive {
            ConnectionForm::Close
        } else if self.head.version == Version::Http10 {
            ConnectionForm::KeepAlive
        } else {
            ConnectionForm::Open
        }
    }

    /// The body of the request as a source, from the first byte behind the head.
    pub(crate) fn source(&self) -> Source {
        match self.head.framing {
            Framing::None => Source::Empty,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Box::default()),
        }
    }

    /// Sends an answer of the gateway and settles what to do with the request's body.
    pub(crate) async fn reply(&self, reply: Reply<'_>, flag: &'static str) -> After {
        self.reply_and(reply, flag, false).await
    }

    /// The reply as the client understands it: to a gRPC client a redirect or an error is a status of its own, others
    /// get the body that the configuration has for the status.
    fn understood<'r>(&'r self, reply: Reply<'r>) -> Reply<'r> {
        if reply.status() < 300 {
            return reply;
        }
        let asked = self.head.header(self.bytes, b"content-type");
        if let Some(content_type) = asked.and_then(grpc_status::answer_type) {
            return reply.into_grpc(content_type, !matches!(self.connection.client, Client::Http1(_)));
        }
        let Some(replacement) = self.error_override(reply.status()) else { return reply };
        let body = self.error_body(replacement, reply.text(), &());
        reply.replace_body(&replacement.content_type, body)
    }

    /// As [`Request::reply`]; with `close` the connection ends with it.
    pub(crate) async fn reply_and(&self, reply: Reply<'_>, flag: &'static str, close: bool) -> After {
        let connection = self.connection;
        let shared = &connection.shared;
        let present = self.bytes.len() - self.head_len;
        let drainable = match self.head.framing {
            Framing::None => true,
            // The client waits for leave to send; it will not be given.
            _ if self.head.expect_continue => false,
            Framing::Length(length) => length <= DRAIN_LIMIT.max(present as u64),
            Framing::Chunked => true,
        };
        let form = self.connection_form(close || !drainable);
        self.record.status.set(reply.status());
        self.record.flags.set(flag);
        let mut alternatives = Vec::new();
        if let Some(port) = self.alternative() {
            alternative(&mut alternatives, port);
        }
        let reply = self.understood(reply).cors(self.cors_lines()).lines(&alternatives);
        let reply = reply.connection(form).head_only(self.head.method == Method::Head);
        // That of the head that is sent: for gRPC it is always 200.
        self.record.status.set(reply.status());
        let mut out = shared.scratch.out();
        reply.write(shared, self.compiled, &mut out);
        connection.deadlines.start_request(self.compiled.options.body_idle_timeout_ns, true);
        let sending = connection.client.send_whole(&out, out.len() - reply.sent_body());
        let written = connection.deadlines.limit(&connection.client, sending).await;
        self.record.sent.set(reply.sent_body() as u64);
        shared.scratch.put_out(out);
        if written.is_err() {
            return After::Abort;
        }
        if form == ConnectionForm::Close {
            return After::Close;
        }
        let Client::Http1(stream) = &connection.client else {
            // The end of the stream takes a body with it that nobody wanted.
            return After::Close;
        };
        if self.head.framing == Framing::None {
            return After::Keep { used: self.head_len, surplus: Vec::new() };
        }
        Box::pin(self.drain(stream)).await
    }

    /// Reads and drops the body, so that the next request can be found behind it (row A11).
    async fn drain(&self, stream: &Stream) -> After {
        let connection = self.connection;
        let mut source = self.source();
        let mut first = self.bytes[self.head_len..].to_vec();
        let Ok(piece) = source.decode(&mut first) else { return After::Close };
        if piece.finished {
            return After::Keep { used: self.head_len + piece.used, surplus: Vec::new() };
        }
        let meter = Meter::new(&connection.deadlines);
        let work = async { Ok(drain(connection, stream, &mut source, &meter).await) };
        match connection.deadlines.limit(&connection.client, work).await {
            Ok(Some(surplus)) => After::Keep { used: self.bytes.len(), surplus },
            _ => After::Close,
        }
    }
}

/// Reads a body to its end, at most [`DRAIN_LIMIT`] bytes of it. `None` if it did not end in time or in order.
async fn drain(connection: &Downstream, stream: &Stream, source: &mut Source, meter: &Meter<'_>) -> Option<Vec<u8>> {
    let mut buffer = connection.shared.buffers.small();
    let mut left = DRAIN_LIMIT;
    let surplus = loop {
        let limit = match source {
            Source::Length(rest) => usize::try_from(*rest).unwrap_or(usize::MAX).min(buffer.len()),
            _ => buffer.len(),
        };
        let read = std::future::poll_fn(|context| stream.poll_read(context, &mut buffer[..limit])).await;
        let count = match read {
            Ok(count) if count > 0 && count as u64 <= left => count,
            _ => break None,
        };
        left -= count as u64;
        crate::relay::Progress::moved(meter, count);
        match source.decode(&mut buffer[..count]) {
            Ok(piece) if piece.finished => break Some(buffer[piece.used..count].to_vec()),
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    connection.shared.buffers.put(buffer);
    surplus
}

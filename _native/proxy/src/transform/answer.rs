//! What becomes of an answer's body, and how an answer whose body changes is delivered.

use sluice_http1::{ResponseFraming, ResponseHead};
use sluice_snapshot::Compression;

use super::compress::{self, Encoder};
use super::grpc_web::{self, WebAnswer};
use super::{Bridge, HeadChange, Transform, grpc, transform};
use crate::answer::Answer;
use crate::body::{Incoming, Trailers};
use crate::deadline::Meter;
use crate::deliver::{Heading, failure};
use crate::error::ProxyError;
use crate::relay::Progress;

/// Bytes of an answer that is kept as a whole, where the configuration does not say; Envoy's default.
const KEPT_LIMIT: u64 = 1024 * 1024;
/// Bytes of an answer that become the message of a gRPC status.
const MESSAGE_LIMIT: usize = 16 * 1024;

/// What becomes of an answer.
pub(crate) enum Recoding {
    /// Its body stays.
    Head(HeadChange),
    /// Its body changes while it moves.
    Stream(HeadChange, Box<dyn Transform>),
    /// gRPC for a client of HTTP/1: its trailers come into the head.
    Http1,
    /// No gRPC for a client of gRPC-Web: its body becomes a field.
    Foreign {
        /// The client wants base64.
        text: bool,
    },
}

fn compression(options: &Compression, answer: &Answer<'_, '_>, head: &ResponseHead, bytes: &[u8]) -> Option<Recoding> {
    let request = answer.request;
    let decision = compress::decide(options, (request.head, request.bytes), (head, bytes))?;
    let encoder = decision.coding.and_then(|coding| Encoder::new(coding, options));
    Some(match encoder {
        Some(encoder) => Recoding::Stream(decision.change, Box::new(encoder)),
        None => Recoding::Head(decision.change),
    })
}

fn web(head: &ResponseHead, bytes: &[u8], text: bool) -> Recoding {
    let kind = head.header(bytes, b"content-type").unwrap_or_default();
    let is_grpc = grpc::is_grpc(kind) || grpc::suffix(kind, "application/grpc-web").is_some();
    if head.status != 200 || !is_grpc {
        return Recoding::Foreign { text };
    }
    let change = grpc_web::head_change(kind, text);
    match head.framing {
        // Its status is in the head.
        ResponseFraming::None | ResponseFraming::Length(0) => Recoding::Head(change),
        _ => Recoding::Stream(change, Box::new(WebAnswer::new(text))),
    }
}

impl Answer<'_, '_> {
    /// What becomes of the answer; `None` if it stays as it is.
    pub(crate) fn recoding(&self, head: &ResponseHead, bytes: &[u8]) -> Option<Recoding> {
        match (self.plan.bridge, &self.request.compiled.options.compression) {
            (Bridge::None, None) => None,
            (Bridge::None, Some(options)) => compression(options, self, head, bytes),
            (Bridge::Web { answer_text, .. }, _) => Some(web(head, bytes, answer_text)),
            (Bridge::Http1, _) if head.framing == ResponseFraming::None => None,
            (Bridge::Http1, _) => Some(Recoding::Http1),
        }
    }

    /// Delivers an answer whose body changes. Returns whether an HTTP/1 upstream sent more than was read of it.
    pub(crate) async fn deliver_recoded(
        &mut self,
        heading: Heading<'_>,
        from: Incoming<'_>,
        recoding: Box<Recoding>,
    ) -> Result<bool, ProxyError> {
        match *recoding {
            // A body that stays takes the shorter ways of `deliver`.
            Recoding::Head(_) => Ok(true),
            Recoding::Stream(change, mut by) => {
                let heading = Heading { framing: ResponseFraming::Chunked, change: Some(&change), ..heading };
                self.deliver_stream(heading, from, &mut *by).await
            }
            Recoding::Http1 => {
                let limit = self.request.compiled.options.buffer_limit_bytes.unwrap_or(KEPT_LIMIT);
                let (body, trailers, surplus) = self.keep(from, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
                let change = http1_change(&trailers);
                self.deliver_kept(heading, &change, &body).await?;
                Ok(surplus)
            }
            Recoding::Foreign { text } => {
                let (body, surplus) = self.excerpt(from).await?;
                let change = grpc_web::foreign_change(heading.head.status, &body, text);
                self.deliver_kept(heading, &change, b"").await?;
                Ok(surplus)
            }
        }
    }

    async fn deliver_stream(
        &mut self,
        heading: Heading<'_>,
        from: Incoming<'_>,
        by: &mut dyn Transform,
    ) -> Result<bool, ProxyError> {
        let connection = self.request.connection;
        let shared = &connection.shared;
        let mut out = shared.scratch.out();
        let sink = self.head(&heading, &mut out);
        self.started = true;
        let begun = connection.client.begin(&out, false).await;
        shared.scratch.put_out(out);
        begun?;
        let edits = &self.plan.choice.response_headers;
        let passes = |name: &[u8]| !edits.removes(name);
        let meter = Meter::new(&connection.deadlines);
        let moved = transform(from, connection.client.outgoing(sink), by, &passes, &meter).await;
        self.sent += meter.bytes();
        moved.map(|tail| !tail.is_empty()).map_err(failure)
    }

    /// Sends head and body of an answer that is complete.
    async fn deliver_kept(&mut self, heading: Heading<'_>, change: &HeadChange, body: &[u8]) -> Result<(), ProxyError> {
        let connection = self.request.connection;
        let shared = &connection.shared;
        let framing = ResponseFraming::Length(body.len() as u64);
        let mut out = shared.scratch.out();
        self.head(&Heading { framing, change: Some(change), ..heading }, &mut out);
        let head = out.len();
        out.extend_from_slice(body);
        self.started = true;
        let sent = connection.client.send_whole(&out, head).await;
        shared.scratch.put_out(out);
        self.sent += body.len() as u64;
        sent
    }

    /// Reads a whole answer.
    async fn keep(&self, mut from: Incoming<'_>, limit: usize) -> Result<(Vec<u8>, Trailers, bool), ProxyError> {
        let meter = Meter::new(&self.request.connection.deadlines);
        let mut body = Vec::new();
        loop {
            let Some((data, last)) = from.data().await.map_err(failure)? else { break };
            if data.len() > limit.saturating_sub(body.len()) {
                return Err(ProxyError::AnswerTooLarge);
            }
            body.extend_from_slice(&data);
            meter.moved(0);
            if last {
                return Ok((body, Trailers::new(), !from.tail().is_empty()));
            }
        }
        let edits = &self.plan.choice.response_headers;
        let trailers = from.trailers(&|name| !edits.removes(name)).await.map_err(failure)?;
        Ok((body, trailers, !from.tail().is_empty()))
    }

    /// Reads the beginning of an answer, and tells whether there is more.
    async fn excerpt(&self, mut from: Incoming<'_>) -> Result<(Vec<u8>, bool), ProxyError> {
        let meter = Meter::new(&self.request.connection.deadlines);
        let mut body = Vec::new();
        while let Some((data, last)) = from.data().await.map_err(failure)? {
            let room = MESSAGE_LIMIT - body.len();
            body.extend_from_slice(data.get(..room).unwrap_or(&data));
            meter.moved(0);
            if last {
                break;
            }
            if body.len() == MESSAGE_LIMIT {
                return Ok((body, true));
            }
        }
        Ok((body, !from.tail().is_empty()))
    }
}

/// Envoy answers 503 where the status in the trailers is not 0, so that a client without gRPC sees the failure.
fn http1_change(trailers: &Trailers) -> HeadChange {
    let mut change = HeadChange::default();
    for name in ["grpc-status", "grpc-message"] {
        let found = trailers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        if let Some((_, value)) = found {
            if name == "grpc-status" && (value.is_empty() || value.iter().any(|&digit| digit != b'0')) {
                change.status = Some(503);
            }
            change.set(name, value);
        }
    }
    change
}

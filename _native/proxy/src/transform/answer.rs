//! What becomes of an answer's body, and how an answer whose body changes is delivered.

use std::rc::Rc;

use sluice_http1::{Method, ResponseFraming, ResponseHead};
use sluice_policy::grpc_status::MAX_MESSAGE;
use sluice_policy::stats::Pressure;
use sluice_snapshot::Compression;

use super::compress::{self, Decision, Encoder};
use super::grpc_web::{self, WebAnswer};
use super::{Bridge, HeadChange, Transform, grpc, transform};
use crate::answer::Answer;
use crate::body::{Incoming, Trailers};
use crate::deadline::Meter;
use crate::deliver::{Heading, failure};
use crate::error::ProxyError;
use crate::relay::Progress;
use crate::shared::Shared;

/// Bytes of an answer that is kept as a whole, where the configuration does not say; Envoy's default.
const KEPT_LIMIT: u64 = 1024 * 1024;

/// Compressors of a worker at once; each holds a megabyte, and a client that does not read holds it. Answers above that go
/// as they are.
const ENCODERS: usize = 256;

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
    let Decision { mut change, coding } = compress::decide(options, (request.head, request.bytes), (head, bytes))?;
    let counted = coding.and_then(|coding| {
        let place = Place::take(&request.connection.shared)?;
        let encoder = Encoder::new(coding, options)?;
        compress::mark(&mut change, coding, head, bytes);
        Some(Counted { encoder, _place: place })
    });
    Some(match counted {
        Some(counted) => Recoding::Stream(change, Box::new(counted)),
        None => Recoding::Head(change),
    })
}

/// One of the compressors that a worker may have.
struct Place(Rc<Shared>);

impl Place {
    fn take(shared: &Rc<Shared>) -> Option<Self> {
        if shared.encoders.get() >= ENCODERS || shared.pressure() > Pressure::None {
            return None;
        }
        shared.encoders.set(shared.encoders.get() + 1);
        Some(Self(Rc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.encoders.set(self.0.encoders.get().saturating_sub(1));
    }
}

/// A compressor in its place.
struct Counted {
    encoder: Encoder,
    _place: Place,
}

impl Transform for Counted {
    fn piece(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        self.encoder.piece(data, out)
    }

    fn end(&mut self, trailers: &mut Trailers, out: &mut Vec<u8>) -> Result<(), &'static str> {
        self.encoder.end(trailers, out)
    }
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
            // A rate is for the bytes that the client gets, and no way around it shall be the client's to choose.
            (Bridge::None, Some(_)) if self.request.bandwidth().is_some() => None,
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
                let (mut body, surplus) = self.excerpt(from).await?;
                if heading.head.header(heading.bytes, b"content-encoding").is_some() {
                    body.clear();
                }
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
        let begun = self.begin(&out, false).await;
        shared.scratch.put_out(out);
        begun?;
        let edits = &self.plan.choice.response_headers;
        let passes = |name: &[u8]| !edits.removes(name);
        let meter = Meter::new(&connection.deadlines);
        let moved = transform(from, connection.client.outgoing(sink), by, &passes, &meter).await;
        self.sent += meter.bytes();
        moved.map(|tail| !tail.is_empty()).map_err(failure)
    }

    /// Sends head and body of an answer that is complete; to HEAD the body is only described.
    pub(crate) async fn deliver_kept(
        &mut self,
        heading: Heading<'_>,
        change: &HeadChange,
        body: &[u8],
    ) -> Result<(), ProxyError> {
        let connection = self.request.connection;
        let shared = &connection.shared;
        let framing = ResponseFraming::Length(body.len() as u64);
        let mut out = shared.scratch.out();
        self.head(&Heading { framing, change: Some(change), ..heading }, &mut out);
        let head = out.len();
        if self.request.head.method != Method::Head {
            out.extend_from_slice(body);
            self.sent += body.len() as u64;
        }
        self.started = true;
        let sent = connection.client.send_whole(&out, head).await;
        shared.scratch.put_out(out);
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
            let room = MAX_MESSAGE - body.len();
            body.extend_from_slice(data.get(..room).unwrap_or(&data));
            meter.moved(0);
            if last {
                break;
            }
            if body.len() == MAX_MESSAGE {
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

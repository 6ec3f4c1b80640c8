//! Error answers with a body that the configuration has for them (Emissary: `error_response_overrides`).
//!
//! The upstream's own body is dropped: what is there of it without waiting, and if that was all, its connection lives on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use h2::RecvStream;
use sluice_http1::{Method, ResponseFraming, ResponseHead};
use sluice_policy::escape::Style;
use sluice_policy::format::Piece;
use sluice_policy::grpc_status;
use sluice_policy::{Headers, LogRecord};
use sluice_snapshot::{ErrorBody, ErrorOverride, ORIGINAL_BODY};

use crate::answer::Answer;
use crate::body::{Http1Body, Incoming};
use crate::buffers::Inbox;
use crate::downstream::DRAIN_LIMIT;
use crate::error::ProxyError;
use crate::http2::body::Http2Body;
use crate::relay::Source;
use crate::request::{Request, joined};
use crate::response_head::{BodyForm, ConnectionForm, DownstreamHead};
use crate::stream::Stream;

/// Fields of an answer for templates.
struct AnswerView<'a> {
    head: &'a ResponseHead,
    bytes: &'a [u8],
}

impl Headers for AnswerView<'_> {
    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let mut named = self.head.headers.iter().filter(|entry| entry.name.of(self.bytes).eq_ignore_ascii_case(name));
        named.next().map(|entry| entry.value.of(self.bytes))
    }
}

/// How values are written into a body of this type: a client must not be able to write markup or JSON through them.
fn style(content_type: &[u8]) -> Style {
    let is = |part: &[u8]| content_type.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    if is(b"json") {
        Style::Json
    } else if is(b"html") || is(b"xml") {
        Style::Html
    } else {
        Style::Raw
    }
}

fn append(piece: &Piece, log: &LogRecord<'_>, original: &[u8], style: Style, out: &mut Vec<u8>) {
    match piece {
        Piece::Unknown(written) if **written == *ORIGINAL_BODY => style.value(out, original),
        piece => log.piece(piece, out, style),
    }
}

fn render(replacement: &ErrorOverride, log: &LogRecord<'_>, original: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    match &replacement.body {
        ErrorBody::Text(pieces) => {
            let style = style(&replacement.content_type);
            for piece in pieces {
                match piece {
                    Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                    piece => append(piece, log, original, style, &mut out),
                }
            }
        }
        ErrorBody::Json(members) => {
            for (at, (name, pieces)) in members.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"{\"" } else { b",\"" });
                Style::Json.literal(&mut out, name);
                out.extend_from_slice(b"\":");
                if matches!(&pieces[..], [Piece::Operator(..)]) {
                    log.member(pieces, &mut out);
                    continue;
                }
                out.push(b'"');
                for piece in pieces {
                    append(piece, log, original, Style::Json, &mut out);
                }
                out.push(b'"');
            }
            out.extend_from_slice(if members.is_empty() { b"{}" } else { b"}" });
        }
    }
    out
}

impl Request<'_> {
    /// What replaces the body of an answer with this status, if anything does. A client of gRPC has no use for a body.
    pub(crate) fn error_override(&self, status: u16) -> Option<&ErrorOverride> {
        if status < 400 {
            return None;
        }
        let options = &self.compiled.options;
        let asked = self.head.header(self.bytes, b"content-type");
        match self.route.get() {
            _ if asked.and_then(grpc_status::answer_type).is_some() => None,
            Some(route) => route.error_override(options, status),
            None => options.error_overrides.get(status),
        }
    }

    /// The body of an answer whose status and flags are on record. `original`: the text that it replaces.
    pub(crate) fn error_body(&self, replacement: &ErrorOverride, original: &[u8], response: &dyn Headers) -> Vec<u8> {
        let path = joined(self.head.path(self.bytes), self.head.query(self.bytes));
        let headers = self.view();
        let facts = self.facts(&path, None, &headers);
        let now = self.connection.shared.host.now_ns();
        let route = self.route.get().map(|route| &*route.name);
        self.record.known(now, self.compiled, route, facts, response, |log| render(replacement, log, original))
    }
}

/// Drops what is there of a body without waiting for more. Tells whether that was all of it, and nothing else.
async fn drop_present(mut from: Incoming<'_>) -> bool {
    let mut work = pin!(async {
        let mut left = DRAIN_LIMIT;
        while let Some((data, last)) = from.data().await.ok()? {
            left = left.checked_sub(data.len() as u64)?;
            if last {
                break;
            }
        }
        Some(match &from {
            Incoming::Http1(body) => body.tail.is_empty(),
            _ => true,
        })
    });
    let polled = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    matches!(polled, Poll::Ready(Some(true)))
}

impl Answer<'_, '_> {
    /// Answers with the replacement instead of a body that comes over HTTP/1.
    pub(crate) async fn replace(
        &mut self,
        replacement: &ErrorOverride,
        stream: &Stream,
        head: &ResponseHead,
        inbox: &mut Inbox,
        length: usize,
    ) -> Result<(), ProxyError> {
        let sent = self.send_replacement(replacement, head, inbox.bytes(), length).await;
        inbox.consume(length);
        let pool = &self.request.connection.shared.buffers;
        let mut source = Source::of(head.framing);
        let first = Self::first(&mut source, inbox);
        inbox.release(pool);
        sent?;
        let all = match first {
            Err(_) => false,
            Ok((_, true, surplus)) => !surplus,
            Ok(_) if head.framing == ResponseFraming::UntilClose => false,
            Ok(_) => drop_present(Incoming::Http1(Http1Body::new(pool, stream, &mut source))).await,
        };
        self.reusable = head.keep_alive && all;
        Ok(())
    }

    /// As [`Answer::replace`] for a body that comes over HTTP/2; one that is not all there is cancelled.
    pub(crate) async fn replace_frames(
        &mut self,
        replacement: &ErrorOverride,
        head: &ResponseHead,
        text: &[u8],
        length: usize,
        body: RecvStream,
    ) -> Result<(), ProxyError> {
        self.send_replacement(replacement, head, text, length).await?;
        drop_present(Incoming::Http2(Http2Body::new(body))).await;
        Ok(())
    }

    async fn send_replacement(
        &mut self,
        replacement: &ErrorOverride,
        head: &ResponseHead,
        bytes: &[u8],
        length: usize,
    ) -> Result<(), ProxyError> {
        let request = self.request;
        let shared = &request.connection.shared;
        let record = &request.record;
        let elapsed_ms = shared.host.now_ns().saturating_sub(record.upstream_start_ns.get()) / 1_000_000;
        record.status.set(head.status);
        record.service_ms.set(Some(elapsed_ms));
        let body = request.error_body(replacement, b"", &AnswerView { head, bytes });
        let form = request.connection_form(!self.upload_done());
        self.close = form == ConnectionForm::Close;
        let mut out = shared.scratch.out();
        {
            let headers = request.view();
            let facts = request.facts(request.head.path(request.bytes), None, &headers);
            let options = &request.compiled.options;
            DownstreamHead {
                head,
                bytes,
                head_len: length,
                edits: &self.plan.choice.response_headers,
                edit_facts: &facts,
                cors: (!self.plan.lines.is_empty()).then_some(self.plan.lines),
                server_name: &options.server_name,
                case: &options.header_case,
                service_time_ms: (!options.suppress_envoy_headers).then_some(elapsed_ms),
                alternative: request.alternative(),
                replaced: Some(&replacement.content_type),
                keep_length: false,
                body: BodyForm::Length(body.len() as u64),
                connection: form,
                change: None,
            }
            .write(shared, &mut out);
        }
        let head_length = out.len();
        if request.head.method != Method::Head {
            out.extend_from_slice(&body);
            self.sent += body.len() as u64;
        }
        self.started = true;
        let sent = request.connection.client.send_whole(&out, head_length).await;
        shared.scratch.put_out(out);
        sent
    }
}

//! Error answers with a body that the configuration has for them (Emissary: `error_response_overrides`).
//!
//! The upstream's own body is dropped: what is there of it without waiting, and if that was all, its connection lives on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use h2::RecvStream;
use sluice_http1::{ResponseFraming, ResponseHead};
use sluice_policy::escape::Style;
use sluice_policy::format::Piece;
use sluice_policy::grpc_status;
use sluice_policy::{Headers, LogRecord};
use sluice_snapshot::{ErrorBody, ErrorOverride, ORIGINAL_BODY};

use crate::answer::Answer;
use crate::body::{Http1Body, Incoming};
use crate::buffers::Inbox;
use crate::deliver::Heading;
use crate::downstream::DRAIN_LIMIT;
use crate::error::ProxyError;
use crate::http2::body::Http2Body;
use crate::relay::Source;
use crate::request::{Request, joined};
use crate::stream::Stream;
use crate::transform::HeadChange;

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
        // The body may tell of the answer that it replaces.
        self.note(head.status);
        let body = self.request.error_body(replacement, b"", &AnswerView { head, bytes });
        let mut change = HeadChange { body: true, ..HeadChange::default() };
        if !self.plan.choice.response_headers.removes(b"content-type") {
            change.set("content-type", &replacement.content_type);
        }
        let heading = Heading { head, bytes, length, framing: head.framing, change: None };
        self.deliver_kept(heading, &change, &body).await
    }
}

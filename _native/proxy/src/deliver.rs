//! The final answer of an upstream on its way to the client: head, body, trailers.

use bytes::Bytes;
use h2::RecvStream;
use sluice_http1::{Framing, ResponseFraming, ResponseHead, Version};
use sluice_snapshot::BandwidthLimit;

use crate::answer::{Answer, COPY_LIMIT};
use crate::body::{Http1Body, Incoming, bridge};
use crate::buffers::Inbox;
use crate::client::Client;
use crate::deadline::Meter;
use crate::error::ProxyError;
use crate::http2::body::Http2Body;
use crate::pace::{Pace, paced};
use crate::relay::{RelayError, Sink, Source, append, relay};
use crate::response_head::{BodyForm, ConnectionForm, DownstreamHead};
use crate::stream::Stream;
use crate::transform::{HeadChange, Recoding};

/// What a failed relay of an answer means.
pub(crate) fn failure(error: RelayError) -> ProxyError {
    match error {
        RelayError::Write(_) => ProxyError::ClientGone,
        RelayError::Framing(reason) => ProxyError::UpstreamProtocol(reason),
        RelayError::Read(error) => ProxyError::UpstreamClosed {
            error: error.unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into()),
            reused: false,
        },
    }
}

/// An upstream's head, and how it goes on to the client.
#[derive(Clone, Copy)]
pub(crate) struct Heading<'h> {
    pub(crate) head: &'h ResponseHead,
    /// What it was parsed from, and its length in there.
    pub(crate) bytes: &'h [u8],
    pub(crate) length: usize,
    /// How the body is framed that the client gets.
    pub(crate) framing: ResponseFraming,
    pub(crate) change: Option<&'h HeadChange>,
}

impl Answer<'_, '_> {
    /// How the body leaves, and what the client is told about it.
    fn plan(&self, framing: ResponseFraming) -> (Sink, BodyForm) {
        match framing {
            ResponseFraming::None => (Sink::Identity, BodyForm::None),
            ResponseFraming::Length(length) => (Sink::Identity, BodyForm::Length(length)),
            _ if self.request.connection.client.in_frames() => (Sink::Identity, BodyForm::None),
            _ if self.request.head.version == Version::Http11 => (Sink::Chunked, BodyForm::Chunked),
            _ => (Sink::Identity, BodyForm::UntilClose),
        }
    }

    /// Takes the answer for the final one, unless it shall be asked for again.
    fn accept(&self, status: u16) -> Result<(), ProxyError> {
        let request = self.request;
        request.record.upstream_status.set(status);
        request.record.upstream_head_ns.set(request.connection.shared.host.now_ns());
        if self.plan.attempts.drops(status) {
            return Err(ProxyError::RetriedStatus(status));
        }
        if self.plan.attempts.per_try_ns != 0 {
            request.connection.deadlines.attempt(0);
        }
        Ok(())
    }

    /// Puts on record what the answer is and how long it took, in milliseconds.
    pub(crate) fn note(&self, status: u16) -> u64 {
        let record = &self.request.record;
        let now = self.request.connection.shared.host.now_ns();
        let elapsed_ms = now.saturating_sub(record.upstream_start_ns.get()) / 1_000_000;
        record.status.set(status);
        record.service_ms.set(Some(elapsed_ms));
        elapsed_ms
    }

    /// Notes what is known of the answer, and writes its head as HTTP/1.1 text. Returns how the body leaves.
    pub(crate) fn head(&mut self, heading: &Heading<'_>, out: &mut Vec<u8>) -> Sink {
        let Heading { head, bytes, length, framing, change } = *heading;
        let request = self.request;
        let shared = &request.connection.shared;
        let (sink, mut body) = self.plan(framing);
        let elapsed_ms = self.note(change.and_then(|change| change.status).unwrap_or(head.status));
        let close = body == BodyForm::UntilClose || !self.upload_done();
        let form = request.connection_form(close);
        self.close = form == ConnectionForm::Close;
        // An answer to HEAD and a 304 state a length that is not sent.
        let keep_length = framing == ResponseFraming::None && head.status != 204;
        if keep_length {
            body = BodyForm::None;
        }
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
            keep_length,
            body,
            connection: form,
            change,
        }
        .write(shared, out);
        sink
    }

    /// Writes the head of an answer whose body stays as it is; otherwise tells what becomes of it.
    fn open(
        &mut self,
        head: &ResponseHead,
        bytes: &[u8],
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<Sink, Box<Recoding>> {
        let heading = Heading { head, bytes, length, framing: head.framing, change: None };
        match self.recoding(head, bytes) {
            None => Ok(self.head(&heading, out)),
            Some(Recoding::Head(change)) => Ok(self.head(&Heading { change: Some(&change), ..heading }, out)),
            Some(recoding) => Err(Box::new(recoding)),
        }
    }

    /// Delivers an answer that comes over HTTP/1.
    pub(crate) async fn deliver(
        &mut self,
        stream: &Stream,
        head: &ResponseHead,
        inbox: &mut Inbox,
        length: usize,
    ) -> Result<(), ProxyError> {
        self.accept(head.status)?;
        if let Some(replacement) = self.request.error_override(head.status) {
            return Box::pin(self.replace(replacement, stream, head, inbox, length)).await;
        }
        let connection = self.request.connection;
        let shared = &connection.shared;
        let mut out = shared.scratch.out();
        let sink = match self.open(head, inbox.bytes(), length, &mut out) {
            Ok(sink) => sink,
            Err(recoding) => {
                shared.scratch.put_out(out);
                return Box::pin(self.recode(stream, head, inbox, length, recoding)).await;
            }
        };
        inbox.consume(length);
        let mut source = Source::of(head.framing);
        let meter = Meter::new(&connection.deadlines);
        let result = match (&connection.client, self.request.bandwidth()) {
            (_, Some(limit)) => {
                Box::pin(self.body_at_rate(limit, stream, inbox, (&mut source, sink), &out, &meter)).await
            }
            (Client::Http1(client), None) => {
                self.body(stream, client, inbox, &mut source, sink, &mut out, &meter).await
            }
            (client, None) => Box::pin(self.body_in_frames(stream, client, inbox, &mut source, &out, &meter)).await,
        };
        shared.scratch.put_out(out);
        self.sent += meter.bytes();
        let surplus = result?;
        self.reusable = head.keep_alive && !surplus && !matches!(source, Source::UntilClose);
        Ok(())
    }

    /// Delivers an answer that comes over HTTP/1 and whose body changes.
    async fn recode(
        &mut self,
        stream: &Stream,
        head: &ResponseHead,
        inbox: &mut Inbox,
        length: usize,
        recoding: Box<Recoding>,
    ) -> Result<(), ProxyError> {
        let pool = &self.request.connection.shared.buffers;
        let text = inbox.bytes().get(..length).unwrap_or_default().to_vec();
        inbox.consume(length);
        let mut source = Source::of(head.framing);
        let (early, finished, surplus) = Self::first(&mut source, inbox)?;
        let early = Bytes::copy_from_slice(inbox.bytes().get(..early).unwrap_or_default());
        inbox.release(pool);
        let mut body = Http1Body::new(pool, stream, &mut source).with_early(early);
        if finished {
            body.end();
        }
        let heading = Heading { head, bytes: &text, length, framing: head.framing, change: None };
        let more = self.deliver_recoded(heading, Incoming::Http1(body), recoding).await?;
        self.reusable = head.keep_alive && !surplus && !more && !matches!(source, Source::UntilClose);
        Ok(())
    }

    /// Delivers an answer that comes over HTTP/2.
    pub(crate) async fn deliver_frames(
        &mut self,
        head: &mut ResponseHead,
        text: &[u8],
        length: usize,
        body: RecvStream,
    ) -> Result<(), ProxyError> {
        self.accept(head.status)?;
        if let Some(replacement) = self.request.error_override(head.status) {
            return Box::pin(self.replace_frames(replacement, head, text, length, body)).await;
        }
        let connection = self.request.connection;
        let shared = &connection.shared;
        let ended = body.is_end_stream();
        head.framing = match (head.framing, &connection.client) {
            (ResponseFraming::Chunked | ResponseFraming::UntilClose, Client::Http1(_)) if ended => {
                ResponseFraming::Length(0)
            }
            (ResponseFraming::Chunked | ResponseFraming::UntilClose, _) if ended => ResponseFraming::None,
            (framing, _) => framing,
        };
        let ended = ended || matches!(head.framing, ResponseFraming::None | ResponseFraming::Length(0));
        let mut out = shared.scratch.out();
        let sink = match self.open(head, text, length, &mut out) {
            Ok(sink) => sink,
            Err(recoding) => {
                shared.scratch.put_out(out);
                let heading = Heading { head, bytes: text, length, framing: head.framing, change: None };
                let from = Incoming::Http2(Http2Body::new(body));
                return Box::pin(self.deliver_recoded(heading, from, recoding)).await.map(drop);
            }
        };
        let meter = Meter::new(&connection.deadlines);
        let begun = self.begin(&out, ended).await;
        shared.scratch.put_out(out);
        begun?;
        if ended {
            return Ok(());
        }
        let edits = &self.plan.choice.response_headers;
        let passes = |name: &[u8]| !edits.removes(name);
        let to = connection.client.outgoing(sink);
        let from = Incoming::Http2(Http2Body::new(body));
        let moved = match self.request.bandwidth() {
            Some(limit) => {
                let pace = Pace::new(&shared.host, limit);
                Box::pin(paced(pace, (Bytes::new(), false), from, to, &passes, &meter)).await
            }
            None => Box::pin(bridge(from, to, &passes, &meter)).await,
        };
        self.sent += meter.bytes();
        moved.map(|_| ()).map_err(failure)
    }

    /// Sends the head to the client. One that cannot be said in its protocol leaves room for an answer that can.
    pub(crate) async fn begin(&mut self, head: &[u8], end: bool) -> Result<(), ProxyError> {
        self.started = true;
        let begun = self.request.connection.client.begin(head, end).await;
        self.started = !matches!(begun, Err(ProxyError::UpstreamProtocol(_)));
        begun
    }

    /// Whether the whole request was already sent when the answer began.
    pub(crate) fn upload_done(&self) -> bool {
        let request = self.request;
        request.head.framing == Framing::None || !request.connection.deadlines.is_uploading()
    }

    /// Decodes the part of the body that came with the head. Returns its length, whether it is all, and whether more
    /// came than the body.
    pub(crate) fn first(source: &mut Source, inbox: &mut Inbox) -> Result<(usize, bool, bool), ProxyError> {
        let present = inbox.len();
        let piece = source.decode(inbox.bytes_mut()).map_err(|error| match error {
            RelayError::Framing(reason) => ProxyError::UpstreamProtocol(reason),
            _ => ProxyError::UpstreamProtocol("the body cannot be read"),
        })?;
        let finished = piece.finished || source.is_finished();
        Ok((piece.data, finished, finished && piece.used < present))
    }

    /// Sends head and body between two HTTP/1 connections. Tells whether the upstream sent more than the body.
    #[allow(clippy::too_many_arguments)]
    async fn body(
        &mut self,
        stream: &Stream,
        client: &Stream,
        inbox: &mut Inbox,
        source: &mut Source,
        sink: Sink,
        out: &mut Vec<u8>,
        meter: &Meter<'_>,
    ) -> Result<bool, ProxyError> {
        let connection = self.request.connection;
        let edits = &self.plan.choice.response_headers;
        let passes = |name: &[u8]| !edits.removes(name);
        let (length, finished, mut surplus) = Self::first(source, inbox)?;
        let data = inbox.bytes().get(..length).unwrap_or_default();
        self.started = true;
        self.sent += data.len() as u64;
        let written = if sink == Sink::Chunked || data.len() <= COPY_LIMIT {
            append(sink, data, out);
            if finished && sink == Sink::Chunked {
                source.write_end(&passes, out);
            }
            client.write_all(out).await
        } else {
            client.write_both(out, data).await
        };
        written.map_err(|_| ProxyError::ClientGone)?;
        inbox.release(&connection.shared.buffers);
        if !finished {
            let streaming = relay(&connection.shared.buffers, stream, client, source, (sink, &passes), meter);
            let rest = Box::pin(streaming).await.map_err(failure)?;
            surplus = !rest.is_empty();
        }
        Ok(surplus)
    }

    /// As [`Answer::body`] at the rate of the route.
    async fn body_at_rate(
        &mut self,
        limit: &BandwidthLimit,
        stream: &Stream,
        inbox: &mut Inbox,
        (source, sink): (&mut Source, Sink),
        head: &[u8],
        meter: &Meter<'_>,
    ) -> Result<bool, ProxyError> {
        let connection = self.request.connection;
        let client = &connection.client;
        let pool = &connection.shared.buffers;
        let passes = |name: &[u8]| !self.plan.choice.response_headers.removes(name);
        let (length, finished, surplus) = Self::first(source, inbox)?;
        let data = Bytes::copy_from_slice(inbox.bytes().get(..length).unwrap_or_default());
        inbox.release(pool);
        let last = finished && source.trailers().next().is_none();
        let bare = last && data.is_empty();
        self.begin(head, bare).await?;
        if bare && client.in_frames() {
            return Ok(surplus);
        }
        let mut from = Http1Body::new(pool, stream, source);
        if finished {
            from.end();
        }
        let pace = Pace::new(&connection.shared.host, limit);
        let rest = paced(pace, (data, last), Incoming::Http1(from), client.outgoing(sink), &passes, meter).await;
        Ok(!rest.map_err(failure)?.is_empty() || surplus)
    }

    /// As [`Answer::body`] for a client that speaks in frames.
    async fn body_in_frames(
        &mut self,
        stream: &Stream,
        client: &Client,
        inbox: &mut Inbox,
        source: &mut Source,
        head: &[u8],
        meter: &Meter<'_>,
    ) -> Result<bool, ProxyError> {
        let pool = &self.request.connection.shared.buffers;
        let edits = &self.plan.choice.response_headers;
        let passes = |name: &[u8]| !edits.removes(name);
        let (length, finished, mut surplus) = Self::first(source, inbox)?;
        let data = inbox.bytes().get(..length).unwrap_or_default();
        let last = finished && source.trailers().next().is_none();
        self.begin(head, last && data.is_empty()).await?;
        self.sent += data.len() as u64;
        if !data.is_empty() {
            client.send(data, last).await?;
        }
        inbox.release(pool);
        if !last {
            let mut body = Http1Body::new(pool, stream, source);
            if finished {
                body.end();
            }
            let rest = bridge(Incoming::Http1(body), client.outgoing(Sink::Identity), &passes, meter).await;
            surplus |= !rest.map_err(failure)?.is_empty();
        }
        Ok(surplus)
    }
}

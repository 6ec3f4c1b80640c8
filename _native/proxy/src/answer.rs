//! One answer on its way from the upstream to the client.

use std::rc::Rc;

use sluice_http1::{Framing, ResponseFraming, ResponseHead, Version, parse_response};
use sluice_snapshot::Choice;

use crate::buffers::Inbox;
use crate::deadline::Meter;
use crate::error::ProxyError;
use crate::relay::{RelayError, Sink, Source, append, relay};
use crate::request::Request;
use crate::response_head::{BodyForm, ConnectionForm, DownstreamHead};
use crate::stream::Stream;

/// Interim answers accepted before the final one: more is a flood (row A20).
const INTERIM_LIMIT: usize = 8;
/// Bodies up to this size are copied behind their head: one buffer is cheaper than two for the kernel.
const COPY_LIMIT: usize = 8 * 1024;

/// The way of one answer from the upstream to the client.
pub(crate) struct Answer<'a, 'c> {
    request: &'a Request<'c>,
    choice: &'a Choice,
    cors: &'a [u8],
    idle_ns: u64,
    upgrade: Option<&'a [u8]>,
    /// Bytes of the final answer went to the client.
    pub(crate) started: bool,
    /// The upstream's connection can carry another request.
    pub(crate) reusable: bool,
    /// The client's connection ends with this answer.
    pub(crate) close: bool,
    /// … and there is nothing to linger for.
    pub(crate) aborted: bool,
    pub(crate) upload_complete: bool,
    pub(crate) sent: u64,
}

impl<'a, 'c> Answer<'a, 'c> {
    pub(crate) fn new(
        request: &'a Request<'c>,
        choice: &'a Choice,
        cors: &'a [u8],
        idle_ns: u64,
        upgrade: Option<&'a [u8]>,
    ) -> Self {
        Self {
            request,
            choice,
            cors,
            idle_ns,
            upgrade,
            started: false,
            reusable: false,
            close: false,
            aborted: false,
            upload_complete: true,
            sent: 0,
        }
    }

    pub(crate) async fn run(&mut self, stream: &Stream, reused: bool) -> Result<(), ProxyError> {
        let shared = Rc::clone(&self.request.connection.shared);
        let mut inbox = Inbox::default();
        let mut head = shared.scratch.response();
        let mut interim = 0;
        let result = loop {
            match self.read_head(stream, reused, &mut inbox, &mut head).await {
                Err(error) => break Err(error),
                Ok(length) if head.status == 101 => {
                    break Box::pin(self.tunnel(stream, &head, &mut inbox, length)).await;
                }
                Ok(length) if head.status < 200 => {
                    // The gateway answers `Expect` by itself; other interim answers carry nothing for this client.
                    interim += 1;
                    inbox.consume(length);
                    if interim > INTERIM_LIMIT {
                        break Err(ProxyError::UpstreamProtocol("too many interim answers"));
                    }
                }
                Ok(length) => break self.deliver(stream, &head, &mut inbox, length).await,
            }
        };
        inbox.release(&shared.buffers);
        shared.scratch.put_response(head);
        result
    }

    async fn read_head(
        &self,
        stream: &Stream,
        reused: bool,
        inbox: &mut Inbox,
        head: &mut ResponseHead,
    ) -> Result<usize, ProxyError> {
        let connection = self.request.connection;
        let limits = &self.request.compiled.options.head_limits;
        loop {
            if !inbox.is_empty() {
                match parse_response(inbox.bytes(), limits, self.request.head.method, head) {
                    Ok(Some(length)) => return Ok(length),
                    Ok(None) => {}
                    Err(error) => return Err(ProxyError::UpstreamProtocol(error.reason.as_str())),
                }
            }
            let fresh = inbox.is_empty();
            let pool = &connection.shared.buffers;
            let read = std::future::poll_fn(|context| {
                let space = inbox.space(pool, limits.max_head_bytes + COPY_LIMIT);
                let polled = stream.poll_read(context, space);
                if polled.is_pending() {
                    // Waiting holds no buffer: requests in flight are cheap, and the next reader finds a warm one.
                    inbox.release_if_empty(pool);
                }
                polled
            })
            .await;
            match read {
                Ok(0) if fresh => {
                    let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                    return Err(ProxyError::UpstreamClosed { error, reused });
                }
                Ok(0) => return Err(ProxyError::UpstreamProtocol("the head is incomplete")),
                Ok(count) => inbox.filled(count),
                Err(error) => return Err(ProxyError::UpstreamClosed { error, reused: reused && fresh }),
            }
        }
    }

    /// How the body arrives, how it leaves, and what the client is told about it.
    fn plan(&self, head: &ResponseHead) -> (Source, Sink, BodyForm) {
        let chunks = self.request.head.version == Version::Http11;
        match head.framing {
            ResponseFraming::None => (Source::Empty, Sink::Identity, BodyForm::None),
            ResponseFraming::Length(length) => (Source::Length(length), Sink::Identity, BodyForm::Length(length)),
            ResponseFraming::Chunked if chunks => (Source::Chunked(Box::default()), Sink::Chunked, BodyForm::Chunked),
            ResponseFraming::Chunked => (Source::Chunked(Box::default()), Sink::Identity, BodyForm::UntilClose),
            ResponseFraming::UntilClose if chunks => (Source::UntilClose, Sink::Chunked, BodyForm::Chunked),
            ResponseFraming::UntilClose => (Source::UntilClose, Sink::Identity, BodyForm::UntilClose),
        }
    }

    async fn deliver(
        &mut self,
        stream: &Stream,
        head: &ResponseHead,
        inbox: &mut Inbox,
        length: usize,
    ) -> Result<(), ProxyError> {
        let request = self.request;
        let connection = request.connection;
        let shared = &connection.shared;
        let record = &request.record;
        let (mut source, sink, mut body) = self.plan(head);
        record.status.set(head.status);
        record.upstream_status.set(head.status);
        let elapsed_ms = shared.host.now_ns().saturating_sub(record.upstream_start_ns.get()) / 1_000_000;
        record.service_ms.set(Some(elapsed_ms));
        let close = body == BodyForm::UntilClose || !self.upload_done();
        let form = request.connection_form(close);
        self.close = form == ConnectionForm::Close;
        // An answer to HEAD and a 304 state a length that is not sent.
        let keep_length = head.framing == ResponseFraming::None && head.status != 204;
        if keep_length {
            body = BodyForm::None;
        }
        let mut out = shared.scratch.out();
        {
            let headers = request.view();
            let facts = request.facts(request.head.path(request.bytes), None, &headers);
            let options = &request.compiled.options;
            DownstreamHead {
                head,
                bytes: inbox.bytes(),
                head_len: length,
                edits: &self.choice.response_headers,
                edit_facts: &facts,
                cors: (!self.cors.is_empty()).then_some(self.cors),
                server_name: &options.server_name,
                service_time_ms: (!options.suppress_envoy_headers).then_some(elapsed_ms),
                keep_length,
                body,
                connection: form,
            }
            .write(shared, &mut out);
        }
        inbox.consume(length);
        let meter = Meter::new(&connection.deadlines);
        let result = self.body(stream, inbox, &mut source, sink, &mut out, &meter).await;
        shared.scratch.put_out(out);
        self.sent += meter.bytes();
        let surplus = result?;
        self.reusable = head.keep_alive && !surplus && !matches!(source, Source::UntilClose);
        Ok(())
    }

    /// Whether the whole request was already sent when the answer began.
    fn upload_done(&self) -> bool {
        let request = self.request;
        request.head.framing == Framing::None || !request.connection.deadlines.is_uploading()
    }

    /// Sends head and body. Tells whether the upstream sent more than the body.
    async fn body(
        &mut self,
        stream: &Stream,
        inbox: &mut Inbox,
        source: &mut Source,
        sink: Sink,
        out: &mut Vec<u8>,
        meter: &Meter<'_>,
    ) -> Result<bool, ProxyError> {
        let connection = self.request.connection;
        let client = &connection.stream;
        let edits = &self.choice.response_headers;
        let passes = |name: &[u8]| !edits.removes(name);
        let present = inbox.len();
        let piece = source.decode(inbox.bytes_mut()).map_err(|error| match error {
            RelayError::Framing(reason) => ProxyError::UpstreamProtocol(reason),
            _ => ProxyError::UpstreamProtocol("the body cannot be read"),
        })?;
        let finished = piece.finished || source.is_finished();
        let mut surplus = finished && piece.used < present;
        let data = inbox.bytes().get(..piece.data).unwrap_or_default();
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
            let rest = Box::pin(streaming).await.map_err(|error| match error {
                RelayError::Write(_) => ProxyError::ClientGone,
                RelayError::Framing(reason) => ProxyError::UpstreamProtocol(reason),
                RelayError::Read(error) => ProxyError::UpstreamClosed {
                    error: error.unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into()),
                    reused: false,
                },
            })?;
            surplus = !rest.is_empty();
        }
        Ok(surplus)
    }

    /// The upstream switched protocols: from here on bytes are bytes.
    async fn tunnel(
        &mut self,
        stream: &Stream,
        head: &ResponseHead,
        inbox: &mut Inbox,
        length: usize,
    ) -> Result<(), ProxyError> {
        let request = self.request;
        let connection = request.connection;
        let Some(asked) = self.upgrade else {
            return Err(ProxyError::UpstreamProtocol("it switched protocols without being asked"));
        };
        crate::tunnel::check_switch(request, asked, head, inbox.bytes()).map_err(ProxyError::UpstreamProtocol)?;
        request.record.status.set(101);
        request.record.upstream_status.set(101);
        let mut out = connection.shared.scratch.out();
        {
            let headers = request.view();
            let facts = request.facts(request.head.path(request.bytes), None, &headers);
            DownstreamHead {
                head,
                bytes: inbox.bytes(),
                head_len: length,
                edits: &self.choice.response_headers,
                edit_facts: &facts,
                cors: None,
                server_name: &request.compiled.options.server_name,
                service_time_ms: None,
                keep_length: false,
                body: BodyForm::None,
                connection: ConnectionForm::Upgrade,
            }
            .write(&connection.shared, &mut out);
        }
        inbox.consume(length);
        out.extend_from_slice(inbox.bytes());
        self.started = true;
        self.close = true;
        self.aborted = true;
        connection.deadlines.tunnel(self.idle_ns);
        let written = connection.stream.write_all(&out).await;
        connection.shared.scratch.put_out(out);
        written.map_err(|_| ProxyError::ClientGone)?;
        let early = request.bytes.get(request.head_len..).unwrap_or_default();
        let (up, down) = crate::tunnel::join(connection, stream, early).await;
        request.record.received.set(request.record.received.get() + up);
        self.sent += down;
        Ok(())
    }
}

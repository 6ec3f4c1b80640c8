//! Forwarding one request: attempts, the two bodies, the answer.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use sluice_http1::{Framing, Method, ResponseFraming, ResponseHead, Underscores, Version, parse_response};
use sluice_policy::stats::Field;
use sluice_snapshot::{Choice, Forward, HostRewrite, Route};

use crate::deadline::Meter;
use crate::downstream::After;
use crate::error::{ProxyError, Retry, Side};
use crate::pool::Link;
use crate::relay::{RelayError, Sink, Source, append, relay};
use crate::reply::Reply;
use crate::request::{Request, joined};
use crate::request_head::{BodyHeader, UpstreamHead};
use crate::response_head::{BodyForm, ConnectionForm, DownstreamHead};
use crate::upstream::{Upstream, acquire};

/// Interim answers accepted before the final one: more is a flood (row A20).
const INTERIM_LIMIT: usize = 8;
/// Attempts per request: the first, and one more where that is safe.
const ATTEMPTS: usize = 2;
/// Envoy's default stream idle timeout, in nanoseconds.
const STREAM_IDLE_NS: u64 = 300_000_000_000;
/// Bodies up to this size are copied behind their head: one buffer is cheaper than two for the kernel.
const COPY_LIMIT: usize = 8 * 1024;

/// An attempt that ended in an answer, complete or not.
struct Answered {
    after: After,
}

/// Why an attempt failed, and whether the client has seen anything of it.
struct Failed {
    error: ProxyError,
    started: bool,
}

impl From<ProxyError> for Failed {
    fn from(error: ProxyError) -> Self {
        Self { error, started: false }
    }
}

/// The request as it goes upstream, ready to be sent again.
struct Prepared {
    /// Head and the part of the body that came with it.
    out: Vec<u8>,
    /// The rest of the body.
    source: Source,
    sink: Sink,
    /// Body bytes of the connection's inbox that `out` contains.
    taken: usize,
    /// Bytes behind the body that are already in the inbox.
    complete: bool,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn upload_failure(error: RelayError, reused: bool) -> ProxyError {
    match error {
        RelayError::Read(_) => ProxyError::ClientGone,
        RelayError::Framing(reason) => ProxyError::BodyProtocol(reason),
        RelayError::Write(error) => ProxyError::UpstreamClosed { error, reused },
    }
}

fn idle_ns(forward: &Forward) -> u64 {
    forward.idle_timeout.map_or(STREAM_IDLE_NS, nanos)
}

/// A body on its way; the result is what was read beyond its end.
type Upload<'u> = Pin<Box<dyn Future<Output = Result<Vec<u8>, RelayError>> + 'u>>;

impl Request<'_> {
    /// Forwards the request and answers, whatever happens.
    pub(crate) async fn forward(&self, route: &Route, choice: &Choice, forward: &Forward, cors: &[u8]) -> After {
        let path = self.head.path(self.bytes);
        let mut rewritten = Vec::new();
        if let Some(rewrite) = &forward.path_rewrite
            && rewrite.apply(path, route.path.matched(path), &mut rewritten).is_err()
        {
            let reply = Reply::new(400).body(b"text/plain", b"the path is not in normal form\n");
            return self.reply(reply, "DPE").await;
        }
        let target: &[u8] = if forward.path_rewrite.is_some() { &rewritten } else { path };
        let upgrade = self.allowed_upgrade(route);
        if !route.shadows.is_empty() {
            crate::shadow::mirror(self, route);
        }
        let Ok(mut prepared) = self.prepare(choice, forward, target, upgrade) else {
            return self
                .reply(Reply::new(400).body(b"text/plain", b"the request body is malformed\n").close(), "DPE")
                .await;
        };
        let replayable = prepared.complete && self.is_idempotent() && upgrade.is_none();
        let mut attempt = 1;
        let mut avoid = None;
        let after = loop {
            let result = self.attempt(choice, forward, cors, &mut prepared, upgrade, avoid, attempt > 1).await;
            match result {
                Ok(answered) => break answered.after,
                Err(Failed { error, started: true }) => {
                    self.record.flags.set(error.answer().1);
                    break After::Abort;
                }
                Err(Failed { error, started: false }) => {
                    let again = match error.retry() {
                        Retry::Unsent => true,
                        Retry::ReusedConnection => replayable,
                        Retry::No => false,
                    };
                    if again && attempt < ATTEMPTS {
                        attempt += 1;
                        avoid = self.record.upstream.get();
                        self.count_cluster(Field::Retries);
                        continue;
                    }
                    break self.fail(&error).await;
                }
            }
        };
        self.connection.shared.scratch.put_out(std::mem::take(&mut prepared.out));
        after
    }

    fn count_cluster(&self, field: Field) {
        let row = self.record.cluster_slot.get().and_then(|slot| self.connection.shared.cluster_row(slot));
        if let Some(row) = row {
            row.add(field, 1);
        }
    }

    /// Tells the client that there is no answer.
    async fn fail(&self, error: &ProxyError) -> After {
        let (status, flag) = error.answer();
        self.record.flags.set(flag);
        if matches!(error, ProxyError::Timeout | ProxyError::IdleTimeout | ProxyError::ConnectTimeout) {
            self.count_cluster(Field::Timeouts);
        }
        if matches!(error, ProxyError::ClientGone) {
            self.record.status.set(0);
            return After::Abort;
        }
        if error.side() == Side::Downstream || self.head.framing != Framing::None {
            // Part of the body may have been read: what follows on this connection can no longer be told apart.
            let reply = Reply::new(status).body(b"text/plain", error.public_message().as_bytes());
            return match self.reply_and(reply, flag, true).await {
                After::Keep { .. } => After::Close,
                after => after,
            };
        }
        self.reply(Reply::new(status).body(b"text/plain", error.public_message().as_bytes()), flag).await
    }

    /// RFC 9110 section 9.2.2.
    fn is_idempotent(&self) -> bool {
        matches!(self.head.method, Method::Get | Method::Head | Method::Put | Method::Delete | Method::Options)
    }

    fn allowed_upgrade(&self, route: &Route) -> Option<&[u8]> {
        let asked = self.head.upgrade.as_ref()?.of(self.bytes);
        route.upgrades.iter().any(|allowed| asked.eq_ignore_ascii_case(allowed.as_bytes())).then_some(asked)
    }

    /// Trailers follow the rules of headers: the listener's for underscores, and nothing that the route, a filter or
    /// the gateway itself decides about.
    fn trailer_passes(&self, choice: &Choice, name: &[u8]) -> bool {
        let filtered = self.filtered.borrow();
        let named = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let aliased = name.contains(&b'_') && self.compiled.options.normalize.underscores != Underscores::Allow;
        let decided = choice.request_headers.removes(name)
            || choice.request_headers.additions().any(|added| name.eq_ignore_ascii_case(added.name()))
            || filtered.remove.iter().any(|other| named(other))
            || filtered.set.iter().any(|(other, _)| named(other));
        !aliased && !decided && self.client.forwards(name)
    }

    fn prepare(
        &self,
        choice: &Choice,
        forward: &Forward,
        target: &[u8],
        upgrade: Option<&[u8]>,
    ) -> Result<Prepared, RelayError> {
        let shared = &self.connection.shared;
        let options = &self.compiled.options;
        let headers = self.view();
        let original = self.head.path(self.bytes);
        let changed = (original != target).then_some(original);
        let full = joined(target, self.head.query(self.bytes));
        let facts = self.facts(&full, changed, &headers);
        let cluster_host = self.compiled.cluster(forward.cluster).and_then(|cluster| cluster.host_name());
        let host: &[u8] = match &forward.host_rewrite {
            HostRewrite::Keep => self.authority(),
            HostRewrite::Literal(host) => host,
            HostRewrite::Upstream => cluster_host.map_or(self.authority(), str::as_bytes),
        };
        let filtered = self.filtered.borrow();
        let head = UpstreamHead {
            head: self.head,
            bytes: self.bytes,
            head_len: self.head_len,
            path: target,
            original_path: changed,
            host,
            client: &self.client,
            peer: self.connection.peer.ip(),
            append_peer: options.trust.use_remote_address,
            request_id: &self.request_id,
            timeout_ms: forward.timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            suppress_envoy: options.suppress_envoy_headers,
            body: match self.head.framing {
                Framing::None => BodyHeader::None,
                Framing::Length(length) => BodyHeader::Length(length),
                Framing::Chunked => BodyHeader::Chunked,
            },
            upgrade,
            edits: &choice.request_headers,
            edit_facts: &facts,
            filter_remove: &filtered.remove,
            filter_set: &filtered.set,
        };
        let mut out = shared.scratch.out();
        head.write(&mut out);
        let mut source = self.source();
        let sink = if self.head.framing == Framing::Chunked { Sink::Chunked } else { Sink::Identity };
        let present = self.bytes.get(self.head_len..).unwrap_or_default();
        let (taken, complete) = match &mut source {
            Source::Empty => (0, true),
            Source::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(present.len());
                out.extend_from_slice(&present[..taken]);
                *left -= taken as u64;
                (taken, *left == 0)
            }
            _ => {
                let mut first = present.to_vec();
                let piece = source.decode(&mut first)?;
                append(sink, &first[..piece.data], &mut out);
                if piece.finished {
                    source.write_end(&|name| self.trailer_passes(choice, name), &mut out);
                    source = Source::Empty;
                }
                (piece.used, piece.finished)
            }
        };
        self.record.received.set(taken as u64);
        Ok(Prepared { out, source, sink, taken, complete })
    }

    #[allow(clippy::too_many_arguments)]
    async fn attempt(
        &self,
        choice: &Choice,
        forward: &Forward,
        cors: &[u8],
        prepared: &mut Prepared,
        upgrade: Option<&[u8]>,
        avoid: Option<std::net::SocketAddr>,
        fresh: bool,
    ) -> Result<Answered, Failed> {
        let connection = self.connection;
        let shared = &connection.shared;
        let deadlines = &connection.deadlines;
        let idle_ns = idle_ns(forward);
        let timeout_ns = if upgrade.is_some() { 0 } else { forward.timeout.map_or(0, nanos) };
        let cluster = self.compiled.cluster(forward.cluster).ok_or(ProxyError::NoEndpoint)?;
        self.record.cluster.replace(Some(std::sync::Arc::clone(&cluster.name)));
        self.record.cluster_slot.set(Some(cluster.slot as usize));
        self.record.upstream_start_ns.set(shared.host.now_ns());
        self.record.upstream_status.set(0);
        if prepared.complete {
            deadlines.uploaded(timeout_ns, idle_ns);
        } else {
            deadlines.start_request(idle_ns, false);
        }
        let acquired = acquire(shared, cluster, avoid, fresh);
        let mut upstream = deadlines.limit(&connection.stream, acquired).await?;
        self.record.upstream.set(Some(upstream.address));
        let Some(link) = upstream.link.take() else { return Err(ProxyError::NoEndpoint.into()) };
        let stream = &link.stream;
        let reused = upstream.reused;
        let sent = async {
            stream.write_all(&prepared.out).await.map_err(|error| ProxyError::UpstreamClosed { error, reused })
        };
        deadlines.limit(&connection.stream, sent).await?;

        if prepared.complete {
            let mut answer = Answer::new(self, choice, cors, idle_ns, upgrade);
            let result = deadlines.limit(&connection.stream, answer.run(stream, reused)).await;
            return self.settle(&answer, result, link, upstream, prepared.taken, Vec::new());
        }
        if self.head.expect_continue {
            // Routing, limits and filters have let the request through: now its body is wanted (row C40).
            let leave = connection.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            let work = async { leave.await.map_err(|_| ProxyError::ClientGone) };
            deadlines.limit(&connection.stream, work).await?;
        }
        Box::pin(self.attempt_with_upload(choice, cors, prepared, upgrade, (timeout_ns, idle_ns), link, upstream)).await
    }

    /// The request body is still arriving while the answer may already come.
    #[allow(clippy::too_many_arguments)]
    async fn attempt_with_upload(
        &self,
        choice: &Choice,
        cors: &[u8],
        prepared: &mut Prepared,
        upgrade: Option<&[u8]>,
        (timeout_ns, idle_ns): (u64, u64),
        link: Link,
        upstream: Upstream,
    ) -> Result<Answered, Failed> {
        let stream = &link.stream;
        let connection = self.connection;
        let deadlines = &connection.deadlines;
        let pool = &connection.shared.buffers;
        let reused = upstream.reused;
        let body_idle_ns = self.compiled.options.body_idle_timeout_ns;
        deadlines.start_request(if idle_ns == 0 { body_idle_ns } else { idle_ns.min(body_idle_ns) }, true);
        let meter = Meter::new(deadlines);
        let mut answer = Answer::new(self, choice, cors, idle_ns, upgrade);
        let mut surplus = None;
        let sink = prepared.sink;
        let source = &mut prepared.source;
        let passes = |name: &[u8]| self.trailer_passes(choice, name);
        let result = {
            let mut uploading: Option<Upload<'_>> =
                Some(Box::pin(relay(pool, &connection.stream, stream, source, (sink, &passes), &meter)));
            let mut answering = std::pin::pin!(answer.run(stream, reused));
            let both = std::future::poll_fn(|context| {
                if let Some(upload) = &mut uploading
                    && let std::task::Poll::Ready(done) = upload.as_mut().poll(context)
                {
                    uploading = None;
                    match done {
                        Ok(rest) => {
                            surplus = Some(rest);
                            deadlines.uploaded(timeout_ns, idle_ns);
                        }
                        // The upstream takes no more of the body; what it says about that is still worth reading.
                        Err(RelayError::Write(_)) => {}
                        Err(error) => return std::task::Poll::Ready(Err(upload_failure(error, reused))),
                    }
                }
                answering.as_mut().poll(context)
            });
            deadlines.limit(&connection.stream, both).await
        };
        self.record.received.set(self.record.received.get() + meter.bytes());
        let used = prepared.taken;
        match surplus {
            Some(surplus) => self.settle(&answer, result, link, upstream, used, surplus),
            None => {
                // The answer was complete before the request: neither connection can be used for another one.
                answer.upload_complete = false;
                self.settle(&answer, result, link, upstream, used, Vec::new())
            }
        }
    }

    fn settle(
        &self,
        answer: &Answer<'_, '_>,
        result: Result<(), ProxyError>,
        link: Link,
        mut upstream: Upstream,
        taken: usize,
        surplus: Vec<u8>,
    ) -> Result<Answered, Failed> {
        self.record.sent.set(answer.sent);
        if let Err(error) = result {
            return Err(Failed { error, started: answer.started });
        }
        if answer.reusable && answer.upload_complete {
            upstream.link = Some(link);
            upstream.keep();
        }
        let after = if answer.close || !answer.upload_complete {
            if answer.aborted { After::Abort } else { After::Close }
        } else {
            After::Keep { used: self.head_len + taken, surplus }
        };
        Ok(Answered { after })
    }
}

/// The way of one answer from the upstream to the client.
struct Answer<'a, 'c> {
    request: &'a Request<'c>,
    choice: &'a Choice,
    cors: &'a [u8],
    idle_ns: u64,
    upgrade: Option<&'a [u8]>,
    /// Bytes of the final answer went to the client.
    started: bool,
    /// The upstream's connection can carry another request.
    reusable: bool,
    /// The client's connection ends with this answer.
    close: bool,
    /// … and there is nothing to linger for.
    aborted: bool,
    upload_complete: bool,
    sent: u64,
}

impl<'a, 'c> Answer<'a, 'c> {
    fn new(
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

    async fn run(&mut self, stream: &crate::stream::Stream, reused: bool) -> Result<(), ProxyError> {
        let shared = Rc::clone(&self.request.connection.shared);
        let mut inbox = crate::buffers::Inbox::default();
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
        stream: &crate::stream::Stream,
        reused: bool,
        inbox: &mut crate::buffers::Inbox,
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
        stream: &crate::stream::Stream,
        head: &ResponseHead,
        inbox: &mut crate::buffers::Inbox,
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
        stream: &crate::stream::Stream,
        inbox: &mut crate::buffers::Inbox,
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
        stream: &crate::stream::Stream,
        head: &ResponseHead,
        inbox: &mut crate::buffers::Inbox,
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

//! One answer on its way from the upstream to the client.

use std::rc::Rc;

use sluice_http1::{ResponseHead, parse_response};

use crate::buffers::Inbox;
use crate::client::Client;
use crate::error::ProxyError;
use crate::exchange::Plan;
use crate::heads::response_text;
use crate::http2::upstream::Lease;
use crate::request::Request;
use crate::response_head::{BodyForm, ConnectionForm, DownstreamHead};
use crate::stream::Stream;
use crate::upstream::Wire;

/// Interim answers accepted before the final one: more is a flood (row A20).
const INTERIM_LIMIT: usize = 8;
/// Bodies up to this size are copied behind their head: one buffer is cheaper than two for the kernel.
pub(crate) const COPY_LIMIT: usize = 8 * 1024;

/// The way of one answer from the upstream to the client.
pub(crate) struct Answer<'a, 'c> {
    pub(crate) request: &'a Request<'c>,
    pub(crate) plan: &'a Plan<'a>,
    idle_ns: u64,
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
    pub(crate) fn new(request: &'a Request<'c>, plan: &'a Plan<'a>, idle_ns: u64) -> Self {
        Self {
            request,
            plan,
            idle_ns,
            started: false,
            reusable: false,
            close: false,
            aborted: false,
            upload_complete: true,
            sent: 0,
        }
    }

    /// Takes the answer from the upstream to the client.
    pub(crate) async fn run(&mut self, wire: &Wire, reused: bool) -> Result<(), ProxyError> {
        match wire {
            Wire::Http1(link) => self.run_http1(&link.stream, reused).await,
            Wire::Http2(lease) => Box::pin(self.run_http2(lease)).await,
        }
    }

    async fn run_http2(&mut self, lease: &Lease) -> Result<(), ProxyError> {
        let shared = Rc::clone(&self.request.connection.shared);
        let (parts, body) = lease.response().await?;
        let mut text = shared.scratch.out();
        response_text(&parts, &mut text);
        let mut head = shared.scratch.response();
        let limits = &self.request.compiled.options.head_limits;
        let parsed = parse_response(&text, limits, self.request.head.method, &mut head);
        let result = match parsed {
            Ok(Some(length)) if head.status >= 200 => self.deliver_frames(&mut head, &text, length, body).await,
            Ok(_) => Err(ProxyError::UpstreamProtocol("it switched protocols without being asked")),
            Err(error) => Err(ProxyError::UpstreamProtocol(error.reason.as_str())),
        };
        shared.scratch.put_out(text);
        shared.scratch.put_response(head);
        result
    }

    async fn run_http1(&mut self, stream: &Stream, reused: bool) -> Result<(), ProxyError> {
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
        let Some(asked) = self.plan.upgrade else {
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
                edits: &self.plan.choice.response_headers,
                edit_facts: &facts,
                cors: None,
                server_name: &request.compiled.options.server_name,
                case: &request.compiled.options.header_case,
                service_time_ms: None,
                alternative: None,
                keep_length: false,
                body: BodyForm::None,
                connection: ConnectionForm::Upgrade,
                change: None,
            }
            .write(&connection.shared, &mut out);
        }
        inbox.consume(length);
        self.started = true;
        self.close = true;
        connection.deadlines.tunnel(self.idle_ns);
        match &connection.client {
            Client::Http1(client) => {
                self.aborted = true;
                out.extend_from_slice(inbox.bytes());
                client.write_all(&out).await.map_err(|_| ProxyError::ClientGone)?;
            }
            client => {
                client.begin_tunnel(&out).await?;
                client.send(inbox.bytes(), false).await?;
            }
        }
        connection.shared.scratch.put_out(out);
        let early = request.bytes.get(request.head_len..).unwrap_or_default();
        let websocket = asked.eq_ignore_ascii_case(b"websocket");
        let (up, down) = crate::tunnel::join(connection, stream, early, inbox.bytes(), websocket).await;
        request.record.received.set(request.record.received.get() + up);
        self.sent += down;
        Ok(())
    }
}

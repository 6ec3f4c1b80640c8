//! A client's HTTP/1 connection: request after request until one side has had enough.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;

use sluice_http1::{HeadLimits, NormalizePolicy, RequestError, RequestHead, parse_request};
use sluice_snapshot::Compiled;

use crate::buffers::{Inbox, LARGE};
use crate::client::Client;
use crate::downstream::{After, Busy, Downstream, LINGER_NS, Open};
use crate::http2;
use crate::request::Request;
use crate::stream::Stream;

/// How much is read and dropped while a closing connection lingers, in bytes.
const LINGER_BYTES: usize = 1024 * 1024;
/// What a client that knows HTTP/2 sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that speaks HTTP/1, until its first bytes say otherwise.
pub(crate) struct Session {
    downstream: Downstream,
    inbox: RefCell<Inbox>,
    served: Cell<u64>,
}

/// What reading a head came to.
enum Incoming {
    /// A complete head of this many bytes.
    Head(Box<RequestHead>, usize),
    /// The client speaks HTTP/2 without having negotiated it.
    Preface,
    /// The client closed, or was idle, between requests.
    Finished,
    /// The head did not arrive in time.
    TimedOut,
    /// The head must be refused.
    Refused(RequestError),
}

/// How serving ended.
enum End {
    /// The client may still have to read an answer.
    Linger,
    /// There is nothing to wait for.
    Close,
    /// HTTP/2 takes over.
    Http2,
}

impl Session {
    pub(crate) fn new(downstream: Downstream, inbox: Inbox) -> Self {
        Self { downstream, inbox: RefCell::new(inbox), served: Cell::new(0) }
    }

    /// Serves the connection to its end.
    pub(crate) async fn serve(self, open: Open) {
        let Client::Http1(stream) = &self.downstream.client else { return };
        match self.requests(stream).await {
            End::Close => {}
            End::Linger => self.linger(stream).await,
            End::Http2 => {
                let early = self.inbox.borrow().bytes().to_vec();
                self.inbox.borrow_mut().release(&self.downstream.shared.buffers);
                return Box::pin(http2::server::take_over(self.downstream, early, open)).await;
            }
        }
        self.inbox.borrow_mut().release(&self.downstream.shared.buffers);
    }

    async fn requests(&self, stream: &Stream) -> End {
        let downstream = &self.downstream;
        let shared = &downstream.shared;
        loop {
            let compiled = shared.compiled();
            let incoming = self.read_head(stream, &compiled).await;
            let after = match incoming {
                Incoming::Head(head, length) => {
                    // The configuration of the moment the request is complete, not of the moment the wait began.
                    let compiled = shared.compiled();
                    let busy = Busy::new(shared);
                    let after = {
                        let inbox = self.inbox.take();
                        let after = Request::new(downstream, &compiled, &head, inbox.bytes(), length).serve().await;
                        self.inbox.replace(inbox);
                        after
                    };
                    drop(busy);
                    shared.scratch.put_request(head);
                    after
                }
                Incoming::Preface => return End::Http2,
                Incoming::Finished => After::Abort,
                Incoming::TimedOut => downstream.refuse(&compiled, 408, "request_timeout").await,
                Incoming::Refused(error) => {
                    shared.count_reject(error.reason as usize);
                    downstream.refuse(&compiled, error.status, error.reason.as_str()).await
                }
            };
            self.served.set(self.served.get() + 1);
            match after {
                After::Keep { used, surplus } => {
                    let mut inbox = self.inbox.borrow_mut();
                    inbox.consume(used);
                    inbox.restore(&shared.buffers, &surplus);
                    inbox.release_if_empty(&shared.buffers);
                }
                After::Close => return End::Linger,
                After::Abort => return End::Close,
            }
        }
    }

    async fn read_head(&self, stream: &Stream, compiled: &Compiled) -> Incoming {
        let shared = &self.downstream.shared;
        let deadlines = &self.downstream.deadlines;
        let options = &compiled.options;
        let limits: &HeadLimits = &options.head_limits;
        let policy: &NormalizePolicy = &options.normalize;
        let now = shared.host.now_ns();
        let first = self.served.get() == 0;
        let wait = if first { options.request_head_timeout_ns } else { options.listener_idle_timeout_ns };
        let mut started = !self.inbox.borrow().is_empty();
        deadlines.wait_until(now.saturating_add(if started { options.request_head_timeout_ns } else { wait }));
        loop {
            let preface = first && started && is_preface(self.inbox.borrow().bytes()) && self.takes_http2(compiled);
            if preface && self.inbox.borrow().len() >= PREFACE.len() {
                return Incoming::Preface;
            }
            if started && !preface {
                // An idle connection holds no head either.
                let mut head = shared.scratch.request();
                let parsed = parse_request(self.inbox.borrow().bytes(), limits, policy, &mut head);
                match parsed {
                    Ok(Some(length)) => return Incoming::Head(head, length),
                    Ok(None) => shared.scratch.put_request(head),
                    Err(error) => return Incoming::Refused(error),
                }
            } else if !started && shared.draining.get() && !first {
                return Incoming::Finished;
            }
            let count = match deadlines.within(self.fill(stream, limits.max_head_bytes + LARGE)).await {
                Some(Ok(count)) => count,
                Some(Err(_)) => return Incoming::Finished,
                None if started => return Incoming::TimedOut,
                None => return Incoming::Finished,
            };
            match count {
                None => {} // Woken to look at the circumstances again.
                Some(0) => return Incoming::Finished,
                Some(_) if started => {}
                Some(_) => {
                    started = true;
                    deadlines.wait_until(shared.host.now_ns().saturating_add(options.request_head_timeout_ns));
                }
            }
        }
    }

    fn takes_http2(&self, compiled: &Compiled) -> bool {
        compiled.listener(&self.downstream.listener).is_some_and(|listener| listener.http2)
    }

    /// Reads once. While nothing is there no buffer is held. `None`: a drain began while waiting for a first byte.
    async fn fill(&self, stream: &Stream, limit: usize) -> std::io::Result<Option<usize>> {
        let shared = &self.downstream.shared;
        let mut waited = false;
        poll_fn(|context| {
            let mut inbox = self.inbox.borrow_mut();
            let space = inbox.space(&shared.buffers, limit);
            match stream.poll_read(context, space) {
                std::task::Poll::Ready(result) => std::task::Poll::Ready(result.map(|count| {
                    inbox.filled(count);
                    Some(count)
                })),
                std::task::Poll::Pending => {
                    if inbox.is_empty() {
                        inbox.release(&shared.buffers);
                        if waited && shared.draining.get() {
                            return std::task::Poll::Ready(Ok(None));
                        }
                    }
                    waited = true;
                    std::task::Poll::Pending
                }
            }
        })
        .await
    }

    /// Ends our direction, then reads until the client ends its own: closing with unread input would reset the
    /// connection and destroy the answer on its way (RFC 9112 section 9.6).
    async fn linger(&self, stream: &Stream) {
        let shared = &self.downstream.shared;
        self.downstream.deadlines.wait_until(shared.host.now_ns().saturating_add(LINGER_NS));
        let lingering = async {
            if stream.shutdown_write().await.is_err() {
                return;
            }
            let mut buffer = shared.buffers.small();
            let mut left = LINGER_BYTES;
            while left > 0 {
                match poll_fn(|context| stream.poll_read(context, &mut buffer)).await {
                    Ok(count) if count > 0 => left = left.saturating_sub(count),
                    _ => break,
                }
            }
            shared.buffers.put(buffer);
        };
        // A time-out ends the wait like an end of stream does.
        self.downstream.deadlines.within(Box::pin(lingering)).await;
    }
}

/// The bytes are the preface, or may still become it. `PRI` is no method that anybody serves.
fn is_preface(bytes: &[u8]) -> bool {
    let known = bytes.len().min(PREFACE.len());
    known > 3 && bytes[..known] == PREFACE[..known]
}

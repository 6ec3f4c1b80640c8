//! A client's connection: request after request until one side has had enough.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;

use sluice_http1::{HeadLimits, NormalizePolicy, RequestError, RequestHead, parse_request};
use sluice_policy::stats::{Field, Global};
use sluice_snapshot::Compiled;

use crate::buffers::{Inbox, LARGE};
use crate::deadline::Deadlines;
use crate::reply::Reply;
use crate::request::Request;
use crate::shared::Shared;
use crate::stream::Stream;

/// How much unread request body is read and dropped to save a connection, in bytes.
pub(crate) const DRAIN_LIMIT: u64 = 64 * 1024;
/// How long a closing connection waits for the client to read the answer, in nanoseconds.
const LINGER_NS: u64 = 2_000_000_000;
/// How much is read and dropped meanwhile, in bytes.
const LINGER_BYTES: usize = 1024 * 1024;

/// A connection and what is known about it.
pub(crate) struct Downstream {
    pub(crate) shared: Rc<Shared>,
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// Section name of the listener.
    pub(crate) listener: Rc<str>,
    /// Row of the listener in shared memory.
    pub(crate) slot: usize,
    /// Which TLS termination the handshake chose.
    pub(crate) termination: Option<usize>,
    pub(crate) deadlines: Deadlines,
    pub(crate) inbox: RefCell<Inbox>,
    pub(crate) served: Cell<u64>,
}

/// What reading a head came to.
enum Incoming {
    /// A complete head of this many bytes.
    Head(Box<RequestHead>, usize),
    /// The client closed, or was idle, between requests.
    Finished,
    /// The head did not arrive in time.
    TimedOut,
    /// The head must be refused.
    Refused(RequestError),
}

/// What happens to the connection after a request.
pub(crate) enum After {
    /// It serves the next one; this many bytes of the inbox were used, and these were read too many.
    Keep {
        /// Bytes of head and body in the inbox.
        used: usize,
        /// Bytes read beyond the body.
        surplus: Vec<u8>,
    },
    /// It is closed once the client has read the answer.
    Close,
    /// It is closed at once (the answer is incomplete, or the client is gone).
    Abort,
}

impl Downstream {
    /// Serves the connection to its end.
    pub(crate) async fn serve(self) {
        let shared = Rc::clone(&self.shared);
        shared.connections.set(shared.connections.get() + 1);
        shared.count(Global::Active, 1);
        if let Some(row) = shared.listener_row(self.slot) {
            row.add(Field::ConnectionsActive, 1);
        }
        let guard = Gauge { shared: &shared, slot: self.slot };
        let linger = self.requests().await;
        if linger {
            self.linger().await;
        }
        self.inbox.borrow_mut().release(&shared.buffers);
        drop(guard);
    }

    /// Serves requests; tells whether the client may still have to read an answer.
    async fn requests(&self) -> bool {
        loop {
            let compiled = self.shared.compiled();
            let incoming = self.read_head(&compiled).await;
            let after = match incoming {
                Incoming::Head(head, length) => {
                    // The configuration of the moment the request is complete, not of the moment the wait began.
                    let compiled = self.shared.compiled();
                    self.shared.in_flight.set(self.shared.in_flight.get() + 1);
                    self.shared.count(Global::InFlight, 1);
                    let busy = Busy(&self.shared);
                    let after = {
                        let inbox = self.inbox.take();
                        let after = Request::new(self, &compiled, &head, inbox.bytes(), length).serve().await;
                        self.inbox.replace(inbox);
                        after
                    };
                    drop(busy);
                    self.shared.scratch.put_request(head);
                    after
                }
                Incoming::Finished => After::Abort,
                Incoming::TimedOut => self.refuse(&compiled, 408, "request_timeout").await,
                Incoming::Refused(error) => {
                    self.shared.count_reject(error.reason as usize);
                    self.refuse(&compiled, error.status, error.reason.as_str()).await
                }
            };
            self.served.set(self.served.get() + 1);
            match after {
                After::Keep { used, surplus } => {
                    let mut inbox = self.inbox.borrow_mut();
                    inbox.consume(used);
                    inbox.restore(&self.shared.buffers, &surplus);
                    inbox.release_if_empty(&self.shared.buffers);
                }
                After::Close => return true,
                After::Abort => return false,
            }
        }
    }

    async fn read_head(&self, compiled: &Compiled) -> Incoming {
        let options = &compiled.options;
        let limits: &HeadLimits = &options.head_limits;
        let policy: &NormalizePolicy = &options.normalize;
        let now = self.shared.host.now_ns();
        let first = self.served.get() == 0;
        let wait = if first { options.request_head_timeout_ns } else { options.listener_idle_timeout_ns };
        let mut started = !self.inbox.borrow().is_empty();
        self.deadlines.wait_until(now.saturating_add(if started { options.request_head_timeout_ns } else { wait }));
        loop {
            if started {
                // An idle connection holds no head either.
                let mut head = self.shared.scratch.request();
                let parsed = parse_request(self.inbox.borrow().bytes(), limits, policy, &mut head);
                match parsed {
                    Ok(Some(length)) => return Incoming::Head(head, length),
                    Ok(None) => self.shared.scratch.put_request(head),
                    Err(error) => return Incoming::Refused(error),
                }
            } else if self.shared.draining.get() && !first {
                return Incoming::Finished;
            }
            let count = match self.deadlines.within(self.fill(limits.max_head_bytes + LARGE)).await {
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
                    let until = self.shared.host.now_ns().saturating_add(options.request_head_timeout_ns);
                    self.deadlines.wait_until(until);
                }
            }
        }
    }

    /// Reads once. While nothing is there no buffer is held. `None`: a drain began while waiting for a first byte.
    async fn fill(&self, limit: usize) -> std::io::Result<Option<usize>> {
        let mut waited = false;
        poll_fn(|context| {
            let mut inbox = self.inbox.borrow_mut();
            let space = inbox.space(&self.shared.buffers, limit);
            match self.stream.poll_read(context, space) {
                std::task::Poll::Ready(result) => std::task::Poll::Ready(result.map(|count| {
                    inbox.filled(count);
                    Some(count)
                })),
                std::task::Poll::Pending => {
                    if inbox.is_empty() {
                        inbox.release(&self.shared.buffers);
                        if waited && self.shared.draining.get() {
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

    /// Answers something that is no request.
    async fn refuse(&self, compiled: &Compiled, status: u16, reason: &'static str) -> After {
        let mut out = self.shared.scratch.out();
        Reply::new(status).body(b"text/plain", reason.as_bytes()).close().write(&self.shared, compiled, &mut out);
        if let Some(row) = self.shared.listener_row(self.slot) {
            row.response(status, 0);
        }
        self.deadlines.wait_until(self.shared.host.now_ns().saturating_add(LINGER_NS));
        let written = self.deadlines.within(self.stream.write_all(&out)).await;
        self.shared.scratch.put_out(out);
        crate::record::refused(self, compiled, status, reason);
        if matches!(written, Some(Ok(()))) { After::Close } else { After::Abort }
    }

    /// Ends our direction, then reads until the client ends its own: closing with unread input would reset the
    /// connection and destroy the answer on its way (RFC 9112 section 9.6).
    async fn linger(&self) {
        self.deadlines.wait_until(self.shared.host.now_ns().saturating_add(LINGER_NS));
        let lingering = async {
            if self.stream.shutdown_write().await.is_err() {
                return;
            }
            let mut buffer = self.shared.buffers.small();
            let mut left = LINGER_BYTES;
            while left > 0 {
                match poll_fn(|context| self.stream.poll_read(context, &mut buffer)).await {
                    Ok(count) if count > 0 => left = left.saturating_sub(count),
                    _ => break,
                }
            }
            self.shared.buffers.put(buffer);
        };
        // A time-out ends the wait like an end of stream does.
        self.deadlines.within(Box::pin(lingering)).await;
    }
}

/// Lowers the gauges of a connection however it ends.
struct Gauge<'s> {
    shared: &'s Shared,
    slot: usize,
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.shared.connections.set(self.shared.connections.get().saturating_sub(1));
        self.shared.uncount(Global::Active, 1);
        if let Some(row) = self.shared.listener_row(self.slot) {
            row.sub(Field::ConnectionsActive, 1);
        }
    }
}

/// Lowers the gauge of a request however it ends.
struct Busy<'s>(&'s Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
        self.0.uncount(Global::InFlight, 1);
    }
}

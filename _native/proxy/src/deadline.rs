//! The deadlines of one connection: one timer, several reasons.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use sluice_host::{Host, Timer};

use crate::client::Client;
use crate::error::ProxyError;
use crate::relay::Progress;

/// The deadlines that apply at this moment, as monotonic nanoseconds; 0 means none.
pub(crate) struct Deadlines {
    host: Host,
    timer: Timer,
    request_ns: Cell<u64>,
    /// End of the current attempt.
    attempt_ns: Cell<u64>,
    idle_ns: Cell<u64>,
    idle_after_ns: Cell<u64>,
    uploading: Cell<bool>,
}

impl Deadlines {
    pub(crate) fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            timer: Timer::new(host),
            request_ns: Cell::new(0),
            attempt_ns: Cell::new(0),
            idle_ns: Cell::new(0),
            idle_after_ns: Cell::new(0),
            uploading: Cell::new(false),
        }
    }

    fn arm(&self) {
        let set = [self.request_ns.get(), self.attempt_ns.get(), self.idle_ns.get()];
        match set.into_iter().filter(|&at| at != 0).min() {
            Some(at) => self.timer.set(at),
            None => self.timer.clear(),
        }
    }

    /// The current attempt has so much time; 0 for no limit, also once its answer has begun.
    pub(crate) fn attempt(&self, timeout_ns: u64) {
        self.attempt_ns.set(if timeout_ns == 0 { 0 } else { self.host.now_ns().saturating_add(timeout_ns) });
        self.arm();
    }

    /// Waiting for a request (or the rest of its head): one plain deadline.
    pub(crate) fn wait_until(&self, at_ns: u64) {
        self.request_ns.set(0);
        self.attempt_ns.set(0);
        self.idle_after_ns.set(0);
        self.idle_ns.set(at_ns);
        self.arm();
    }

    /// A request starts: `idle_ns` is the longest pause (0 for none). The request's own timeout starts with
    /// [`Deadlines::uploaded`].
    pub(crate) fn start_request(&self, idle_ns: u64, uploading: bool) {
        self.request_ns.set(0);
        self.uploading.set(uploading);
        self.set_idle(idle_ns);
    }

    /// The request is complete; from here on its answer has `timeout_ns` (0 for no limit). Envoy starts its route
    /// timeout at the same point.
    pub(crate) fn uploaded(&self, timeout_ns: u64, idle_ns: u64) {
        self.uploading.set(false);
        self.request_ns.set(if timeout_ns == 0 { 0 } else { self.host.now_ns().saturating_add(timeout_ns) });
        self.set_idle(idle_ns);
    }

    /// Another attempt of a complete request: its timeout goes on, its idle time starts again.
    pub(crate) fn resumed(&self, idle_ns: u64) {
        self.uploading.set(false);
        self.set_idle(idle_ns);
    }

    /// No limit on the whole any more (a tunnel), only on pauses.
    pub(crate) fn tunnel(&self, idle_ns: u64) {
        self.request_ns.set(0);
        self.uploading.set(false);
        self.set_idle(idle_ns);
    }

    fn set_idle(&self, idle_ns: u64) {
        self.idle_after_ns.set(idle_ns);
        self.idle_ns.set(if idle_ns == 0 { 0 } else { self.host.now_ns().saturating_add(idle_ns) });
        self.arm();
    }

    /// The request body is still on its way.
    pub(crate) fn is_uploading(&self) -> bool {
        self.uploading.get()
    }

    /// Nothing is waited for.
    pub(crate) fn clear(&self) {
        self.request_ns.set(0);
        self.attempt_ns.set(0);
        self.idle_ns.set(0);
        self.arm();
    }

    /// Why the timer fired.
    fn cause(&self) -> ProxyError {
        let (request, idle) = (self.request_ns.get(), self.idle_ns.get());
        let attempt = self.attempt_ns.get();
        if attempt != 0 && attempt <= self.host.now_ns() && (request == 0 || attempt < request) {
            return ProxyError::PerTryTimeout;
        }
        if request != 0 && (idle == 0 || request <= idle) {
            ProxyError::Timeout
        } else if self.uploading.get() {
            ProxyError::BodyTimeout
        } else {
            ProxyError::IdleTimeout
        }
    }

    /// Runs `work` until it ends, a deadline passes, or the client is gone for good.
    pub(crate) async fn limit<R>(
        &self,
        client: &Client,
        work: impl Future<Output = Result<R, ProxyError>>,
    ) -> Result<R, ProxyError> {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if client.poll_gone(context) {
                return Poll::Ready(Err(ProxyError::ClientGone));
            }
            if self.timer.poll_expired(context).is_ready() {
                return Poll::Ready(Err(self.cause()));
            }
            Poll::Pending
        })
        .await
    }

    /// As [`Deadlines::limit`] for waits where the client's going away ends the wait by itself; `None` on time-out.
    pub(crate) async fn within<R>(&self, work: impl Future<Output = R>) -> Option<R> {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            if self.timer.poll_expired(context).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }
}

/// Counts one direction of a body and keeps the idle deadline ahead of it.
pub(crate) struct Meter<'d> {
    deadlines: &'d Deadlines,
    bytes: Cell<u64>,
}

impl<'d> Meter<'d> {
    pub(crate) fn new(deadlines: &'d Deadlines) -> Self {
        Self { deadlines, bytes: Cell::new(0) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

impl Progress for Meter<'_> {
    fn moved(&self, count: usize) {
        self.bytes.set(self.bytes.get() + count as u64);
        let deadlines = self.deadlines;
        let after = deadlines.idle_after_ns.get();
        if after != 0 {
            deadlines.idle_ns.set(deadlines.host.now_ns().saturating_add(after));
            deadlines.arm();
        }
    }
}

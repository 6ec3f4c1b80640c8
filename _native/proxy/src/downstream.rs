//! What is known about the client of an exchange.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use sluice_policy::stats::Global;
use sluice_snapshot::Compiled;

use crate::admitted::Admitted;
use crate::client::Client;
use crate::deadline::Deadlines;
use crate::reply::Reply;
use crate::shared::Shared;

/// How much unread request body is read and dropped to save a connection, in bytes.
pub(crate) const DRAIN_LIMIT: u64 = 64 * 1024;
/// How long a closing connection waits for the client to read the answer, in nanoseconds.
pub(crate) const LINGER_NS: u64 = 2_000_000_000;

/// An HTTP/1 connection or one stream of an HTTP/2 connection, and what is known about it.
pub(crate) struct Downstream {
    pub(crate) shared: Rc<Shared>,
    pub(crate) client: Client,
    /// The client as the network or a PROXY header names it.
    pub(crate) peer: SocketAddr,
    /// The other end of the connection, whatever a PROXY header says.
    pub(crate) direct: IpAddr,
    /// Section name of the listener.
    pub(crate) listener: Rc<str>,
    /// Row of the listener in shared memory.
    pub(crate) slot: usize,
    /// Which TLS termination the handshake chose.
    pub(crate) termination: Option<usize>,
    pub(crate) deadlines: Deadlines,
}

/// What happens to the connection after a request. A stream of HTTP/2 ends with its request; for it only `Abort` differs.
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
    /// Answers something that is no request.
    pub(crate) async fn refuse(&self, compiled: &Compiled, status: u16, reason: &'static str) -> After {
        let mut out = self.shared.scratch.out();
        let reply = Reply::new(status).body(b"text/plain", reason.as_bytes()).close();
        reply.write(&self.shared, compiled, &mut out);
        if let Some(row) = self.shared.listener_row(self.slot) {
            row.response(status, 0);
        }
        self.deadlines.wait_until(self.shared.host.now_ns().saturating_add(LINGER_NS));
        let sending = self.client.send_whole(&out, out.len() - reply.sent_body());
        let written = self.deadlines.within(sending).await;
        self.shared.scratch.put_out(out);
        crate::record::refused(self, compiled, status, reason);
        if matches!(written, Some(Ok(()))) { After::Close } else { After::Abort }
    }
}

/// Counts a connection that a drain waits for as long as it lives, however it ends.
pub(crate) struct Open {
    pub(crate) admitted: Admitted,
}

impl Open {
    pub(crate) fn new(admitted: Admitted) -> Self {
        let connections = &admitted.shared.connections;
        connections.set(connections.get() + 1);
        Self { admitted }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let connections = &self.admitted.shared.connections;
        connections.set(connections.get().saturating_sub(1));
    }
}

/// Counts a request as long as it is served, however it ends.
pub(crate) struct Busy<'s>(&'s Shared);

impl<'s> Busy<'s> {
    pub(crate) fn new(shared: &'s Shared) -> Self {
        shared.in_flight.set(shared.in_flight.get() + 1);
        shared.count(Global::InFlight, 1);
        Self(shared)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
        self.0.uncount(Global::InFlight, 1);
    }
}

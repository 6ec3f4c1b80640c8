//! The bytes of a TCP route, both ways.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sluice_host::TcpIo;

use crate::copy::{Broken, copy};
use crate::deadline::{Deadlines, Meter};
use crate::ledger::Ledger;
use crate::relay::Progress;
use crate::rules::nanos;
use crate::stream::Stream;

use super::reach::Reached;

/// How a forwarded connection ended.
enum End {
    /// Both sides said all they had to say.
    Finished,
    ClientReset,
    UpstreamReset,
}

/// One direction; its numbers are up to date at any time, because a connection may live for days.
struct Flow<'f> {
    meter: Meter<'f>,
    ledger: &'f Ledger,
    up: bool,
}

impl Progress for Flow<'_> {
    fn moved(&self, count: usize) {
        self.meter.moved(count);
        self.ledger.moved(self.up, count as u64);
    }
}

/// Copies both ways. The end of one direction is passed on and leaves the other one open. A reset of one side, or an end
/// of the endpoint's TCP without an end of its TLS, resets the other, unless that one was told of an end before: then what
/// is under way to it still arrives.
pub(super) async fn pass(ledger: &Ledger, client: &Stream, reached: &Reached, idle_timeout: Option<Duration>) {
    let shared = &ledger.shared;
    let upstream = &reached.link.stream;
    let deadlines = Deadlines::new(&shared.host);
    deadlines.tunnel(idle_timeout.map_or(0, nanos));
    let flow = |up| Flow { meter: Meter::new(&deadlines), ledger, up };
    let (up_flow, down_flow) = (flow(true), flow(false));
    // Many clients end without a closure alert: what they have sent must reach the endpoint all the same, as in Envoy.
    let mut up = pin!(async {
        match copy(&shared.buffers, client, upstream, &up_flow).await {
            Err(Broken::Cut) => upstream.shutdown_write().await.map_err(Broken::To),
            done => done,
        }
    });
    let mut down = pin!(copy(&shared.buffers, upstream, client, &down_flow));
    let (mut up_done, mut down_done) = (false, false);
    let both = poll_fn(|context| {
        if !up_done && let Poll::Ready(result) = up.as_mut().poll(context) {
            match result {
                Ok(()) => up_done = true,
                Err(Broken::From(_) | Broken::Cut) => return Poll::Ready(End::ClientReset),
                Err(Broken::To(_)) => return Poll::Ready(End::UpstreamReset),
            }
        }
        if !down_done && let Poll::Ready(result) = down.as_mut().poll(context) {
            match result {
                Ok(()) => down_done = true,
                Err(Broken::From(_) | Broken::Cut) => return Poll::Ready(End::UpstreamReset),
                Err(Broken::To(_)) => return Poll::Ready(End::ClientReset),
            }
        }
        // While the other side is full a side is not read, so its reset shows only here. Before we ended our direction
        // towards it, a side that is gone for good was reset.
        if up_done && down_done {
            Poll::Ready(End::Finished)
        } else if !down_done && client.is_hung_up() {
            Poll::Ready(End::ClientReset)
        } else if !up_done && upstream.is_hung_up() {
            Poll::Ready(End::UpstreamReset)
        } else {
            client.watch_peer(context);
            upstream.watch_peer(context);
            Poll::Pending
        }
    });
    let end = deadlines.within(both).await;
    match end {
        Some(End::Finished) => ledger.flag("-"),
        Some(End::ClientReset) => {
            ledger.flag("DC");
            if !up_done {
                upstream.with_tcp(TcpIo::reset_on_close);
            }
        }
        Some(End::UpstreamReset) => {
            ledger.flag("UC");
            if !down_done {
                client.with_tcp(TcpIo::reset_on_close);
            }
        }
        None => ledger.flag("SI"),
    }
}

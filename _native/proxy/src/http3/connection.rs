//! A client's HTTP/3 connection: it accepts streams, each of which is a task of its own.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use quinn::crypto::rustls::HandshakeData;
use quinn::{Connecting, Connection, SendStream};
use sluice_host::Timer;
use sluice_http1::RejectReason;
use sluice_http3::{Code, uni_stream, varint, write_goaway, write_settings};
use sluice_policy::stats::Global;
use sluice_snapshot::tls::ListenerTls;

use super::control::{self, Opened};
use super::exchange;
use super::frames::Broken;
use super::listen::{Handshaking, Watch};
use crate::admitted::Admitted;
use crate::downstream::{LINGER_NS, Open};
use crate::flood::ResetJudge;
use crate::shared::Shared;

/// Time for a handshake, in nanoseconds (row D45).
const HANDSHAKE_NS: u64 = 10_000_000_000;
/// After the last answer a client that was asked to leave gets the time of two round trips and this, in nanoseconds: what
/// it has sent before it knew is then here, and is told that it was not processed.
const GOODBYE_NS: u64 = 20_000_000;

/// What all streams of a connection know about it.
pub(super) struct Arrival {
    pub(super) shared: Rc<Shared>,
    pub(super) peer: SocketAddr,
    pub(super) listener: Rc<str>,
    pub(super) slot: usize,
    pub(super) termination: Option<usize>,
    pub(super) opened: Opened,
    /// Largest field section that the client takes.
    pub(super) section_limit: Cell<u64>,
    pub(super) active: Cell<usize>,
    pub(super) judge: RefCell<ResetJudge>,
    connection: Connection,
    /// The connection's task, while it waits.
    waker: RefCell<Option<Waker>>,
}

impl Arrival {
    /// A stream ended early: if the client broke the protocol, the connection ends.
    pub(super) fn broken(&self, broken: Broken) {
        if let Broken::Protocol(code) = broken {
            self.connection.close(super::varint(code), b"");
        }
    }

    /// A stream is over: the connection has to look at its idle time, or at what was judged.
    pub(super) fn ended(&self) {
        self.active.set(self.active.get().saturating_sub(1));
        if (self.active.get() == 0 || self.judge.borrow().is_flood())
            && let Some(waker) = self.waker.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

/// Where a connection came in.
pub(super) struct Fresh {
    pub(super) watch: Watch,
    pub(super) handshaking: Handshaking,
    pub(super) name: Rc<str>,
    pub(super) slot: usize,
    pub(super) admitted: Admitted,
    /// The TLS settings at that moment.
    pub(super) tls: Arc<ListenerTls>,
}

/// Serves a connection from its handshake on.
pub(super) async fn serve(shared: Rc<Shared>, fresh: Fresh, connecting: Connecting) {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns().saturating_add(HANDSHAKE_NS));
    let done = within(&timer, connecting).await;
    drop(fresh.handshaking);
    let Some(Ok(connection)) = done else {
        shared.count(Global::TlsFailures, 1);
        return;
    };
    // Only now the address is known to be the client's own.
    let compiled = shared.compiled();
    let admitted = match compiled.listener(&fresh.name) {
        Some(listener) => fresh.admitted.from(connection.remote_address().ip(), listener),
        None => Some(fresh.admitted),
    };
    drop(compiled);
    let Some(admitted) = admitted else {
        return connection.close(super::varint(Code::H3_EXCESSIVE_LOAD), b"");
    };
    let open = Open::new(admitted);
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let server_name = data.and_then(|data| data.server_name);
    let peer = connection.remote_address();
    let arrival = Rc::new(Arrival {
        peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        listener: fresh.name,
        slot: fresh.slot,
        // Without a server name there is no claim that a Host header could contradict.
        termination: server_name.as_deref().and_then(|name| fresh.tls.termination(Some(name))),
        opened: Opened::default(),
        section_limit: Cell::new(u64::MAX),
        active: Cell::new(0),
        judge: RefCell::default(),
        connection,
        waker: RefCell::default(),
        shared,
    });
    let options = arrival.shared.compiled();
    timer.set(arrival.shared.host.now_ns().saturating_add(options.options.request_head_timeout_ns));
    let greeting = greet(&arrival.connection, options.options.head_limits.max_head_bytes as u64);
    let code = match within(&timer, greeting).await {
        Some(Ok(control)) => {
            drop(options);
            timer.clear();
            let mut farewell = Farewell { control, pending: Vec::new(), next: 0, leaving: false, idle: false };
            requests(&arrival, &fresh.watch, &timer, &mut farewell).await
        }
        // Without a control stream there is no HTTP/3.
        _ => Code::H3_GENERAL_PROTOCOL_ERROR,
    };
    arrival.connection.close(super::varint(code), b"");
    drop(open);
}

/// Runs `work` until it ends or the timer fires.
async fn within<R>(timer: &Timer, work: impl Future<Output = R>) -> Option<R> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        timer.poll_expired(context).map(|()| None)
    })
    .await
}

/// Opens the control stream and says what the gateway takes (RFC 9114 section 6.2.1). It instructs nobody about a dynamic
/// table, so it opens no streams of QPACK (RFC 9204 section 4.2).
async fn greet(connection: &Connection, section_limit: u64) -> Result<SendStream, quinn::WriteError> {
    let mut control = connection.open_uni().await?;
    let mut greeting = Vec::new();
    varint::write(uni_stream::CONTROL, &mut greeting);
    write_settings(section_limit, &mut greeting);
    control.write_all(&greeting).await?;
    Ok(control)
}

/// How far a connection is on its way to its end.
struct Farewell {
    control: SendStream,
    /// What is still to be written to the control stream.
    pending: Vec<u8>,
    /// Number of the next request.
    next: u64,
    /// The client was asked to leave (GOAWAY).
    leaving: bool,
    /// There are no requests, and the timer runs.
    idle: bool,
}

impl Farewell {
    fn leave(&mut self) {
        self.leaving = true;
        self.idle = false;
        // Requests are the streams 0, 4, 8, … (RFC 9000 section 2.1).
        write_goaway(self.next * 4, &mut self.pending);
    }

    /// Writes what is pending. A control stream that is closed or stopped is the client's fault.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<(), Code> {
        while !self.pending.is_empty() {
            let written = pin!(self.control.write(&self.pending)).poll(context);
            match written {
                Poll::Ready(Ok(count)) => drop(self.pending.drain(..count)),
                Poll::Ready(Err(_)) => return Err(Code::H3_CLOSED_CRITICAL_STREAM),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

/// Takes requests until the connection ends; with which code.
async fn requests(arrival: &Rc<Arrival>, watch: &Watch, timer: &Timer, farewell: &mut Farewell) -> Code {
    let connection = &arrival.connection;
    let host = &arrival.shared.host;
    let mut next = pin!(connection.accept_bi());
    let mut next_uni = pin!(connection.accept_uni());
    poll_fn(|context| {
        watch.wait(context);
        *arrival.waker.borrow_mut() = Some(context.waker().clone());
        if arrival.judge.borrow().is_flood() {
            arrival.shared.count_reject(RejectReason::StreamResets as usize);
            return Poll::Ready(Code::H3_EXCESSIVE_LOAD);
        }
        // A client that has just come for want of memory elsewhere gets one answer at least.
        let unwanted = arrival.shared.draining.get() || (farewell.next > 0 && arrival.shared.closes_connections());
        if (unwanted || watch.is_retired()) && !farewell.leaving {
            farewell.leave();
        }
        while let Poll::Ready(stream) = next_uni.as_mut().poll(context) {
            let Ok(stream) = stream else { return Poll::Ready(Code::H3_NO_ERROR) };
            next_uni.set(connection.accept_uni());
            host.spawn_in_turn(control::read(Rc::clone(arrival), stream));
        }
        while let Poll::Ready(stream) = next.as_mut().poll(context) {
            let Ok((mut send, mut receive)) = stream else { return Poll::Ready(Code::H3_NO_ERROR) };
            next.set(connection.accept_bi());
            let number = receive.id().index();
            if farewell.leaving && number >= farewell.next {
                // It was told that this request is not processed: it may send it elsewhere (RFC 9114 section 4.1.1).
                let _closed = send.reset(super::varint(Code::H3_REQUEST_REJECTED));
                let _closed = receive.stop(super::varint(Code::H3_REQUEST_REJECTED));
                continue;
            }
            farewell.next = farewell.next.max(number + 1);
            farewell.idle = false;
            timer.clear();
            arrival.active.set(arrival.active.get() + 1);
            host.spawn_in_turn(exchange::serve(Rc::clone(arrival), send, receive));
        }
        if let Err(code) = farewell.poll_write(context) {
            return Poll::Ready(code);
        }
        poll_idle(arrival, timer, farewell, context)
    })
    .await
}

/// Ends a connection that has had no request for its idle time, or was asked to leave and has no more.
fn poll_idle(arrival: &Arrival, timer: &Timer, farewell: &mut Farewell, context: &mut Context<'_>) -> Poll<Code> {
    if arrival.active.get() > 0 {
        return Poll::Pending;
    }
    let now = arrival.shared.host.now_ns();
    if !farewell.idle {
        farewell.idle = true;
        let wait = if farewell.leaving {
            let trips = u64::try_from(arrival.connection.rtt().as_nanos()).unwrap_or(u64::MAX).saturating_mul(2);
            trips.saturating_add(GOODBYE_NS).min(LINGER_NS)
        } else {
            arrival.shared.compiled().options.listener_idle_timeout_ns
        };
        timer.set(now.saturating_add(wait));
    }
    if timer.poll_expired(context).is_pending() {
        return Poll::Pending;
    }
    if farewell.leaving {
        return Poll::Ready(Code::H3_NO_ERROR);
    }
    farewell.leave();
    context.waker().wake_by_ref();
    Poll::Pending
}

//! A client's HTTP/2 connection: it accepts streams, each of which is a task of its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request as Message;
use sluice_host::{TcpIo, Timer};
use sluice_http1::{Framing, RejectReason, RequestError, parse_request};
use sluice_snapshot::Options;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::StreamClient;
use crate::client::Client;
use crate::downstream::{After, Busy, Downstream, LINGER_NS, Open};
use crate::flood::ResetJudge;
use crate::heads::request_text;
use crate::request::Request;
use crate::shared::Shared;
use crate::stream::Stream;

/// Body bytes that one stream may send ahead (the same).
const STREAM_WINDOW: u32 = 64 * 1024;
/// … and all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Body bytes that may wait for the socket, per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that were reset by us for the client's faults before the connection is closed (CVE-2025-8671).
const LOCAL_ERRORS: usize = 100;

/// What all streams of a connection know about it.
struct Arrival {
    shared: Rc<Shared>,
    peer: SocketAddr,
    direct: IpAddr,
    listener: Rc<str>,
    slot: usize,
    termination: Option<usize>,
    secure: bool,
    active: Cell<usize>,
    judge: RefCell<ResetJudge>,
    /// The connection's task, while it waits.
    waker: RefCell<Option<Waker>>,
}

/// Serves a connection whose first bytes were the preface of HTTP/2, or whose handshake chose it. `early` was read
/// already; `open` counts the connection.
pub(crate) async fn take_over(downstream: Downstream, early: Vec<u8>, open: Open) {
    let Downstream { shared, client, peer, direct, listener, slot, termination, .. } = downstream;
    let Client::Http1(stream) = client else { return };
    let arrival = Arrival {
        shared,
        peer,
        direct,
        listener,
        slot,
        termination,
        secure: stream.is_tls(),
        active: Cell::new(0),
        judge: RefCell::default(),
        waker: RefCell::default(),
    };
    match stream {
        Stream::Plain(tcp) => serve(arrival, Early { io: tcp, bytes: early, at: 0 }).await,
        Stream::Tls(tls) => serve(arrival, tls.into_inner()).await,
    }
    drop(open);
}

fn settings(options: &Options, streams: u32) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(streams)
        .max_header_list_size(u32::try_from(options.head_limits.max_head_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(LOCAL_ERRORS))
        .enable_connect_protocol();
    builder
}

async fn serve<T: AsyncRead + AsyncWrite + Unpin>(arrival: Arrival, io: T) {
    let shared = Rc::clone(&arrival.shared);
    let timer = Timer::new(&shared.host);
    let compiled = shared.compiled();
    let options = &compiled.options;
    let listener = compiled.listener(&arrival.listener);
    let streams =
        listener.map_or(options.http2_max_concurrent_streams, |listener| listener.http2_max_concurrent_streams);
    timer.set(shared.host.now_ns().saturating_add(options.request_head_timeout_ns));
    let mut handshake = Box::pin(settings(options, streams).handshake(io));
    let greeted = poll_fn(|context| {
        if let Poll::Ready(done) = Pin::new(&mut handshake).poll(context) {
            return Poll::Ready(done.ok());
        }
        timer.poll_expired(context).map(|()| None)
    });
    let Some(mut connection) = greeted.await else { return };
    drop((handshake, compiled));
    timer.clear();
    let arrival = Rc::new(arrival);
    let mut farewell = Farewell::default();
    loop {
        match poll_fn(|context| poll_next(&arrival, &mut connection, &timer, &mut farewell, context)).await {
            Some((message, respond)) => {
                arrival.active.set(arrival.active.get() + 1);
                shared.host.spawn_in_turn(exchange(Rc::clone(&arrival), message, respond));
            }
            None => return,
        }
    }
}

/// How far a connection is on its way to its end.
#[derive(Default)]
struct Farewell {
    /// It has no streams, and the timer runs.
    idle: bool,
    /// The client was asked to leave (GOAWAY).
    leaving: bool,
    /// The client was thrown out.
    calmed: bool,
    /// There was a stream.
    served: bool,
}

/// The next stream; `None` at the end of the connection.
fn poll_next<T: AsyncRead + AsyncWrite + Unpin>(
    arrival: &Arrival,
    connection: &mut Connection<T, Bytes>,
    timer: &Timer,
    farewell: &mut Farewell,
    context: &mut Context<'_>,
) -> Poll<Option<(Message<RecvStream>, SendResponse<Bytes>)>> {
    let shared = &arrival.shared;
    if arrival.judge.borrow().is_flood() && !farewell.calmed {
        farewell.calmed = true;
        shared.count_reject(RejectReason::StreamResets as usize);
        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    }
    if (shared.draining.get() || (farewell.served && shared.closes_connections())) && !farewell.leaving {
        farewell.leaving = true;
        // An idle connection gets the time of a farewell instead of its idle time.
        farewell.idle = false;
        connection.graceful_shutdown();
    }
    match connection.poll_accept(context) {
        Poll::Ready(Some(Ok(stream))) => {
            timer.clear();
            farewell.idle = false;
            farewell.served = true;
            return Poll::Ready(Some(stream));
        }
        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
        Poll::Pending => {}
    }
    *arrival.waker.borrow_mut() = Some(context.waker().clone());
    if arrival.active.get() > 0 {
        return Poll::Pending;
    }
    let now = shared.host.now_ns();
    if !farewell.idle {
        farewell.idle = true;
        let idle = if farewell.leaving { LINGER_NS } else { shared.compiled().options.listener_idle_timeout_ns };
        timer.set(now.saturating_add(idle));
    }
    if timer.poll_expired(context).is_pending() {
        return Poll::Pending;
    }
    if farewell.leaving {
        // It was asked to leave and still is there.
        return Poll::Ready(None);
    }
    farewell.leaving = true;
    connection.graceful_shutdown();
    timer.set(now.saturating_add(LINGER_NS));
    context.waker().wake_by_ref();
    Poll::Pending
}

/// Serves one stream.
async fn exchange(arrival: Rc<Arrival>, message: Message<RecvStream>, respond: SendResponse<Bytes>) {
    let ending =
        Ending { arrival: Rc::clone(&arrival), start_ns: arrival.shared.host.now_ns(), reset: Cell::new(true) };
    let shared = &arrival.shared;
    let (parts, body) = message.into_parts();
    let body = (!body.is_end_stream()).then_some(body);
    // What follows an extended CONNECT is no body but the other protocol (RFC 8441).
    let connects = parts.extensions.get::<Protocol>().is_some();
    let has_body = body.is_some() && !connects;
    let mut text = shared.scratch.out();
    request_text(&parts, || shared.random_key(), &mut text);
    drop(parts);
    let downstream = Downstream {
        shared: Rc::clone(shared),
        client: Client::Http2(Box::new(StreamClient::new(arrival.secure, connects, respond, body))),
        peer: arrival.peer,
        direct: arrival.direct,
        listener: Rc::clone(&arrival.listener),
        slot: arrival.slot,
        termination: arrival.termination,
        deadlines: shared.scratch.deadlines(&shared.host),
    };
    let compiled = shared.compiled();
    let mut head = shared.scratch.request();
    let options = &compiled.options;
    let parsed = parse_request(&text, &options.head_limits, &options.normalize, &mut head);
    let busy = Busy::new(shared);
    let after = match parsed {
        Ok(Some(length)) => {
            // The end of the stream frames the body, a length only announces it.
            head.framing = match head.framing {
                _ if !has_body => Framing::None,
                Framing::Length(length) => Framing::Length(length),
                _ => Framing::Chunked,
            };
            Request::new(&downstream, &compiled, &head, &text, length).serve().await
        }
        failed => {
            let error = failed.err().unwrap_or_else(|| RequestError::from(RejectReason::InvalidTarget));
            shared.count_reject(error.reason as usize);
            downstream.refuse(&compiled, error.status, error.reason.as_str()).await
        }
    };
    drop(busy);
    shared.scratch.put_request(head);
    shared.scratch.put_out(text);
    if let Client::Http2(stream) = &downstream.client {
        if matches!(after, After::Abort) {
            stream.abort();
        }
        ending.reset.set(stream.was_reset());
    }
    shared.scratch.put_deadlines(downstream.deadlines);
}

/// Settles a stream however its task ends.
struct Ending {
    arrival: Rc<Arrival>,
    start_ns: u64,
    reset: Cell<bool>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let arrival = &self.arrival;
        let lived = arrival.shared.host.now_ns().saturating_sub(self.start_ns);
        arrival.judge.borrow_mut().ended(self.reset.get(), lived);
        arrival.active.set(arrival.active.get().saturating_sub(1));
        // The connection has to look at its idle time, or at what was judged.
        if (arrival.active.get() == 0 || arrival.judge.borrow().is_flood())
            && let Some(waker) = arrival.waker.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

/// A connection some bytes of which were read already.
struct Early {
    io: TcpIo,
    bytes: Vec<u8>,
    at: usize,
}

impl AsyncRead for Early {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            self.at += count;
            if self.at == self.bytes.len() {
                self.bytes = Vec::new();
                self.at = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Early {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

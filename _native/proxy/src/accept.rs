//! Accepting connections for a listener, and what happens to one before its first request.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use mio::net::TcpStream;
use sluice_host::{HostError, ListenerIo, TcpIo, Timer};
use sluice_policy::stats::{Field, Global};
use tokio_rustls::LazyConfigAcceptor;

use crate::buffers::Inbox;
use crate::deadline::Deadlines;
use crate::downstream::Downstream;
use crate::shared::Shared;
use crate::stream::Stream;

/// Time for a TLS handshake, in nanoseconds (row D45).
const HANDSHAKE_NS: u64 = 10_000_000_000;
/// Pause after a failed accept (out of descriptors): trying at once again would only burn the processor.
const BACK_OFF_NS: u64 = 100_000_000;
/// Connections accepted before other tasks get their turn.
const BATCH: usize = 64;

/// Tells the accept task of a listener to stop.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Stop {
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Starts accepting on a listening socket.
pub(crate) fn start(shared: &Rc<Shared>, name: &str, fd: OwnedFd) -> Result<Rc<Stop>, HostError> {
    let socket = ListenerIo::from_fd(&shared.host, fd)?;
    let stop = Rc::new(Stop::default());
    let (state, name, stopping) = (Rc::clone(shared), Rc::<str>::from(name), Rc::clone(&stop));
    shared.host.spawn(async move {
        accept(&state, &name, &socket, &stopping).await;
        // What is queued was accepted by the kernel in our name: closing would reset it.
        while let Some((stream, peer)) = socket.accept_now() {
            connection(&state, &name, stream, peer);
        }
    });
    Ok(stop)
}

async fn accept(shared: &Rc<Shared>, name: &Rc<str>, socket: &ListenerIo, stop: &Stop) {
    let timer = Timer::new(&shared.host);
    loop {
        let mut accepted = 0;
        let failed = poll_fn(|context| {
            if stop.stopped.get() {
                return Poll::Ready(None);
            }
            *stop.waker.borrow_mut() = Some(context.waker().clone());
            loop {
                match socket.poll_accept(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok((stream, peer))) => {
                        connection(shared, name, stream, peer);
                        accepted += 1;
                        if accepted % BATCH == 0 {
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                    }
                    // The client gave up while it was queued: the next one may be fine.
                    Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(error)),
                }
            }
        })
        .await;
        if failed.is_none() {
            return;
        }
        timer.sleep_until(shared.host.now_ns() + BACK_OFF_NS).await;
    }
}

fn connection(shared: &Rc<Shared>, name: &Rc<str>, stream: TcpStream, peer: SocketAddr) {
    shared.count(Global::Accepted, 1);
    let compiled = shared.compiled();
    // A socket without its section: the configuration that names it is on the way or already gone.
    let Some(listener) = compiled.listener(name) else { return };
    let slot = listener.slot as usize;
    if let Some(row) = shared.listener_row(slot) {
        row.add(Field::Connections, 1);
    }
    let Ok(tcp) = TcpIo::accepted(&shared.host, stream) else { return };
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let start = |stream, termination| Downstream {
        shared: Rc::clone(shared),
        stream,
        peer,
        listener: Rc::clone(name),
        slot,
        termination,
        deadlines: Deadlines::new(&shared.host),
        inbox: RefCell::new(Inbox::default()),
        served: Cell::new(0),
    };
    if !listener.encrypted {
        shared.host.spawn_in_turn(start(Stream::Plain(tcp), None).serve());
        return;
    }
    let Some(tls) = listener.tls.clone() else {
        // Without a usable certificate there is nothing to say to this client.
        shared.count(Global::TlsFailures, 1);
        return;
    };
    let (state, name) = (Rc::clone(shared), Rc::clone(name));
    shared.host.spawn_in_turn(async move {
        let handshaken = Box::pin(handshake(&state, &tls, tcp)).await;
        match handshaken {
            Some((stream, termination)) => {
                Downstream {
                    shared: Rc::clone(&state),
                    stream,
                    peer,
                    listener: name,
                    slot,
                    termination,
                    deadlines: Deadlines::new(&state.host),
                    inbox: RefCell::new(Inbox::default()),
                    served: Cell::new(0),
                }
                .serve()
                .await;
            }
            None => state.count(Global::TlsFailures, 1),
        }
    });
}

async fn handshake(
    shared: &Rc<Shared>,
    tls: &Arc<sluice_snapshot::tls::ListenerTls>,
    tcp: TcpIo,
) -> Option<(Stream, Option<usize>)> {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns() + HANDSHAKE_NS);
    let mut work = std::pin::pin!(async {
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await.ok()?;
        let name = hello.client_hello().server_name().map(str::to_owned);
        let termination = tls.termination(name.as_deref());
        let config = tls.config(name.as_deref())?;
        let stream = hello.into_stream(config).await.ok()?;
        Some((Stream::tls(tokio_rustls::TlsStream::from(stream)), termination))
    });
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        timer.poll_expired(context).map(|()| None)
    })
    .await
}

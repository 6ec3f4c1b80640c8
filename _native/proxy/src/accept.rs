//! Accepting connections for a listener, and what happens to one before its first request.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use mio::net::TcpStream;
use sluice_host::{HostError, ListenerIo, TcpIo, Timer};
use sluice_policy::stats::{Field, Global};
use sluice_snapshot::tls::ListenerTls;
use tokio_rustls::LazyConfigAcceptor;

use crate::admitted::Admitted;
use crate::buffers::Inbox;
use crate::client::Client;
use crate::deadline::Deadlines;
use crate::downstream::{Downstream, Open};
use crate::http2;
use crate::proxy_protocol;
use crate::session::Session;
use crate::shared::Shared;
use crate::stream::Stream;

/// Time for a TLS handshake, in nanoseconds (row D45).
const HANDSHAKE_NS: u64 = 10_000_000_000;
/// Time for the PROXY header, in nanoseconds (nginx: `proxy-protocol-header-timeout` 5 s).
const PROXY_HEADER_NS: u64 = 5_000_000_000;
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
        shared.count(Global::AcceptFailures, 1);
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
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let expects_proxy = listener.proxy_protocol;
    let admitted = Admitted::new(shared, listener);
    // Behind a proxy the client's address is known when its header is.
    let admitted = if expects_proxy { admitted } else { admitted.and_then(|it| it.from(peer.ip(), listener)) };
    let Some(admitted) = admitted else { return reset(&stream) };
    let Ok(tcp) = TcpIo::accepted(&shared.host, stream) else { return };
    let fresh = Fresh { shared: Rc::clone(shared), name: Rc::clone(name), slot, peer, direct: peer.ip(), admitted };
    if !listener.encrypted && !expects_proxy {
        shared.host.spawn_in_turn(fresh.serve(Stream::Plain(tcp), None, Inbox::default()));
        return;
    }
    let tls = listener.encrypted.then(|| listener.tls.clone());
    if let Some(None) = tls {
        // Without a usable certificate there is nothing to say to this client.
        shared.count(Global::TlsFailures, 1);
        return;
    }
    let tls = tls.flatten();
    shared.host.spawn_in_turn(prologue(fresh, tcp, tls, expects_proxy));
}

/// Closes a connection so that nothing of it is left behind, not even the kernel's memory of its end.
fn reset(stream: &TcpStream) {
    let _gone_already = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// A connection before its first request.
struct Fresh {
    shared: Rc<Shared>,
    name: Rc<str>,
    slot: usize,
    peer: SocketAddr,
    admitted: Admitted,
    direct: IpAddr,
}

impl Fresh {
    fn downstream(self, stream: Stream, termination: Option<usize>) -> (Downstream, Open) {
        let deadlines = Deadlines::new(&self.shared.host);
        let downstream = Downstream {
            shared: self.shared,
            client: Client::Http1(stream),
            peer: self.peer,
            direct: self.direct,
            listener: self.name,
            slot: self.slot,
            termination,
            deadlines,
        };
        (downstream, Open::new(self.admitted))
    }

    fn serve(self, stream: Stream, termination: Option<usize>, inbox: Inbox) -> impl Future<Output = ()> {
        let (downstream, open) = self.downstream(stream, termination);
        Session::new(downstream, inbox).serve(open)
    }
}

/// What comes before HTTP: the PROXY header, then the TLS handshake, each within its time.
async fn prologue(mut fresh: Fresh, tcp: TcpIo, tls: Option<Arc<ListenerTls>>, expects_proxy: bool) {
    let shared = Rc::clone(&fresh.shared);
    let mut early = Vec::new();
    if expects_proxy {
        match Box::pin(proxy_header(&shared, &tcp)).await {
            Some((source, rest)) => {
                fresh.peer = source.unwrap_or(fresh.peer);
                early = rest;
                let compiled = shared.compiled();
                if let Some(listener) = compiled.listener(&fresh.name) {
                    let Some(admitted) = fresh.admitted.from(fresh.peer.ip(), listener) else { return };
                    fresh.admitted = admitted;
                }
            }
            None => return,
        }
    }
    let Some(tls) = tls else {
        let mut inbox = Inbox::default();
        inbox.restore(&shared.buffers, &early);
        return fresh.serve(Stream::Plain(tcp), None, inbox).await;
    };
    match Box::pin(handshake(&shared, &tls, tcp, early)).await {
        Some((stream, termination)) if stream.negotiated() == Some(b"h2") => {
            let (downstream, open) = fresh.downstream(stream, termination);
            Box::pin(http2::server::take_over(downstream, Vec::new(), open)).await;
        }
        Some((stream, termination)) => fresh.serve(stream, termination, Inbox::default()).await,
        None => shared.count(Global::TlsFailures, 1),
    }
}

/// Reads the PROXY header. Returns the client it names and the bytes behind it.
async fn proxy_header(shared: &Rc<Shared>, tcp: &TcpIo) -> Option<(Option<SocketAddr>, Vec<u8>)> {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns() + PROXY_HEADER_NS);
    let mut bytes = vec![0; proxy_protocol::HEADER_LIMIT];
    let mut filled = 0;
    loop {
        let count = poll_fn(|context| {
            if let Poll::Ready(read) = tcp.poll_read(context, &mut bytes[filled..]) {
                return Poll::Ready(read.ok());
            }
            timer.poll_expired(context).map(|()| None)
        })
        .await?;
        if count == 0 {
            return None;
        }
        filled += count;
        if let Some(header) = proxy_protocol::parse(&bytes[..filled]).ok()? {
            return Some((header.source, bytes[header.length..filled].to_vec()));
        }
        if filled == bytes.len() {
            return None;
        }
    }
}

async fn handshake(
    shared: &Rc<Shared>,
    tls: &ListenerTls,
    tcp: TcpIo,
    early: Vec<u8>,
) -> Option<(Stream, Option<usize>)> {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns() + HANDSHAKE_NS);
    let mut work = std::pin::pin!(async {
        let mut acceptor = rustls::server::Acceptor::default();
        if !early.is_empty() {
            acceptor.read_tls(&mut early.as_slice()).ok()?;
        }
        let hello = LazyConfigAcceptor::new(acceptor, tcp).await.ok()?;
        let name = hello.client_hello().server_name().map(str::to_owned);
        // Without a server name there is no claim that a Host header could contradict.
        let termination = name.as_deref().and_then(|name| tls.termination(Some(name)));
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

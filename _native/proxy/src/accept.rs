//! Accepting connections for a listener, and what happens to one before its first request.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::net::TcpStream;
use rustls::server::Acceptor;
use sluice_host::{HostError, ListenerIo, TcpIo, Timer};
use sluice_policy::stats::{Field, Global};
use sluice_snapshot::tls::ListenerTls;
use sluice_snapshot::{ListenerProtocol, TcpRoutes};
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
use crate::tcp_proxy;

/// Time for a TLS handshake, or for its first message, in nanoseconds (row D45).
pub(crate) const HANDSHAKE_NS: u64 = 10_000_000_000;
/// Time for the PROXY header, in nanoseconds (nginx: `proxy-protocol-header-timeout` 5 s).
const PROXY_HEADER_NS: u64 = 5_000_000_000;
/// Pause after a failed accept (out of descriptors): trying at once again would only burn the processor.
const BACK_OFF_NS: u64 = 100_000_000;
/// Connections accepted before other tasks get their turn.
const BATCH: usize = 64;

/// Tells a task to stop: that of a listener, or of what came from it.
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

    /// Ready once the task shall stop.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.stopped.get() {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
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
            if stop.poll(context).is_ready() {
                return Poll::Ready(None);
            }
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
    let admitted = Admitted::new(shared, listener);
    // Behind a proxy the client's address is known when its header is.
    let admitted =
        if listener.proxy_protocol { admitted } else { admitted.and_then(|it| it.from(peer.ip(), listener)) };
    let Some(admitted) = admitted else { return reset(&stream) };
    let Ok(tcp) = TcpIo::accepted(&shared.host, stream) else { return };
    let fresh = Fresh {
        shared: Rc::clone(shared),
        name: Rc::clone(name),
        slot,
        peer,
        direct: peer.ip(),
        destination: None,
        open: Open::new(admitted),
    };
    if listener.plain {
        shared.host.spawn_in_turn(fresh.serve(Stream::Plain(tcp), None, Inbox::default()));
        return;
    }
    let ahead = Ahead {
        proxy_protocol: listener.proxy_protocol,
        routes: (listener.protocol == ListenerProtocol::Tcp || !listener.tcp.is_empty())
            .then(|| Arc::clone(&listener.tcp)),
        http: match (listener.protocol, listener.encrypted) {
            (ListenerProtocol::Http, false) => Http::Cleartext,
            (ListenerProtocol::Http, true) => Http::Tls(listener.tls.clone()),
            _ => Http::No,
        },
    };
    if let (Http::Tls(None), None) = (&ahead.http, &ahead.routes) {
        // Without a usable certificate there is nothing to say to this client.
        shared.count(Global::TlsFailures, 1);
        return;
    }
    shared.host.spawn_in_turn(prologue(fresh, tcp, ahead));
}

/// What there is to do before the first request, as the listener was configured when the connection came.
struct Ahead {
    proxy_protocol: bool,
    /// Connections that are forwarded; `None` if there are no such routes beside HTTP.
    routes: Option<Arc<TcpRoutes>>,
    http: Http,
}

/// Whether, and how, HTTP is served to a connection that no TCP route takes.
pub(crate) enum Http {
    No,
    Cleartext,
    /// `None`: no certificate is usable.
    Tls(Option<Arc<ListenerTls>>),
}

/// Closes a connection so that nothing of it is left behind, not even the kernel's memory of its end.
fn reset(stream: &TcpStream) {
    let _gone_already = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// A connection before its first request.
pub(crate) struct Fresh {
    pub(crate) shared: Rc<Shared>,
    name: Rc<str>,
    pub(crate) slot: usize,
    pub(crate) peer: SocketAddr,
    direct: IpAddr,
    /// Where the client connected to, if a PROXY header says so.
    pub(crate) destination: Option<SocketAddr>,
    /// A drain waits for it from here on: what comes before a request has a short time of its own.
    pub(crate) open: Open,
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
        (downstream, self.open)
    }

    fn serve(self, stream: Stream, termination: Option<usize>, inbox: Inbox) -> impl Future<Output = ()> {
        let (downstream, open) = self.downstream(stream, termination);
        Session::new(downstream, inbox).serve(open)
    }
}

/// What comes before HTTP: the PROXY header, the choice between HTTP and TCP routes, the TLS handshake, each within its
/// time. What one step does not need stays in the socket for the next.
async fn prologue(mut fresh: Fresh, tcp: TcpIo, ahead: Ahead) {
    let shared = Rc::clone(&fresh.shared);
    if ahead.proxy_protocol {
        match Box::pin(proxy_header(&shared, &tcp)).await {
            Some(header) => {
                fresh.peer = header.ends.map_or(fresh.peer, |ends| ends.source);
                fresh.destination = header.ends.map(|ends| ends.destination);
                let compiled = shared.compiled();
                if let Some(listener) = compiled.listener(&fresh.name)
                    && !fresh.open.admitted.claim(fresh.peer.ip(), listener)
                {
                    return;
                }
            }
            None => return,
        }
    }
    let left = match ahead.routes {
        None => Some((fresh, tcp)),
        Some(routes) => Box::pin(tcp_proxy::divert(fresh, tcp, routes, &ahead.http)).await,
    };
    let Some((fresh, tcp)) = left else { return };
    let tls = match ahead.http {
        Http::Tls(Some(tls)) => tls,
        Http::Cleartext => return fresh.serve(Stream::Plain(tcp), None, Inbox::default()).await,
        Http::Tls(None) => return shared.count(Global::TlsFailures, 1),
        Http::No => return,
    };
    match Box::pin(handshake(&shared, &tls, tcp)).await {
        Some((stream, termination)) if stream.negotiated() == Some(b"h2") => {
            let (downstream, open) = fresh.downstream(stream, termination);
            Box::pin(http2::server::take_over(downstream, Vec::new(), open)).await;
        }
        Some((stream, termination)) => fresh.serve(stream, termination, Inbox::default()).await,
        None => shared.count(Global::TlsFailures, 1),
    }
}

/// Reads the PROXY header, and nothing of what is behind it.
async fn proxy_header(shared: &Rc<Shared>, tcp: &TcpIo) -> Option<proxy_protocol::Header> {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns() + PROXY_HEADER_NS);
    let mut bytes = vec![0; proxy_protocol::HEADER_LIMIT];
    let mut seen = 0;
    loop {
        let count = poll_fn(|context| {
            if let Poll::Ready(looked) = tcp.poll_peek(context, &mut bytes, seen) {
                return Poll::Ready(looked.ok());
            }
            timer.poll_expired(context).map(|()| None)
        })
        .await?;
        if let Some(header) = proxy_protocol::parse(&bytes[..count]).ok()? {
            let mut left = header.length;
            while left > 0 {
                left -= poll_fn(|context| tcp.poll_read(context, &mut bytes[..left])).await.ok().filter(|&n| n > 0)?;
            }
            return Some(header);
        }
        if count <= seen || count == bytes.len() {
            return None;
        }
        seen = count;
    }
}

/// Ends TLS. Returns the stream and which termination its server name is under.
pub(crate) async fn handshake(shared: &Rc<Shared>, tls: &ListenerTls, tcp: TcpIo) -> Option<(Stream, Option<usize>)> {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns() + HANDSHAKE_NS);
    let mut work = std::pin::pin!(async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await.ok()?;
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

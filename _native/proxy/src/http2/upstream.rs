//! HTTP/2 towards an endpoint: many requests share a connection.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use ahash::AHashMap;
use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Request, response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::Sender;
use super::io_error;
use crate::error::ProxyError;
use crate::permit::Permit;
use crate::pool::{ClusterKey, Counted, Known};
use crate::shared::Shared;
use crate::stream::Stream;

/// Body bytes that an endpoint may send ahead on one stream, and on all of a connection: a slow client pins no more.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Body bytes that may wait for the socket, per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Requests on one connection at once, whatever the endpoint allows: beyond it another connection is made.
const STREAMS: usize = 100;

/// What a request's failure on a stream means for it. `reused`: its connection had served others before.
fn failure(error: h2::Error, reused: bool) -> ProxyError {
    // The endpoint says that it did not process the request (RFC 9113 sections 6.8 and 8.7).
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && (error.is_go_away() || refused) {
        return ProxyError::UpstreamRefused;
    }
    if error.is_reset() && error.is_remote() {
        return ProxyError::UpstreamReset(error.reason().unwrap_or(Reason::CANCEL));
    }
    if error.is_reset() || error.is_go_away() {
        return ProxyError::UpstreamProtocol("its HTTP/2 frames are malformed");
    }
    ProxyError::UpstreamClosed { error: io_error(error), reused }
}

/// An open connection to an endpoint.
pub(crate) struct Channel {
    send: SendRequest<Bytes>,
    active: Cell<usize>,
    /// It has ended, or the endpoint takes no more requests on it.
    closed: Rc<Cell<bool>>,
    created_ns: u64,
    idle_since_ns: Cell<u64>,
    _counted: Counted,
}

impl Channel {
    /// Greets the endpoint and starts the task that drives the connection.
    pub(crate) async fn open(
        shared: &Rc<Shared>,
        (stream, permit): (Stream, Option<Permit>),
        slot: usize,
    ) -> Result<Self, ProxyError> {
        match stream {
            Stream::Plain(tcp) => Self::greet(shared, tcp, slot, permit).await,
            Stream::Tls(tls) => {
                let tls = tls.into_inner();
                if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err(ProxyError::UpstreamTls(std::io::Error::other("the endpoint does not speak HTTP/2")));
                }
                Self::greet(shared, tls, slot, permit).await
            }
        }
    }

    async fn greet<T>(shared: &Rc<Shared>, io: T, slot: usize, permit: Option<Permit>) -> Result<Self, ProxyError>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let greeted = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .handshake::<T, Bytes>(io)
            .await;
        let (send, connection) = greeted.map_err(|error| ProxyError::Connect(io_error(error)))?;
        let closed = Rc::new(Cell::new(false));
        let end = Rc::clone(&closed);
        shared.host.spawn_in_turn(async move {
            // Its error has reached every stream of it.
            let _end = connection.await;
            end.set(true);
        });
        let now = shared.host.now_ns();
        let counted = Counted::new(shared, slot, permit);
        Ok(Self {
            send,
            active: Cell::new(0),
            closed,
            created_ns: now,
            idle_since_ns: Cell::new(now),
            _counted: counted,
        })
    }

    fn has_room(&self) -> bool {
        !self.closed.get() && self.active.get() < STREAMS.min(self.send.current_max_send_streams())
    }
}

/// One request's share of a connection. Dropping it cancels what is not finished.
pub(crate) struct Lease {
    shared: Rc<Shared>,
    channel: Rc<Channel>,
    reused: bool,
    response: RefCell<Option<ResponseFuture>>,
    /// The sending half, once the request was started.
    pub(crate) sender: Sender,
}

impl Lease {
    fn new(shared: &Rc<Shared>, channel: &Rc<Channel>, reused: bool) -> Self {
        channel.active.set(channel.active.get() + 1);
        Self {
            shared: Rc::clone(shared),
            channel: Rc::clone(channel),
            reused,
            response: RefCell::default(),
            sender: Sender::default(),
        }
    }

    /// A connection for one request alone.
    pub(crate) async fn alone(shared: &Rc<Shared>, stream: Stream, slot: usize) -> Result<Self, ProxyError> {
        Ok(Self::new(shared, &Rc::new(Channel::open(shared, (stream, None), slot).await?), false))
    }

    /// Whether the connection still takes requests: one that the endpoint is leaving (GOAWAY) may go on for long with
    /// those that it has.
    async fn is_usable(&self) -> bool {
        let mut send = self.channel.send.clone();
        let usable = poll_fn(|context| send.poll_ready(context)).await.is_ok();
        if !usable {
            self.channel.closed.set(true);
        }
        usable
    }

    fn failure(&self, error: h2::Error) -> ProxyError {
        failure(error, self.reused)
    }

    /// Sends the head.
    pub(crate) async fn start(&self, request: Request<()>, end: bool) -> Result<(), ProxyError> {
        let mut send = self.channel.send.clone();
        poll_fn(|context| send.poll_ready(context)).await.map_err(|error| self.failure(error))?;
        let (response, stream) = send.send_request(request, end).map_err(|error| self.failure(error))?;
        self.response.replace(Some(response));
        self.sender.set(stream);
        Ok(())
    }

    /// Waits for the final answer's head.
    pub(crate) async fn response(&self) -> Result<(response::Parts, RecvStream), ProxyError> {
        let mut waiting = self.response.take().ok_or(ProxyError::UpstreamRefused)?;
        let response = std::pin::Pin::new(&mut waiting).await.map_err(|error| self.failure(error))?;
        Ok(response.into_parts())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.channel.active.set(self.channel.active.get().saturating_sub(1));
        self.channel.idle_since_ns.set(self.shared.host.now_ns());
    }
}

/// The connections to one endpoint.
#[derive(Default)]
struct Group {
    channels: Vec<Rc<Channel>>,
    connecting: bool,
    /// Attempts that failed so far.
    failures: u64,
    waiters: Vec<Waker>,
}

/// The HTTP/2 connections of a worker.
#[derive(Default)]
pub(crate) struct Channels(RefCell<AHashMap<(ClusterKey, SocketAddr), Group>>);

/// What a request finds.
enum Found {
    /// Room on a connection.
    Lease(Lease),
    /// Nobody connects: the caller shall.
    Connect,
    /// Somebody connects.
    Wait(u64),
}

impl Channels {
    /// `waited` tells that the caller has waited for a new connection.
    fn find(&self, shared: &Rc<Shared>, key: (ClusterKey, SocketAddr), lifetime_ns: u64, waited: bool) -> Found {
        let mut groups = self.0.borrow_mut();
        let group = groups.entry(key).or_default();
        let now = shared.host.now_ns();
        let young = |channel: &Channel| lifetime_ns == 0 || now.saturating_sub(channel.created_ns) < lifetime_ns;
        group.channels.retain(|channel| !channel.closed.get() && young(channel));
        if let Some(channel) = group.channels.iter().find(|channel| channel.has_room()) {
            return Found::Lease(Lease::new(shared, channel, !waited));
        }
        if group.connecting {
            return Found::Wait(group.failures);
        }
        group.connecting = true;
        Found::Connect
    }

    /// Notes the end of an attempt to connect, and lets those who waited for it look again.
    fn connected(&self, key: (ClusterKey, SocketAddr), channel: Option<Rc<Channel>>) {
        let mut groups = self.0.borrow_mut();
        let group = groups.entry(key).or_default();
        group.connecting = false;
        match channel {
            Some(channel) => group.channels.push(channel),
            None => group.failures += 1,
        }
        for waiter in group.waiters.drain(..) {
            waiter.wake();
        }
    }

    /// Waits until an attempt is over. True when it failed.
    async fn attempt_over(&self, key: (ClusterKey, SocketAddr), failures: u64) -> bool {
        poll_fn(|context| {
            let mut groups = self.0.borrow_mut();
            let group = groups.entry(key).or_default();
            if group.failures != failures {
                return Poll::Ready(true);
            }
            if !group.connecting {
                return Poll::Ready(false);
            }
            group.waiters.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Closes what was idle for too long, and forgets endpoints and clusters that are gone.
    pub(crate) fn sweep(&self, now_ns: u64, known: &Known<'_>) {
        self.0.borrow_mut().retain(|(key, address), group| {
            let Some(idle_ns) = known.idle_ns(*key, *address) else { return group.connecting };
            group.channels.retain(|channel| {
                let idle = channel.active.get() == 0 && now_ns.saturating_sub(channel.idle_since_ns.get()) >= idle_ns;
                !channel.closed.get() && !idle
            });
            group.connecting || !group.channels.is_empty()
        });
    }

    /// Connections that carry nothing now.
    pub(crate) fn idle(&self) -> usize {
        let groups = self.0.borrow();
        groups.values().flat_map(|group| &group.channels).filter(|channel| channel.active.get() == 0).count()
    }

    /// Takes no further requests on any connection.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Tells the others how an attempt ended, also when the one who made it gave up.
struct Attempt<'s> {
    channels: &'s Channels,
    key: (ClusterKey, SocketAddr),
    channel: Option<Rc<Channel>>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.channels.connected(self.key, self.channel.take());
    }
}

/// A share of a connection to an endpoint, made by `connect` if there is none with room. The flag tells whether the
/// connection was there before.
pub(crate) async fn lease(
    shared: &Rc<Shared>,
    key: (ClusterKey, SocketAddr),
    slot: usize,
    lifetime_ns: u64,
    connect: impl Future<Output = Result<(Stream, Option<Permit>), ProxyError>>,
) -> Result<(Lease, bool), ProxyError> {
    let channels = &shared.pools.channels;
    let mut waited = false;
    loop {
        match channels.find(shared, key, lifetime_ns, waited) {
            Found::Lease(lease) if lease.is_usable().await => return Ok((lease, !waited)),
            Found::Lease(_) => {}
            Found::Wait(failures) => {
                waited = true;
                if channels.attempt_over(key, failures).await {
                    return Err(ProxyError::Connect(std::io::ErrorKind::ConnectionRefused.into()));
                }
            }
            Found::Connect => {
                let mut attempt = Attempt { channels, key, channel: None };
                let channel = Rc::new(Channel::open(shared, connect.await?, slot).await?);
                attempt.channel = Some(Rc::clone(&channel));
                return Ok((Lease::new(shared, &channel, false), false));
            }
        }
    }
}

//! A UDP socket that takes HTTP/3 connections, and how many handshakes it takes at once.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig};
use slab::Slab;
use sluice_host::UdpIo;
use sluice_policy::stats::{Field, Global};

use super::connection::{self, Fresh};
use super::runtime::{HostRuntime, HostSocket};
use super::tls::Chooser;
use super::transport;
use crate::admitted::Admitted;
use crate::engine::EngineError;
use crate::shared::Shared;

/// Incomplete handshakes above which a client has to show that it receives at its address (RFC 9000 section 8.1.2): each
/// costs a signature, and an address can be made up.
const RETRY_ABOVE: usize = 256;
/// Incomplete handshakes above which new ones are refused; clients then take TCP.
const REFUSE_ABOVE: usize = 2048;

/// One socket. Its task keeps it alive as long as it is listened on or has connections.
pub(crate) struct QuicListener {
    shared: Rc<Shared>,
    endpoint: Endpoint,
    config: ServerConfig,
    initial: Arc<QuicServerConfig>,
    socket: SocketId,
    /// Section name of the listener; `None` when it takes no new connections.
    name: RefCell<Option<Rc<str>>>,
    handshakes: Cell<usize>,
    /// Tasks to wake when the listener is retired or the engine drains.
    watchers: RefCell<Slab<Option<Waker>>>,
}

/// Tells one open socket from another one, however many descriptors it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SocketId(u64, u64);

impl SocketId {
    fn of(fd: &OwnedFd) -> io::Result<Self> {
        let facts = File::from(fd.try_clone()?).metadata()?;
        Ok(Self(facts.dev(), facts.ino()))
    }
}

/// Takes connections from a bound socket for the listener section `name`. If one of `known` has the socket already, it
/// goes on under that name: two readers would tear connections apart. Otherwise the new listener is returned.
pub(crate) fn start(
    shared: &Rc<Shared>,
    name: &str,
    fd: OwnedFd,
    known: &[Weak<QuicListener>],
) -> Result<Option<Weak<QuicListener>>, EngineError> {
    let failed = |action| move |error| EngineError::System(action, error);
    let socket = SocketId::of(&fd).map_err(failed("look at a UDP socket"))?;
    let name = Rc::from(name);
    if let Some(listener) = known.iter().filter_map(Weak::upgrade).find(|listener| listener.socket == socket) {
        listener.name.replace(Some(name));
        return Ok(None);
    }
    let io = HostSocket::new(UdpIo::from_fd(&shared.host, fd)?);
    let (config, initial) = transport::server().ok_or(EngineError::Quic)?;
    let endpoint = Endpoint::new_with_abstract_socket(
        EndpointConfig::default(),
        Some(config.clone()),
        Arc::new(io),
        Arc::new(HostRuntime::new(&shared.host)),
    );
    let listener = Rc::new(QuicListener {
        shared: Rc::clone(shared),
        endpoint: endpoint.map_err(failed("serve a UDP socket"))?,
        config,
        initial,
        socket,
        name: RefCell::new(Some(name)),
        handshakes: Cell::new(0),
        watchers: RefCell::default(),
    });
    let weak = Rc::downgrade(&listener);
    shared.host.spawn(accept(listener));
    Ok(Some(weak))
}

/// Accepts until the listener is retired and its last connection is gone.
async fn accept(listener: Rc<QuicListener>) {
    let watch = listener.watch();
    let mut incoming = pin!(listener.endpoint.accept());
    let mut idle = pin!(listener.endpoint.wait_idle());
    poll_fn(|context| {
        watch.wait(context);
        while let Poll::Ready(arrived) = incoming.as_mut().poll(context) {
            let Some(arrived) = arrived else { return Poll::Ready(()) };
            listener.admit(arrived);
            incoming.set(listener.endpoint.accept());
        }
        if !listener.is_retired() {
            return Poll::Pending;
        }
        idle.set(listener.endpoint.wait_idle());
        idle.as_mut().poll(context)
    })
    .await;
}

impl QuicListener {
    /// Takes no more connections and asks those that are there to leave.
    pub(crate) fn retire(&self, name: &str) {
        if self.name.borrow().as_deref() == Some(name) {
            self.name.replace(None);
            self.wake_all();
        }
    }

    fn is_retired(&self) -> bool {
        self.name.borrow().is_none()
    }

    /// Wakes everything that may have to leave.
    pub(crate) fn wake_all(&self) {
        let woken: Vec<_> = self.watchers.borrow_mut().iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        woken.into_iter().for_each(Waker::wake);
    }

    /// A place among those that [`QuicListener::wake_all`] wakes.
    fn watch(self: &Rc<Self>) -> Watch {
        let key = self.watchers.borrow_mut().insert(None);
        Watch { listener: Rc::downgrade(self), key }
    }

    fn admit(self: &Rc<Self>, incoming: Incoming) {
        let shared = &self.shared;
        let compiled = shared.compiled();
        let name = self.name.borrow().clone();
        let section = name.filter(|_| !shared.draining.get()).and_then(|name| Some((compiled.listener(&name)?, name)));
        // A socket without its section: the configuration that names it is on the way or already gone.
        let Some((listener, name)) = section else { return incoming.refuse() };
        let handshakes = self.handshakes.get();
        if handshakes >= REFUSE_ABOVE {
            return incoming.refuse();
        }
        if handshakes >= RETRY_ABOVE && !incoming.remote_address_validated() {
            // It fails only for an address that was validated.
            let _retried = incoming.retry();
            return;
        }
        let slot = listener.slot as usize;
        shared.count(Global::Accepted, 1);
        if let Some(row) = shared.listener_row(slot) {
            row.add(Field::Connections, 1);
        }
        let Some(admitted) = Admitted::new(shared, listener) else { return incoming.refuse() };
        let Some(tls) = listener.tls.clone() else {
            // Without a usable certificate there is nothing to say to this client.
            shared.count(Global::TlsFailures, 1);
            return incoming.refuse();
        };
        let mut config = self.config.clone();
        config.crypto = Arc::new(Chooser { initial: Arc::clone(&self.initial), tls: Arc::clone(&tls) });
        config.transport = Arc::new(transport::transport(&compiled.options));
        match incoming.accept_with(Arc::new(config)) {
            Ok(connecting) => {
                let fresh =
                    Fresh { watch: self.watch(), handshaking: Handshaking::new(self), name, slot, admitted, tls };
                shared.host.spawn_in_turn(connection::serve(Rc::clone(shared), fresh, connecting));
            }
            Err(_) => shared.count(Global::TlsFailures, 1),
        }
    }
}

/// What a task knows about the listener it belongs to.
pub(super) struct Watch {
    listener: Weak<QuicListener>,
    key: usize,
}

impl Watch {
    /// The listener takes no more connections, or is gone.
    pub(super) fn is_retired(&self) -> bool {
        self.listener.upgrade().is_none_or(|listener| listener.is_retired())
    }

    /// Makes the current task one of those that are woken.
    pub(super) fn wait(&self, context: &Context<'_>) {
        if let Some(listener) = self.listener.upgrade()
            && let Some(waker) = listener.watchers.borrow_mut().get_mut(self.key)
        {
            *waker = Some(context.waker().clone());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.upgrade() {
            listener.watchers.borrow_mut().try_remove(self.key);
        }
    }
}

/// Counts a handshake that is not complete.
pub(super) struct Handshaking(Weak<QuicListener>);

impl Handshaking {
    fn new(listener: &Rc<QuicListener>) -> Self {
        listener.handshakes.set(listener.handshakes.get() + 1);
        Self(Rc::downgrade(listener))
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        if let Some(listener) = self.0.upgrade() {
            listener.handshakes.set(listener.handshakes.get().saturating_sub(1));
        }
    }
}

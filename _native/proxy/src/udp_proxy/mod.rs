//! UDP routes: datagrams that are forwarded one by one, those of each client to an endpoint of its own.
//!
//! Source of the rules: Envoy's `udp_proxy`. A client is an address and port; the socket group of the master keeps it with
//! one worker. What it sends goes out of a socket of its session, so that answers find their way back.

mod session;
mod waiting;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ahash::AHashMap;
use sluice_host::{HostError, RecvMeta, Timer, UdpIo};
use sluice_policy::stats::{Field, Global};
use sluice_snapshot::Compiled;

use crate::accept::Stop;
use crate::admitted::Admitted;
use crate::shared::Shared;
use session::{Rejected, Session};
use waiting::Total;

/// Buffers of one receive. Each takes the longest datagram, or a train of equal ones that the kernel has put together.
const BATCH: usize = 4;
const BUFFER: usize = 65_536;
/// Pause after a failed receive: trying at once again would only burn the processor.
const BACK_OFF_NS: u64 = 100_000_000;

/// A socket whose datagrams are forwarded, and its sessions.
struct Forwarder {
    shared: Rc<Shared>,
    /// Section name of the listener.
    name: Rc<str>,
    io: UdpIo,
    sessions: RefCell<AHashMap<SocketAddr, Rc<Session>>>,
    waiting: Rc<Total>,
}

/// Starts to forward what comes to a bound socket for the listener section `name`. Its sessions end with it.
pub(crate) fn start(shared: &Rc<Shared>, name: &str, fd: OwnedFd) -> Result<Rc<Stop>, HostError> {
    let io = UdpIo::from_fd(&shared.host, fd)?;
    io.allow_fragments();
    let forwarder = Rc::new(Forwarder {
        shared: Rc::clone(shared),
        name: Rc::from(name),
        io,
        sessions: RefCell::default(),
        waiting: Rc::default(),
    });
    let stop = Rc::new(Stop::default());
    shared.host.spawn(receive(forwarder, Rc::clone(&stop)));
    Ok(stop)
}

async fn receive(forwarder: Rc<Forwarder>, stop: Rc<Stop>) {
    let timer = Timer::new(&forwarder.shared.host);
    let mut memory = vec![vec![0; BUFFER]; BATCH];
    let mut meta = [RecvMeta::default(); BATCH];
    loop {
        let received = {
            let mut buffers: Vec<_> = memory.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            poll_fn(|context| {
                if stop.poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                forwarder.io.poll_recv(context, &mut buffers, &mut meta).map(Some)
            })
            .await
        };
        match received {
            None => break,
            Some(Err(_)) => timer.sleep_until(forwarder.shared.host.now_ns() + BACK_OFF_NS).await,
            Some(Ok(count)) => {
                let compiled = forwarder.shared.compiled();
                for (buffer, meta) in memory.iter().zip(meta.iter().take(count)) {
                    let bytes = buffer.get(..meta.len).unwrap_or_default();
                    if bytes.is_empty() {
                        forwarder.datagram(&compiled, meta, bytes);
                    }
                    for datagram in bytes.chunks(meta.stride.max(1)) {
                        forwarder.datagram(&compiled, meta, datagram);
                    }
                }
            }
        }
    }
    let sessions = forwarder.sessions.take();
    sessions.values().for_each(|session| session.end());
}

impl Forwarder {
    /// Forwards one datagram, in a new session if need be.
    fn datagram(self: &Rc<Self>, compiled: &Arc<Compiled>, meta: &RecvMeta, datagram: &[u8]) {
        let known = self.sessions.borrow().get(&meta.addr).cloned();
        if let Some(session) = known {
            if session.is_current(compiled, &self.name) {
                match session.send(datagram) {
                    Ok(()) => return,
                    Err(Rejected::Full) => return self.shared.count(Global::UdpDropped, 1),
                    // The endpoint is gone: another one may take it.
                    Err(Rejected::Unreachable) => {}
                }
            }
            self.forget(&session);
        }
        self.open(compiled, meta.addr, meta.dst_ip, datagram);
    }

    fn open(self: &Rc<Self>, compiled: &Arc<Compiled>, client: SocketAddr, local: Option<IpAddr>, first: &[u8]) {
        let shared = &self.shared;
        shared.count(Global::Accepted, 1);
        let listener = compiled.listener(&self.name);
        let Some((listener, route)) = listener.and_then(|listener| Some((listener, listener.udp.as_ref()?))) else {
            return shared.count(Global::UdpNoEndpoint, 1);
        };
        if self.sessions.borrow().len() >= route.max_sessions {
            return shared.count(Global::UdpRefused, 1);
        }
        if let Some(row) = shared.listener_row(listener.slot as usize) {
            row.add(Field::Connections, 1);
        }
        // Not for the address: nobody has shown that it is the sender's, and what counts for it keeps its connections out.
        let Some(admitted) = Admitted::new(shared, listener) else { return };
        let times = (compiled.version, route.idle_timeout);
        let session = Rc::new(Session::new(&shared.host, (client, local), times, &self.waiting));
        if session.send(first).is_err() {
            return shared.count(Global::UdpDropped, 1);
        }
        self.sessions.borrow_mut().insert(client, Rc::clone(&session));
        let place = (Arc::clone(route), listener.slot as usize);
        shared.host.spawn_in_turn(session::run(Rc::clone(self), session, (place, admitted), Arc::clone(compiled)));
    }

    /// Ends a session, unless another one has its place by now.
    fn forget(&self, session: &Rc<Session>) {
        session.end();
        let mut sessions = self.sessions.borrow_mut();
        if sessions.get(&session.client).is_some_and(|held| Rc::ptr_eq(held, session)) {
            sessions.remove(&session.client);
        }
    }
}

//! One client of a UDP route and the endpoint that serves it.

use std::cell::{Cell, OnceCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sluice_host::{Host, Timer, Transmit, UdpPeerIo};
use sluice_policy::stats::Global;
use sluice_policy::upstream::{Observation, Resource, hash};
use sluice_snapshot::{Balancing, Compiled, Priority, UdpRoute};

use crate::accept::Stop;
use crate::admitted::Admitted;
use crate::downstream::Open;
use crate::ledger::{Kind, Ledger};
use crate::permit::Limited;
use crate::pool::Counted;
use crate::rules::{self, nanos};
use crate::target::Chosen;
use crate::upstream::{Ask, choose};

use super::Forwarder;
use super::waiting::{Total, Waiting};

/// Why a datagram was not taken.
pub(super) enum Rejected {
    /// There is no room for it.
    Full,
    /// ICMP says that the endpoint does not listen.
    Unreachable,
}

/// What the socket of the listener needs to know of a session.
pub(super) struct Session {
    pub(super) client: SocketAddr,
    /// The address that the client sent to; answers come from it.
    local: Option<IpAddr>,
    host: Host,
    /// Version of the configuration that the session was last compared with.
    version: Cell<u64>,
    idle_ns: u64,
    timer: Timer,
    stop: Stop,
    waiting: Waiting,
    reached: OnceCell<Reached>,
}

/// The endpoint's side.
struct Reached {
    io: UdpPeerIo,
    cluster: Arc<str>,
    chosen: Chosen,
    ledger: Ledger,
    _counted: Counted,
}

impl Session {
    pub(super) fn new(
        host: &Host,
        (client, local): (SocketAddr, Option<IpAddr>),
        (version, idle_timeout): (u64, Duration),
        total: &Rc<Total>,
    ) -> Self {
        Self {
            client,
            local,
            host: host.clone(),
            version: Cell::new(version),
            idle_ns: nanos(idle_timeout),
            timer: Timer::new(host),
            stop: Stop::default(),
            waiting: Waiting::new(total),
            reached: OnceCell::new(),
        }
    }

    fn touch(&self) {
        self.timer.set(self.host.now_ns().saturating_add(self.idle_ns));
    }

    pub(super) fn end(&self) {
        self.stop.stop();
    }

    /// Sends a datagram to the endpoint, or lets it wait until there is one.
    pub(super) fn send(&self, datagram: &[u8]) -> Result<(), Rejected> {
        self.touch();
        let Some(reached) = self.reached.get() else {
            return if self.waiting.push(datagram) { Ok(()) } else { Err(Rejected::Full) };
        };
        match reached.io.try_send(datagram) {
            Ok(()) => {
                reached.ledger.moved(true, datagram.len() as u64);
                Ok(())
            }
            Err(error) if is_unreachable(&error) => {
                reached.failed(&self.host);
                Err(Rejected::Unreachable)
            }
            // No room, or too long for the way.
            Err(_) => Err(Rejected::Full),
        }
    }

    /// Whether the configuration still has the endpoint for this client of a listener. It is asked only after a change.
    pub(super) fn is_current(&self, compiled: &Compiled, listener: &str) -> bool {
        let Some(reached) = self.reached.get() else { return true };
        if self.version.replace(compiled.version) == compiled.version {
            return true;
        }
        let route = compiled.listener(listener).and_then(|listener| listener.udp.as_ref());
        route.is_some_and(|route| route.leads_to(&reached.cluster)) && reached.is_current(compiled, &self.host)
    }
}

/// What ICMP errors become (udp(7)).
fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    )
}

impl Reached {
    fn is_current(&self, compiled: &Compiled, host: &Host) -> bool {
        let shared = &self.ledger.shared;
        let Some(cluster) = compiled.cluster_named(&self.cluster) else { return false };
        let target = shared.targets.of(cluster, compiled.version, host.now_ns(), || shared.random());
        target.has(self.chosen.address)
    }

    fn failed(&self, host: &Host) {
        self.ledger.flag("UF");
        self.chosen.observe(Observation::LocalFailure, 0, host.now_ns());
    }
}

/// Serves a session to its end.
pub(super) async fn run(
    forwarder: Rc<Forwarder>,
    session: Rc<Session>,
    ((route, slot), admitted): ((Arc<UdpRoute>, usize), Admitted),
    compiled: Arc<Compiled>,
) {
    let ledger = Ledger::new(Open::new(admitted), Kind::Udp, (session.client, slot), Some(&route.name), "");
    let reached = {
        let mut reaching = Box::pin(reach(ledger, &route, &compiled));
        poll_fn(|context| {
            let stopped = session.stop.poll(context).map(|()| None);
            if stopped.is_ready() { stopped } else { reaching.as_mut().poll(context).map(Some) }
        })
        .await
    };
    drop((route, compiled));
    match reached {
        Some(Ok(reached)) => serve(&forwarder, &session, session.reached.get_or_init(|| reached)).await,
        Some(Err((ledger, flag))) => ledger.flag(flag),
        None => {}
    }
    forwarder.forget(&session);
}

/// Chooses the endpoint; fails with Envoy's response flag.
async fn reach(ledger: Ledger, route: &UdpRoute, compiled: &Compiled) -> Result<Reached, (Ledger, &'static str)> {
    let shared = Rc::clone(&ledger.shared);
    let choice = route.choose(shared.with_rng(sluice_policy::Rng::unit));
    let Some(cluster) = choice.and_then(|choice| compiled.cluster_named(&choice.cluster)) else {
        return Err((ledger, "NC"));
    };
    let slot = cluster.slot as usize;
    ledger.cluster.replace(Some((Arc::clone(&cluster.name), slot)));
    if cluster.broken.is_some() || cluster.tls.is_some() {
        // Datagrams in clear are not what a cluster with TLS asks for.
        return Err((ledger, "UF"));
    }
    let limits = rules::limits(cluster, Priority::Default);
    let limited = limits.map(|limits| Limited { slot, priority: Priority::Default, limits });
    let permit = match &limited {
        None => None,
        Some(limited) => match limited.take(&shared, Resource::Connections) {
            Some(permit) => Some(permit),
            None => return Err((ledger, "UO")),
        },
    };
    let hashes = cluster.balancing.as_ref().is_some_and(Balancing::hashes);
    let key = hashes.then(|| hash::address_key(ledger.peer.ip().to_canonical()));
    let ask = Ask { cluster, version: compiled.version, key, avoid: &[], fresh: true, limited, preface: b"" };
    let chosen = match choose(&shared, &ask).await {
        Ok(chosen) => chosen,
        Err(error) => return Err((ledger, error.answer().1)),
    };
    ledger.upstream.set(Some(chosen.address));
    let Ok(io) = UdpPeerIo::connect(&shared.host, chosen.address) else {
        chosen.observe(Observation::LocalFailure, 0, shared.host.now_ns());
        return Err((ledger, "UF"));
    };
    let counted = Counted::new(&shared, slot, permit);
    Ok(Reached { io, cluster: Arc::clone(&cluster.name), chosen, ledger, _counted: counted })
}

/// Sends what has waited, then passes on what the endpoint sends.
async fn serve(forwarder: &Forwarder, session: &Session, reached: &Reached) {
    let shared = &forwarder.shared;
    for datagram in session.waiting.take() {
        if session.send(&datagram).is_err() {
            shared.count(Global::UdpDropped, 1);
        }
    }
    let began = shared.host.now_ns();
    let mut answered = false;
    loop {
        let mut buffer = None;
        let event = poll_fn(|context| {
            if session.stop.poll(context).is_ready() || session.timer.poll_expired(context).is_ready() {
                return Poll::Ready(None);
            }
            let held = buffer.get_or_insert_with(|| shared.buffers.large());
            let polled = reached.io.poll_recv(context, held);
            if polled.is_pending()
                && let Some(idle) = buffer.take()
            {
                shared.buffers.put(idle);
            }
            polled.map(Some)
        })
        .await;
        match (event, buffer) {
            (Some(Ok(count)), Some(data)) => {
                if !answered {
                    answered = true;
                    let now = shared.host.now_ns();
                    reached.chosen.observe(Observation::Status(200), now.saturating_sub(began), now);
                }
                reply(forwarder, session, reached, data.get(..count).unwrap_or_default());
                shared.buffers.put(data);
                if !session.is_current(&shared.compiled(), &forwarder.name) {
                    break;
                }
            }
            (Some(Err(error)), _) if is_unreachable(&error) => return reached.failed(&shared.host),
            // Something about one datagram.
            (Some(_), _) => {}
            (None, _) => break,
        }
    }
    reached.ledger.flag("-");
}

fn reply(forwarder: &Forwarder, session: &Session, reached: &Reached, contents: &[u8]) {
    session.touch();
    let (destination, src_ip) = (session.client, session.local);
    let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip };
    if forwarder.io.try_send(&transmit).is_ok() {
        reached.ledger.moved(false, contents.len() as u64);
    } else {
        // As the network does with what it has no room for.
        forwarder.shared.count(Global::UdpDropped, 1);
    }
}

//! Idle connections to upstream endpoints.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use ahash::{AHashMap, AHashSet};
use sluice_policy::stats::Field;
use sluice_snapshot::{Cluster, ClusterId, Compiled};

use crate::http2::upstream::Channels;
use crate::permit::Permit;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::upstream::idle_ns;

/// Idle connections kept per endpoint and worker. Beyond it the oldest is closed: memory stays bounded when a burst ends.
const IDLE_PER_ENDPOINT: usize = 512;
/// Up to so many endpoints are looked through one by one.
const FEW: usize = 16;

/// What connections of a cluster have in common: changes with its protocol, its name in DNS or its TLS settings, so that old
/// connections die out. Endpoints come and go; what is open to those that stay is used on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClusterKey {
    pub(crate) id: ClusterId,
    pub(crate) generation: u64,
}

/// Counts a connection to an endpoint as long as it lives.
pub(crate) struct Counted {
    shared: Rc<Shared>,
    slot: usize,
    _permit: Option<Permit>,
}

/// An open HTTP/1 connection to an endpoint.
pub(crate) struct Link {
    pub(crate) stream: Stream,
    pub(crate) created_ns: u64,
    _counted: Counted,
}

impl Link {
    pub(crate) fn new(shared: &Rc<Shared>, slot: usize, stream: Stream, permit: Option<Permit>) -> Self {
        Self { stream, created_ns: shared.host.now_ns(), _counted: Counted::new(shared, slot, permit) }
    }
}

impl Counted {
    pub(crate) fn new(shared: &Rc<Shared>, slot: usize, permit: Option<Permit>) -> Self {
        if let Some(row) = shared.cluster_row(slot) {
            row.add(Field::Connections, 1);
            row.add(Field::ConnectionsActive, 1);
        }
        Self { shared: Rc::clone(shared), slot, _permit: permit }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(row) = self.shared.cluster_row(self.slot) {
            row.sub(Field::ConnectionsActive, 1);
        }
    }
}

/// A connection that served a request and may serve another.
struct Idle {
    link: Link,
    since_ns: u64,
    idle_timeout_ns: u64,
}

#[derive(Default)]
struct Endpoints {
    idle: Vec<(SocketAddr, Vec<Idle>)>,
}

#[derive(Default)]
struct ClusterState {
    endpoints: Endpoints,
}

/// The upstream connections of a worker: of HTTP/1 those that are not in use.
#[derive(Default)]
pub(crate) struct Pools {
    pub(crate) channels: Channels,
    clusters: RefCell<AHashMap<ClusterKey, ClusterState>>,
}

impl Endpoints {
    fn get(&mut self, address: SocketAddr) -> Option<&mut Vec<Idle>> {
        self.idle.iter_mut().find(|(at, _)| *at == address).map(|(_, idle)| idle)
    }
}

impl Pools {
    /// The most recently used connection that is still good: the one least likely to be closed by the other side.
    pub(crate) fn take(&self, key: ClusterKey, address: SocketAddr, now_ns: u64) -> Option<Link> {
        let mut clusters = self.clusters.borrow_mut();
        let idle = clusters.get_mut(&key)?.endpoints.get(address)?;
        while let Some(found) = idle.pop() {
            if found.is_good(now_ns) {
                return Some(found.link);
            }
        }
        None
    }

    /// Keeps a connection whose last answer was read completely.
    pub(crate) fn put(&self, key: ClusterKey, address: SocketAddr, link: Link, now_ns: u64, idle_timeout_ns: u64) {
        let mut clusters = self.clusters.borrow_mut();
        let endpoints = &mut clusters.entry(key).or_default().endpoints;
        let kept = Idle { link, since_ns: now_ns, idle_timeout_ns };
        match endpoints.get(address) {
            Some(idle) => {
                if idle.len() >= IDLE_PER_ENDPOINT {
                    idle.remove(0);
                }
                idle.push(kept);
            }
            None => endpoints.idle.push((address, vec![kept])),
        }
    }

    /// Closes connections that the other side closed or that were idle for too long; forgets endpoints and clusters that are
    /// gone.
    pub(crate) fn sweep(&self, now_ns: u64, compiled: &Compiled) {
        let known = Known { compiled, members: RefCell::default() };
        self.channels.sweep(now_ns, &known);
        let mut clusters = self.clusters.borrow_mut();
        clusters.retain(|key, state| {
            state.endpoints.idle.retain_mut(|(address, idle)| {
                if known.idle_ns(*key, *address).is_none() {
                    return false;
                }
                idle.retain(|kept| kept.is_good(now_ns));
                !idle.is_empty()
            });
            !state.endpoints.idle.is_empty()
        });
    }

    /// Idle connections of all clusters.
    pub(crate) fn len(&self) -> usize {
        let clusters = self.clusters.borrow();
        let idle: usize = clusters.values().flat_map(|state| &state.endpoints.idle).map(|(_, idle)| idle.len()).sum();
        idle + self.channels.idle()
    }

    pub(crate) fn clear(&self) {
        self.clusters.borrow_mut().clear();
        self.channels.clear();
    }
}

/// What a configuration says about connections that are open.
pub(crate) struct Known<'c> {
    compiled: &'c Compiled,
    /// Endpoints of clusters that have many.
    members: RefCell<AHashMap<ClusterKey, AHashSet<SocketAddr>>>,
}

impl Known<'_> {
    /// Longest idle time of a connection, in nanoseconds; `None` if there is no such endpoint any more.
    pub(crate) fn idle_ns(&self, key: ClusterKey, address: SocketAddr) -> Option<u64> {
        let cluster = self.compiled.cluster(key.id).filter(|cluster| cluster.generation == key.generation)?;
        self.has(key, cluster, address).then(|| idle_ns(cluster))
    }

    fn has(&self, key: ClusterKey, cluster: &Cluster, address: SocketAddr) -> bool {
        if cluster.dns.is_some() {
            // Connections stay when the answer changes; nobody takes one whose address is not in it.
            return true;
        }
        if cluster.endpoints.len() <= FEW {
            return cluster.endpoints.iter().any(|(member, _)| *member == address);
        }
        let mut members = self.members.borrow_mut();
        let of_cluster = || cluster.endpoints.iter().map(|(member, _)| *member).collect();
        members.entry(key).or_insert_with(of_cluster).contains(&address)
    }
}

impl Idle {
    /// Bytes or an end of stream on an idle connection mean that it cannot carry another request (row A20: never
    /// read them as the answer to the next one).
    fn is_good(&self, now_ns: u64) -> bool {
        !self.link.stream.has_pending_input() && now_ns.saturating_sub(self.since_ns) < self.idle_timeout_ns
    }
}

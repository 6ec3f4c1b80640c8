//! An endpoint as configured, and what one worker knows about it.

use crate::upstream::ewma::Ewma;
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

/// One address of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect to; also the identity that survives a new configuration and the key on hash rings.
    pub address: SocketAddr,
    /// Share of the requests relative to the other endpoints; 0 gets none.
    pub weight: u32,
    /// Availability zone.
    pub zone: Option<Arc<str>>,
}

/// What one worker knows about one endpoint.
///
/// Requests hold it by `Rc` while they are under way, so their end is counted on the same value however often the
/// configuration changes meanwhile.
#[derive(Debug)]
pub struct Live {
    active: Cell<u32>,
    pub(crate) healthy: Cell<bool>,
    /// When the endpoint joined or last became healthy, in nanoseconds.
    pub(crate) since_ns: Cell<u64>,
    /// Standing in the smooth schedule, see [`crate::upstream::smooth`].
    pub(crate) standing: Cell<i64>,
    pub(crate) latency: Ewma,
}

impl Live {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            active: Cell::new(0),
            healthy: Cell::new(true),
            since_ns: Cell::new(now_ns),
            standing: Cell::new(0),
            latency: Ewma::default(),
        }
    }

    /// A request to the endpoint begins.
    pub fn begin(&self) {
        self.active.set(self.active.get().saturating_add(1));
    }

    /// A request to the endpoint is over, however it ended.
    pub fn end(&self) {
        self.active.set(self.active.get().saturating_sub(1));
    }

    /// Requests of this worker under way.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.get()
    }

    /// A request took `latency_ns` to the head of its answer, which arrived at `now_ns`. Failures should be told too,
    /// with the time after which they were given up: an endpoint that refuses quickly must not look fast.
    pub fn observe(&self, latency_ns: u64, now_ns: u64) {
        self.latency.observe(latency_ns, now_ns);
    }
}

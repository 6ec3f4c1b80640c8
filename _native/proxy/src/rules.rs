//! The rules of a cluster or route as the moment of a request needs them.

use std::sync::Arc;
use std::time::Duration;

use sluice_policy::upstream::{Balancer, BreakerLimits, Settings, hash};
use sluice_snapshot::{Cluster, HashSource, Priority};

use crate::request::Request;

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How endpoints of a cluster are chosen.
pub(crate) fn settings(cluster: &Cluster) -> Settings {
    cluster.balancing.as_ref().map(|rules| rules.settings.clone()).unwrap_or_default()
}

/// The endpoints that a cluster names itself.
pub(crate) fn balancer(cluster: &Cluster) -> Arc<Balancer> {
    Arc::new(Balancer::new(cluster.members().collect(), settings(cluster)))
}

/// The limits of a cluster, where it has any: without a row in shared memory nothing can be counted.
pub(crate) fn limits(cluster: &Cluster, priority: Priority) -> Option<BreakerLimits> {
    cluster.breakers.of(priority).filter(|_| cluster.slot != 0).copied()
}

/// The key that chooses the endpoint, where the request has one.
pub(crate) fn key(request: &Request<'_>, source: &HashSource) -> Option<u64> {
    match source {
        HashSource::SourceAddress => Some(hash::address_key(request.connection.peer.ip())),
        HashSource::Header(name) => request.head.header(request.bytes, name).map(hash::header_key),
        HashSource::Cookie { name, .. } => {
            request.head.header(request.bytes, b"cookie").and_then(|field| hash::cookie_key(field, name))
        }
    }
}

//! Getting a connection to an endpoint of a cluster.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use sluice_host::{TcpIo, Timer};
use sluice_policy::stats::Field;
use sluice_snapshot::{Cluster, Protocol};
use tokio_rustls::TlsConnector;

use crate::error::ProxyError;
use crate::http2::upstream::{Lease, lease};
use crate::pool::{ClusterKey, Link};
use crate::resolver::Name;
use crate::shared::Shared;
use crate::stream::Stream;

/// What a request is sent on.
pub(crate) enum Wire {
    /// A connection of its own for now.
    Http1(Link),
    /// A stream of a shared connection.
    Http2(Lease),
}

/// A connection in use. Dropping it closes it (or cancels the stream); [`Upstream::keep`] puts it back.
pub(crate) struct Upstream {
    shared: Rc<Shared>,
    pub(crate) address: SocketAddr,
    /// It has carried a request before.
    pub(crate) reused: bool,
    key: ClusterKey,
    slot: usize,
    idle_timeout_ns: u64,
    lifetime_ns: u64,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn key_of(cluster: &Cluster) -> ClusterKey {
    ClusterKey { id: cluster.id.index() as u64, generation: cluster.generation }
}

/// Longest idle time of a connection to the cluster, in nanoseconds.
pub(crate) fn idle_ns(cluster: &Cluster) -> u64 {
    match nanos(cluster.idle_timeout) {
        0 => u64::MAX,
        timeout => timeout,
    }
}

impl Upstream {
    /// Gives the connection back for the next request, unless it is too old or the gateway is draining.
    pub(crate) fn keep(&self, wire: Wire) {
        let Wire::Http1(link) = wire else { return };
        let now = self.shared.host.now_ns();
        let young = self.lifetime_ns == 0 || now.saturating_sub(link.created_ns) < self.lifetime_ns;
        if young && !self.shared.draining.get() && link.stream.is_quiet() {
            self.shared.pools.put(self.key, self.address, link, now, self.idle_timeout_ns);
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(row) = self.shared.cluster_row(self.slot) {
            row.sub(Field::InFlight, 1);
        }
    }
}

/// Chooses an endpoint and connects, or reuses a connection. `avoid` is an endpoint that just failed.
pub(crate) async fn acquire(
    shared: &Rc<Shared>,
    cluster: &Cluster,
    avoid: Option<SocketAddr>,
    fresh: bool,
) -> Result<(Upstream, Wire), ProxyError> {
    if let Some(reason) = &cluster.broken {
        return Err(ProxyError::UpstreamTls(std::io::Error::other(reason.clone())));
    }
    let key = key_of(cluster);
    let address = match &cluster.dns {
        None => choose(shared, key, cluster.endpoints.len(), avoid, |at| cluster.endpoints.get(at).map(|(a, _)| *a)),
        Some(dns) => {
            let name = Name { host: dns.host.to_string(), port: dns.port, ipv4: dns.ipv4, ipv6: dns.ipv6 };
            let resolving = Box::pin(shared.resolver.resolve(&name, shared.host.now_ns()));
            let addresses = resolving.await.map_err(ProxyError::Resolve)?;
            choose(shared, key, addresses.len(), avoid, |at| addresses.get(at).copied())
        }
    }
    .ok_or(ProxyError::NoEndpoint)?;
    let slot = cluster.slot as usize;
    let mut upstream = Upstream {
        shared: Rc::clone(shared),
        address,
        reused: false,
        key,
        slot,
        idle_timeout_ns: idle_ns(cluster),
        lifetime_ns: cluster.max_connection_lifetime.map_or(0, nanos),
    };
    let row = shared.cluster_row(slot);
    if let Some(row) = row {
        row.add(Field::InFlight, 1);
    }
    let connecting = async {
        let connected = Box::pin(connect(shared, cluster, address)).await;
        if let (Err(_), Some(row)) = (&connected, row) {
            row.add(Field::ConnectionsFailed, 1);
        }
        connected
    };
    if cluster.protocol == Protocol::Http2 {
        let leasing = lease(shared, (key, address), slot, upstream.lifetime_ns, connecting);
        let (lease, reused) = Box::pin(leasing).await?;
        upstream.reused = reused;
        return Ok((upstream, Wire::Http2(lease)));
    }
    if !fresh && let Some(idle) = shared.pools.take(key, address, shared.host.now_ns()) {
        upstream.reused = true;
        return Ok((upstream, Wire::Http1(idle)));
    }
    let link = Link::new(shared, slot, connecting.await?);
    Ok((upstream, Wire::Http1(link)))
}

fn choose(
    shared: &Shared,
    key: ClusterKey,
    count: usize,
    avoid: Option<SocketAddr>,
    at: impl Fn(usize) -> Option<SocketAddr>,
) -> Option<SocketAddr> {
    let first = at(shared.pools.next_turn(key, count))?;
    if count > 1 && Some(first) == avoid {
        return at(shared.pools.next_turn(key, count));
    }
    Some(first)
}

/// Connects within the cluster's connect timeout, TLS included.
async fn connect(shared: &Rc<Shared>, cluster: &Cluster, address: SocketAddr) -> Result<Stream, ProxyError> {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns().saturating_add(nanos(cluster.connect_timeout)));
    let mut work = std::pin::pin!(async {
        let tcp = TcpIo::connect(&shared.host, address).map_err(ProxyError::Connect)?;
        tcp.connected().await.map_err(ProxyError::Connect)?;
        match &cluster.tls {
            None => Ok(Stream::Plain(tcp)),
            Some(tls) => TlsConnector::from(std::sync::Arc::clone(&tls.config))
                .connect(tls.server_name.clone(), tcp)
                .await
                .map(|stream| Stream::tls(tokio_rustls::TlsStream::from(stream)))
                .map_err(ProxyError::UpstreamTls),
        }
    });
    std::future::poll_fn(|context| {
        if let std::task::Poll::Ready(done) = work.as_mut().poll(context) {
            return std::task::Poll::Ready(done);
        }
        timer.poll_expired(context).map(|()| Err(ProxyError::ConnectTimeout))
    })
    .await
}
